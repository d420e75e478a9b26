//! `smcp audit`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use smcp_common::clock::{Clock as _, SystemClock, Timestamp};

use super::{Connection, Storage};
use crate::duration;

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Show the newest records
    #[command(
        after_help = "Examples:\n  smcp audit tail\n  smcp audit tail -f --json | jq -c 'select(.kind == \"call.denied\")'"
    )]
    Tail(AuditTail),
    /// Look for records, newest first
    #[command(after_help = "\
Examples:
  smcp audit search --kind call.denied --since 7d
  smcp audit search --agent ci --tool devops__deploy
  smcp audit search --kind setting")]
    Search(AuditSearch),
    /// Write the records to a file, or to standard output
    #[command(after_help = "\
jsonl is what smcp audit verify reads: records with their hashes, and the signed
checkpoints. cef is the Common Event Format, for collectors of security events.

Examples:
  smcp audit export --out audit.jsonl
  smcp audit export --format cef --since 24h | nc collector 514")]
    Export(AuditExport),
    /// Find out whether records were changed, moved, removed or put in
    #[command(after_help = "\
Needs no server, and no key but the public one. FILE is an export or a database;
without it, the local database is read. The exit code is 1 where something is
wrong, and 2 where there is nothing to verify.

What came after the last checkpoint is not signed yet, and can be changed by who
controls the server. An anchor, a file of checkpoints that was kept elsewhere,
shows that the chain was longer once.

Examples:
  smcp audit verify
  smcp audit verify audit.jsonl --key audit-signing.pub --anchor anchors.jsonl")]
    Verify(AuditVerify),
}

#[derive(Debug, Args)]
pub(crate) struct AuditTail {
    /// At most so many, apart from those to come
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) limit: u32,
    /// Go on with those that are written from now on
    #[arg(short, long)]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct AuditSearch {
    /// Only what that agent did
    #[arg(long)]
    pub(crate) agent: Option<String>,
    /// Only what is about that tool
    #[arg(long)]
    pub(crate) tool: Option<String>,
    /// Only records of that kind, such as call.denied, or of all that begin so, such as job
    #[arg(long)]
    pub(crate) kind: Option<String>,
    /// Only what is about that job
    #[arg(long, value_name = "ID")]
    pub(crate) job: Option<String>,
    #[command(flatten)]
    pub(crate) span: Span,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// From when to when.
#[derive(Debug, Args)]
pub(crate) struct Span {
    /// From that time on: 2026-11-21T09:30:00Z, or how long ago, such as 7d
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(crate) since: Option<Timestamp>,
    /// Before that time
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(crate) until: Option<Timestamp>,
}

#[derive(Debug, Args)]
pub(crate) struct AuditExport {
    /// The form of a line
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) span: Span,
    /// The new file; an existing one is never overwritten [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Records with their hashes, and checkpoints, as JSON
    Jsonl,
    /// Common Event Format
    Cef,
}

#[derive(Debug, Args)]
pub(crate) struct AuditVerify {
    /// An export, or a database [default: the local database]
    pub(crate) file: Option<PathBuf>,
    /// Public key that signs checkpoints, or a file with it; may be repeated [default: audit-signing.pub in the data directory]
    #[arg(long, value_name = "PUB")]
    pub(crate) key: Vec<String>,
    /// File of checkpoints that was kept elsewhere; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) anchor: Vec<PathBuf>,
    /// Print JSON for programs instead of text for people
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) storage: Storage,
}

/// A time, or how long ago.
pub(super) fn instant(text: &str) -> Result<Timestamp, String> {
    match duration::parse(text) {
        Ok(ago) => Ok(SystemClock.now().minus(ago)),
        Err(_) => {
            super::instant(text).map_err(|error| format!("{error}, or how long ago, such as 7d"))
        }
    }
}
