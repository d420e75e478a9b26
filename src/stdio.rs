//! `smcp stdio`: MCP on standard input and output, for clients that start their servers themselves. It needs no API,
//! and where nobody else runs the jobs, it starts a worker of its own.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use smcp_api::mcp::stdio::{self, Terms};
use smcp_common::config::{Config, Flags};
use smcp_common::lifecycle::Shutdown;
use smcp_common::queue::Queue;
use smcp_worker::presence;
use tokio::io::{stdin, stdout};
use tokio::runtime::Builder;
use tokio::time::sleep;

use crate::cli::Stdio;
use crate::role;
use crate::settings::Settings;
use crate::up::{Program, Supervisor, Wanted};

/// How often to look whether there is still a worker, as long as we have started none.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Serves the client that started us until it leaves, or until told to stop.
pub(crate) fn run(options: &Stdio) -> anyhow::Result<ExitCode> {
    let flags = Flags::from(options);
    let Settings { config, .. } = role::prepare(&flags)?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start")?;
    let ended = runtime.block_on(converse(&config, flags, options.workers));
    role::end(runtime, ended)
}

async fn converse(config: &Config, flags: Flags, workers: Option<u16>) -> anyhow::Result<()> {
    let shutdown =
        Shutdown::on_signals(config.drain_timeout).context("cannot watch for signals")?;
    // Answers are waited for after the end of input, too, so that only a stop at once hands calls over.
    let app = smcp_api::open(config, false, shutdown.stop.clone())?;
    let _rules = smcp_api::rules::start(&app)
        .await
        .map_err(smcp_api::ApiError::from)?;
    let queue = app.queue.clone();
    let terms = Terms {
        max_line_bytes: config.http.max_body_bytes,
        after_scan: match workers {
            Some(0) => None,
            None if others_work(&queue) => Some(0),
            // A worker of ours looks at its plugins when it starts.
            Some(_) | None => Some(queue.catalogue()?.wanted),
        },
    };
    // Workers have yet to do what the session waits for when it is told to end.
    let served = Shutdown::default();
    let session = async {
        stdio::serve(app, terms, stdin(), stdout(), shutdown.clone()).await;
        served.begin();
    };
    let working = async {
        if workers != Some(0)
            && let Err(error) = work(&queue, flags, workers, &served).await
        {
            tracing::error!(
                error = format!("{error:#}"),
                "no worker can be started; jobs wait for another"
            );
        }
    };
    tokio::select! {
        _ = async { tokio::join!(session, working) } => {}
        // Whoever asks for that does not wait for long. Our worker hears of our end, and finishes what it has begun.
        () = shutdown.stop.cancelled() => {}
    }
    Ok(())
}

/// Keeps workers running: as many as asked for, else one as soon as there is no other.
async fn work(
    queue: &Queue,
    flags: Flags,
    workers: Option<u16>,
    served: &Shutdown,
) -> anyhow::Result<()> {
    while workers.is_none() && others_work(queue) {
        tokio::select! {
            () = sleep(LOOK_EVERY) => {}
            () = served.drain.cancelled() => return Ok(()),
        }
    }
    let program = Program::this(flags)?;
    Supervisor::new(program, Wanted::Fixed(workers.unwrap_or(1)), served.clone())
        .run_workers()
        .await
}

fn others_work(queue: &Queue) -> bool {
    presence::is_served(queue).unwrap_or_else(|error| {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(error, "cannot tell whether there is a worker");
        true
    })
}
