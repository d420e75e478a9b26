//! `smcp api` and `smcp worker`: one role each, alone or as a child of `smcp up`.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;

use anyhow::Context as _;
use smcp_common::config::{Config, Flags};
use smcp_common::lifecycle::Shutdown;
use smcp_common::telemetry;
use tokio::runtime::{Builder, Runtime};

use crate::cli::{Api, Supervision, Worker};
use crate::settings::Settings;
use crate::{data_directory, open_files, settings};

/// Runs the API until it is told to stop.
pub(crate) fn api(options: &Api) -> anyhow::Result<ExitCode> {
    let Settings { config, .. } = prepare(&Flags::from(options))?;
    if options.listener.allow_external {
        tracing::warn!("listening on every address of this machine, as --allow-external asks");
    }
    open_files::raise(config.http.max_sessions);
    let supervised = options.supervision.supervised;
    let announce = move |address: SocketAddr| {
        if supervised {
            // Whoever started us waits for this line; where it is gone, its end reaches us another way.
            drop(writeln!(io::stdout(), "{address}"));
        }
    };
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start")?;
    let ended = runtime.block_on(async {
        let shutdown = shutdown(&config, &options.supervision)?;
        smcp_api::run(config, shutdown, announce).await?;
        anyhow::Ok(())
    });
    end(runtime, ended)
}

/// Runs a worker until it is told to stop.
pub(crate) fn worker(options: &Worker) -> anyhow::Result<ExitCode> {
    let Settings {
        config,
        environment,
    } = prepare(&Flags::from(options))?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    let ended = runtime.block_on(async {
        let shutdown = shutdown(&config, &options.supervision)?;
        smcp_worker::run(config, environment, options.managed, shutdown).await?;
        anyhow::Ok(())
    });
    end(runtime, ended)
}

/// Reads the settings, and makes ready what every role needs.
///
/// # Errors
/// Settings that cannot be used, or a data directory that cannot be made.
pub(crate) fn prepare(flags: &Flags) -> anyhow::Result<Settings> {
    let settings = settings::load(flags)?;
    telemetry::start(&settings.config.log)?;
    data_directory::create(&settings.config.data_dir)?;
    Ok(settings)
}

/// Stops on signals, and as a child also when standard input ends: its other end is held by `smcp up`, and nobody
/// else tells us where that was killed.
fn shutdown(config: &Config, supervision: &Supervision) -> anyhow::Result<Shutdown> {
    let shutdown =
        Shutdown::on_signals(config.drain_timeout).context("cannot watch for signals")?;
    if supervision.supervised {
        let shutdown = shutdown.clone();
        // A thread of its own, as standard input can only be waited for by blocking; it ends with the process.
        thread::spawn(move || {
            let ended = io::copy(&mut io::stdin().lock(), &mut io::sink());
            if !shutdown.drain.is_cancelled() {
                tracing::warn!(
                    error = ended.err().map(tracing::field::display),
                    "stopping: smcp up is gone"
                );
            }
            shutdown.begin();
        });
    }
    Ok(shutdown)
}

/// Leaves without waiting for threads that are blocked in a system call.
pub(crate) fn end(runtime: Runtime, ended: anyhow::Result<()>) -> anyhow::Result<ExitCode> {
    runtime.shutdown_background();
    ended.map(|()| ExitCode::SUCCESS)
}
