//! How a process stops: the first signal asks it to finish what it has begun, the second, or a time limit,
//! to stop at once.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What the parts of a process watch to know when to stop.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Begin nothing new, finish what is begun.
    pub drain: CancellationToken,
    /// Stop at once. Implies `drain`.
    pub stop: CancellationToken,
}

impl Shutdown {
    /// Watches SIGTERM and SIGINT from now on; `drain_timeout` after the first one it is as if a second had come.
    ///
    /// # Errors
    /// What the system says when signals cannot be watched.
    pub fn on_signals(drain_timeout: Duration) -> std::io::Result<Self> {
        let shutdown = Self::default();
        let (terminate, interrupt) = (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        );
        tokio::spawn(watch(shutdown.clone(), terminate, interrupt, drain_timeout));
        Ok(shutdown)
    }

    /// Asks for a drain, as the first signal does.
    pub fn begin(&self) {
        self.drain.cancel();
    }
}

async fn watch(
    shutdown: Shutdown,
    mut terminate: Signal,
    mut interrupt: Signal,
    drain_timeout: Duration,
) {
    tokio::select! {
        () = either(&mut terminate, &mut interrupt) => tracing::info!("stopping: what has begun is finished first"),
        () = shutdown.drain.cancelled() => {}
    }
    shutdown.drain.cancel();
    tokio::select! {
        () = either(&mut terminate, &mut interrupt) => tracing::warn!("stopping at once: asked a second time"),
        () = tokio::time::sleep(drain_timeout) => {
            tracing::warn!(waited_s = drain_timeout.as_secs(), "stopping at once: the time to finish is over");
        }
        () = shutdown.stop.cancelled() => {}
    }
    shutdown.stop.cancel();
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
