//! `smcp up`: the API and its workers as processes of this machine, kept running.

mod backoff;
mod child;
mod ready;
mod scale;
mod summary;
mod supervisor;

use std::process::ExitCode;

use anyhow::Context as _;
use smcp_common::config::Flags;
use smcp_common::lifecycle::Shutdown;
use smcp_common::telemetry;

use crate::cli::Up;
use crate::data_directory::{self, Lock};
use crate::settings::{self, Settings};

pub(crate) use self::child::Program;
pub(crate) use self::scale::Wanted;
pub(crate) use self::supervisor::Supervisor;

/// Runs everything until told to stop.
pub(crate) fn run(options: &Up) -> anyhow::Result<ExitCode> {
    let flags = Flags::from(options);
    let settings = settings::load(&flags)?;
    telemetry::start(&settings.config.log)?;
    data_directory::create(&settings.config.data_dir)?;
    let lock = Lock::take(&settings.config.data_dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    let code = runtime.block_on(supervise(&settings, flags));
    runtime.shutdown_background();
    drop(lock);
    code
}

async fn supervise(settings: &Settings, flags: Flags) -> anyhow::Result<ExitCode> {
    let Settings { config, .. } = settings;
    let shutdown =
        Shutdown::on_signals(config.drain_timeout).context("cannot watch for signals")?;
    let supervisor = supervisor::Supervisor::new(
        child::Program::this(flags)?.with_managed_workers(),
        Wanted::Set {
            workers: config.workers,
            database: config.database.clone(),
            data_dir: config.data_dir.clone(),
        },
        shutdown.clone(),
    );
    let tell = async {
        if let Some(address) = supervisor.ready().await {
            let workers = supervisor.wanted().await;
            ready::tell(settings, address, workers).await
        } else {
            Ok(())
        }
    };
    let keep = supervisor.run();
    tokio::pin!(tell, keep);
    tokio::select! {
        told = &mut tell => {
            if let Err(error) = told
                && !shutdown.drain.is_cancelled()
            {
                tracing::warn!(error = format!("{error:#}"), "started, but what is there cannot be told");
            }
            keep.await
        }
        code = &mut keep => code,
    }
}
