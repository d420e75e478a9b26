//! How fast a chain is verified: records as calls leave them, hashed and signed by the product's own code.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use clap::Args;
use rusqlite::params;
use serde_json::json;
use smcp_common::audit::{
    Checkpoint, GENESIS, Heading, Record, Signer, Tip, Trust, Verified, record_line, verify_export,
};
use smcp_common::clock::Timestamp;
use smcp_common::key_file::Key;
use smcp_common::queue::{Commit, Wake, verify_audit};

use crate::report::Report;
use crate::scratch::{self, Durability, Scratch};
use crate::series::{Series, per_second};

/// Records that a checkpoint vouches for, as where nobody has set another number.
const SIGNED_TOGETHER: i64 = 1_000;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Records in the chain
    #[arg(long, default_value_t = 1_000_000)]
    records: u32,
    /// Runs, all with the same chain
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

pub(crate) fn run(options: &Options, scratch: &Scratch, report: &Report) -> anyhow::Result<()> {
    let directory = scratch.fresh()?;
    let (database, export) = (
        directory.path().join("smcp.db"),
        directory.path().join("audit.jsonl"),
    );
    let signer = Signer::new(&Key::new([7; 32]));
    fill(&database, &export, &signer, options.records)?;
    let trust = Trust {
        keys: vec![signer.public().clone()],
        anchors: Vec::new(),
    };
    let records = usize::try_from(options.records)?;
    let (mut as_database, mut as_export) = (Series::default(), Series::default());
    for _ in 0..options.runs {
        let began = Instant::now();
        let found = verify_audit(&database, trust.clone())?;
        as_database.add("records_per_s", per_second(records, began.elapsed()));
        ensure_all(found, options.records)?;
        let began = Instant::now();
        let file = BufReader::with_capacity(256 * 1024, File::open(&export)?);
        let found = verify_export(file, trust.clone())?;
        as_export.add("records_per_s", per_second(records, began.elapsed()));
        ensure_all(found, options.records)?;
    }
    for (what, path, series) in [
        ("database", &database, &as_database),
        ("export", &export, &as_export),
    ] {
        let bytes = std::fs::metadata(path)?.len();
        let case = json!({"chain": what, "records": records, "mb": bytes / 1_000_000});
        report.result("audit", &case, series)?;
    }
    Ok(())
}

/// A figure counts only if every record was verified.
fn ensure_all(
    found: Result<Verified, smcp_common::audit::Finding>,
    records: u32,
) -> anyhow::Result<()> {
    let found = found.map_err(|finding| anyhow::anyhow!("the chain is broken: {finding}"))?;
    anyhow::ensure!(
        found.last == i64::from(records) && found.signatures,
        "{found:?}"
    );
    Ok(())
}

/// Writes the same chain into a new database and a new export.
fn fill(database: &Path, export: &Path, signer: &Signer, records: u32) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let in_runtime = runtime.enter();
    let queue = scratch::open(database, Durability::Normal, Commit::Inline, Wake::Never)?;
    let chain = queue.audit_state()?.chain;
    drop((queue, in_runtime));
    let mut lines = BufWriter::new(File::create_new(export)?);
    let mut rows = rusqlite::Connection::open(database)?;
    let rows = rows.transaction()?;
    let mut previous = GENESIS;
    let heading = Heading {
        chain: chain.clone(),
        from: 1,
        previous,
    };
    writeln!(lines, "{}", heading.line())?;
    for seq in 1..=i64::from(records) {
        let job = format!("019b2c3d-0000-7000-8000-{seq:012x}");
        let (kind, data) = told(seq);
        let at = Timestamp::from_millis(1_800_000_000_000 + seq);
        let record = Record {
            seq,
            at,
            kind,
            agent: "local",
            job: Some(&job),
            data: &data,
        };
        previous = record.hash(&previous);
        rows.prepare_cached(
            "INSERT INTO audit (seq, at, kind, agent, job, data, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![seq, at.as_millis(), kind, "local", job, data, previous])?;
        writeln!(lines, "{}", record_line(&record, &previous))?;
        if seq % SIGNED_TOGETHER == 0 {
            let tip = Tip {
                chain: &chain,
                seq,
                hash: &previous,
            };
            let made = Checkpoint::sign(signer, tip, at);
            rows.execute(
                "INSERT INTO audit_checkpoints (seq, count, hash, chain, at, key, signature) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![made.seq, made.count, made.hash, made.chain, at.as_millis(), made.key, made.signature],
            )?;
            writeln!(lines, "{}", made.line())?;
        }
    }
    lines.flush()?;
    rows.commit().context("cannot fill the database")
}

/// What the three records of a call say.
fn told(seq: i64) -> (&'static str, String) {
    match seq % 3 {
        1 => (
            "job.queued",
            format!(
                r#"{{"address":"127.0.0.1","arguments":{{"expression":"2+{seq}"}},"arguments_digest":"{seq:064x}","lane":"demo_math","rules":["builtin"],"run_at":null,"source":"call","tool":"demo_math__calculate","transport":"streamable_http","via":"call"}}"#
            ),
        ),
        2 => ("job.claimed", r#"{"attempt":1}"#.to_owned()),
        _ => (
            "job.attempted",
            r#"{"attempt":1,"error":null,"outcome":"succeeded","state":"succeeded"}"#.to_owned(),
        ),
    }
}
