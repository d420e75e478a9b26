//! Keeping the catalogue of tools: a scan when the worker starts, and whenever one is asked for.

use std::path::PathBuf;
use std::time::Instant;

use smcp_common::lifecycle::Shutdown;
use smcp_common::queue::{Queue, QueueError};

use crate::plugin::catalogue::{Found, Scanner};
use crate::work::persist;

/// Scans as asked until `shutdown` begins.
pub(crate) async fn run(
    queue: Queue,
    worker: String,
    scanner: Scanner,
    directories: Vec<PathBuf>,
    shutdown: Shutdown,
) {
    let by = format!("worker:{worker}");
    let mut news = queue.news();
    // What is on the disk may have changed while no worker was there to see it.
    let wanted = persist("request of a scan", || queue.want_scan(&by)).await;
    if let Err(error) = wanted {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "no scan can be asked for"
        );
    }
    loop {
        news.mark_unchanged();
        if let Err(error) = scan(&queue, &worker, &scanner, &directories).await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the catalogue could not be brought up to date"
            );
        }
        tokio::select! {
            Ok(()) = news.changed() => {}
            () = shutdown.drain.cancelled() => return,
        }
    }
}

async fn scan(
    queue: &Queue,
    worker: &str,
    scanner: &Scanner,
    directories: &[PathBuf],
) -> Result<(), QueueError> {
    // Asked after every commit of anybody: the plugins themselves are read only where there is something to do.
    if !queue.wants_scan()? {
        return Ok(());
    }
    let known = queue.catalogue()?;
    let Some(wanted) = persist("start of a scan", || queue.take_scan(worker)).await? else {
        return Ok(());
    };
    let started = Instant::now();
    let Found { plugins, problems } = scanner.scan(directories, &known.plugins).await;
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let tools: usize = plugins.iter().map(|plugin| plugin.tools.len()).sum();
    let count = plugins.len();
    let changed = persist("end of a scan", || {
        queue.finish_scan(worker, wanted, plugins.clone(), problems.clone())
    })
    .await?;
    tracing::info!(
        plugins = count,
        tools,
        changed,
        duration_ms,
        "plugins scanned"
    );
    if changed {
        for plugin in &plugins {
            for problem in &plugin.problems {
                tracing::warn!(plugin.name = plugin.name, %problem, "a plugin has a problem");
            }
        }
        for problem in &problems {
            tracing::warn!(%problem, "a plugin directory has a problem");
        }
    }
    Ok(())
}
