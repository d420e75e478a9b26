//! `smcp approvals`.

use clap::{Args, Subcommand};
use smcp_common::job::JobId;

use super::Connection;

#[derive(Debug, Subcommand)]
pub(crate) enum Approvals {
    /// List the calls that wait for an approval: those you may approve of, and your own
    List(ApprovalsList),
    /// Show one of them: exactly what would run, who asks, and whose approval it needs
    Show(ApprovalsShow),
    /// Approve of a call; it runs as soon as enough have
    #[command(after_help = "\
On a terminal the call is shown first, and you are asked. In a pipe, say --yes
or name the digest of what you have seen, as smcp approvals show prints it.

Example:
  smcp approvals approve 019a8c7e-5d2f-7b1a-9c41-2f6f0d3b8a55")]
    Approve(ApprovalsSay),
    /// End a call that waits for an approval: it will not run
    #[command(after_help = "\
Example:
  smcp approvals deny 019a8c7e-5d2f-7b1a-9c41-2f6f0d3b8a55 --reason 'not on a Friday'")]
    Deny(ApprovalsSay),
    /// Make a link by which you can decide about one call in a browser, once
    Link(ApprovalsShow),
}

#[derive(Debug, Args)]
pub(crate) struct ApprovalsList {
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct ApprovalsShow {
    /// The job that waits
    #[arg(value_name = "JOB")]
    pub(crate) job: JobId,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct ApprovalsSay {
    /// The job that waits
    #[arg(value_name = "JOB")]
    pub(crate) job: JobId,
    /// Why, for whoever asked and for the record
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Only if what would run has this digest
    #[arg(long, value_name = "DIGEST")]
    pub(crate) digest: Option<String>,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) connection: Connection,
}
