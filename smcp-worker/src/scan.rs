//! Keeping the catalogue of tools: a scan when the worker starts, and whenever one is asked for.

use std::path::PathBuf;
use std::time::Instant;

use smcp_common::lifecycle::Shutdown;
use smcp_common::plugin::{Integrity, Plugin};
use smcp_common::queue::{Queue, QueueError};
use tokio::sync::oneshot;

use crate::plugin::catalogue::{Before, Found, Scanner};
use crate::work::persist;

/// Scans as asked until `shutdown` begins. `first` hears when the plugins have been looked at, by whomever, since then.
pub(crate) async fn run(
    queue: Queue,
    worker: String,
    scanner: Scanner,
    directories: Vec<PathBuf>,
    shutdown: Shutdown,
    first: oneshot::Sender<()>,
) {
    let by = format!("worker:{worker}");
    let mut news = queue.news();
    // What is on the disk may have changed while no worker was there to see it.
    let wanted = persist("request of a scan", || queue.want_scan(&by)).await;
    if let Err(error) = &wanted {
        tracing::error!(
            error = error as &dyn std::error::Error,
            "no scan can be asked for"
        );
    }
    let wanted = wanted.unwrap_or_default();
    let mut first = Some(first);
    loop {
        news.mark_unchanged();
        if let Err(error) = scan(&queue, &worker, &scanner, &directories).await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the catalogue could not be brought up to date"
            );
        }
        if first.is_some()
            && queue
                .newest_done_scan()
                .is_ok_and(|scanned| scanned >= wanted)
            && let Some(first) = first.take()
        {
            // Nobody may be waiting.
            first.send(()).unwrap_or_default();
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
    let pins = queue.pins()?;
    let Some(wanted) = persist("start of a scan", || queue.take_scan(worker)).await? else {
        return Ok(());
    };
    let started = Instant::now();
    let before = Before {
        plugins: &known.plugins,
        pins: &pins,
    };
    let Found {
        plugins,
        problems,
        pinned,
    } = scanner.scan(directories, before).await;
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let tools: usize = plugins.iter().map(|plugin| plugin.tools.len()).sum();
    let count = plugins.len();
    let changed = persist("end of a scan", || {
        let (plugins, problems) = (plugins.clone(), problems.clone());
        let pinned = pinned.clone();
        async move {
            match pinned {
                Some(pinned) => {
                    queue
                        .finish_pinned_scan(worker, wanted, plugins, problems, pinned)
                        .await
                }
                None => queue.finish_scan(worker, wanted, plugins, problems).await,
            }
        }
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
            warn_of_difference(plugin);
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

fn warn_of_difference(plugin: &Plugin) {
    let name = &plugin.name;
    match &plugin.integrity {
        None | Some(Integrity::Accepted) => {}
        Some(Integrity::Changed { .. }) => tracing::warn!(
            plugin.name = name,
            "a plugin has changed since it was accepted; it is served all the same (smcp plugins diff {name})"
        ),
        Some(Integrity::Quarantined { accepted: Some(_) }) => tracing::warn!(
            plugin.name = name,
            "a plugin has changed since it was accepted, and is quarantined (smcp plugins accept {name})"
        ),
        Some(Integrity::Quarantined { accepted: None }) => tracing::warn!(
            plugin.name = name,
            "a plugin is new, and quarantined until it is accepted (smcp plugins accept {name})"
        ),
    }
}
