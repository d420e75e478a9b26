//! What secrets cost: striking them out of what a plugin prints, and sealing all of them under a new key.

use std::time::Instant;

use clap::Args;
use serde_json::json;
use smcp_common::queue::{Commit, Wake};
use smcp_common::secret::{Plain, Redactor};

use crate::report::Report;
use crate::scratch::{self, Durability, Scratch};
use crate::series::Series;

/// A worker reads so much of a pipe at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// A token, and a private key as text.
const VALUES: [(&str, usize); 2] = [("token", 40), ("key", 1_700)];

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Secrets that a call gets
    #[arg(long, default_value_t = 20)]
    given: usize,
    /// Bytes that its plugin prints
    #[arg(long, default_value_t = 1_048_576)]
    output_bytes: usize,
    /// Secrets that are stored when the key is replaced
    #[arg(long, default_value_t = 1_000)]
    stored: usize,
    /// Runs of each
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

pub(crate) fn run(options: &Options, scratch: &Scratch, report: &Report) -> anyhow::Result<()> {
    for (what, bytes) in VALUES {
        redact(options, what, bytes, report)?;
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(rotate(options, scratch, report))
}

fn redact(options: &Options, what: &str, bytes: usize, report: &Report) -> anyhow::Result<()> {
    let values: Vec<_> = (0..options.given).map(|n| value(n, bytes)).collect();
    let output = printed(&values, options.output_bytes);
    let mut series = Series::default();
    for _ in 0..options.runs {
        let began = Instant::now();
        let redactor = Redactor::new(values.iter().map(|value| ("S", value.as_str())));
        series.add("prepare_ms", ms(began));
        let began = Instant::now();
        let mut stream = redactor.stream();
        let mut told = Vec::with_capacity(output.len());
        for chunk in output.as_bytes().chunks(CHUNK_BYTES) {
            told.extend_from_slice(&stream.push(chunk));
        }
        told.extend(stream.finish());
        series.add("output_ms", ms(began));
        let told = String::from_utf8(told)?;
        anyhow::ensure!(
            values.iter().all(|value| !told.contains(value)) && told.contains("[redacted:S]"),
            "a secret was printed"
        );
    }
    let case = json!({"redact": what, "secrets": options.given, "bytes": options.output_bytes});
    report.result("secrets", &case, &series)
}

async fn rotate(options: &Options, scratch: &Scratch, report: &Report) -> anyhow::Result<()> {
    let directory = scratch.fresh()?;
    let path = directory.path().join("smcp.db");
    let queue = scratch::open(&path, Durability::Full, Commit::Inline, Wake::Never)?;
    for n in 0..options.stored {
        let value = Plain::new(value(n, VALUES[0].1));
        queue
            .set_secret(&format!("S{n}"), None, value, "bench")
            .await?;
    }
    let mut series = Series::default();
    for _ in 0..options.runs {
        let began = Instant::now();
        let rotated = queue.rotate_secrets_key("bench").await?;
        series.add("rotate_ms", ms(began));
        anyhow::ensure!(rotated.secrets == options.stored, "{rotated:?}");
    }
    let case = json!({"rotate": "full", "secrets": options.stored});
    report.result("secrets", &case, &series)
}

/// Lines as a log has them, now and then with a value in one of them.
fn printed(values: &[String], bytes: usize) -> String {
    let mut text = String::with_capacity(bytes);
    for n in 0.. {
        if text.len() >= bytes {
            break;
        }
        text += &format!(
            "2026-11-28T22:15:36.{:03}Z info request {n} took 12 ms\n",
            n % 1_000
        );
        if let Some(value) = values
            .get(n % (50 * values.len().max(1)) / 50)
            .filter(|_| n % 50 == 0)
        {
            text += &format!("authorization: {value}\n");
        }
    }
    text
}

/// The `n`-th value, of characters that encodings treat differently.
fn value(n: usize, bytes: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut state = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let letters = (0..bytes).map(|at| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        if at % 65 == 64 {
            '\n'
        } else {
            char::from(LETTERS[(state >> 58) as usize])
        }
    });
    letters.collect()
}

fn ms(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e3
}
