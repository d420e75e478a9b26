//! Tool calls from end to end: HTTP+SSE, policy, durable job, worker process, plugin process, answer.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use crate::report::Report;
use crate::scratch::Scratch;
use crate::series::{Series, per_second, percentile, sorted_ms};
use crate::server::{Program, Server};
use crate::sse::Session;

const TOOL: &str = "demo_math__calculate";
/// Answered by the API itself: what a call costs without job, worker and plugin.
const BUILTIN: &str = "health";
/// Calls of each session that do not count.
const WARM_UP: usize = 5;

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    program: Program,
    /// Calls in each run, one after the other within a session
    #[arg(long, default_value_t = 400)]
    calls: usize,
    /// Sessions at once
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8])]
    sessions: Vec<usize>,
    /// Runs, on one server
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

pub(crate) fn run(options: &Options, scratch: &Scratch, report: &Report) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let directory = scratch.fresh()?;
    runtime.block_on(async {
        let server = Server::start(&options.program, directory.path(), TOOL).await?;
        for &sessions in &options.sessions {
            for (tool, arguments) in [(TOOL, json!({"expression": "2+2"})), (BUILTIN, json!({}))] {
                let mut series = Series::default();
                for _ in 0..options.runs {
                    let each = options.calls.div_ceil(sessions);
                    let (elapsed, waits) =
                        once(server.address, sessions, each, tool, &arguments).await?;
                    series.add("calls_per_s", per_second(waits.len(), elapsed));
                    for (figure, percent) in [("p50_ms", 50), ("p95_ms", 95), ("p99_ms", 99)] {
                        series.add(figure, percentile(&waits, percent));
                    }
                    series.add("max_ms", percentile(&waits, 100));
                }
                let case = json!({"tool": tool, "sessions": sessions});
                report.result("calls", &case, &series)?;
            }
        }
        server.stop().await
    })
}

/// Has each session make `each` calls; answers how long that took, and how long each call did in milliseconds,
/// ascending.
async fn once(
    address: SocketAddr,
    sessions: usize,
    each: usize,
    tool: &'static str,
    arguments: &Value,
) -> anyhow::Result<(Duration, Vec<f64>)> {
    let mut ready = Vec::with_capacity(sessions);
    for _ in 0..sessions {
        let mut session = Session::open(address).await?;
        for _ in 0..WARM_UP {
            session.call(tool, arguments).await?;
        }
        ready.push(session);
    }
    let began = Instant::now();
    let callers: Vec<_> = ready
        .into_iter()
        .map(|mut session| {
            let arguments = arguments.clone();
            tokio::spawn(async move {
                let mut waits = Vec::with_capacity(each);
                for _ in 0..each {
                    let asked = Instant::now();
                    session.call(tool, &arguments).await?;
                    waits.push(asked.elapsed());
                }
                anyhow::Ok(waits)
            })
        })
        .collect();
    let mut waits = Vec::with_capacity(sessions * each);
    for caller in callers {
        waits.extend(caller.await??);
    }
    Ok((began.elapsed(), sorted_ms(waits)))
}
