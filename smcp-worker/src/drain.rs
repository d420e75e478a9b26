//! The end of a worker that an operator has drained: it claims nothing any more, and goes when its job has ended, however
//! long that takes.

use std::time::Duration;

use smcp_common::lifecycle::Shutdown;
use smcp_common::queue::Queue;

/// After an error the next look comes so much later, apart from news.
const RETRY: Duration = Duration::from_secs(1);

/// Begins `shutdown` once the worker has been drained.
pub(crate) async fn watch(queue: Queue, worker: String, shutdown: Shutdown) {
    let mut news = queue.news();
    loop {
        news.mark_unchanged();
        let patience = match queue.has_drained(&worker) {
            Ok(true) => {
                tracing::info!(worker.id = worker, "drained, as an operator has asked");
                return shutdown.begin();
            }
            Ok(false) => None,
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "cannot tell whether this worker shall end");
                Some(RETRY)
            }
        };
        let again = async {
            match patience {
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // The sender lives as long as the queue.
            _ = news.changed() => {}
            () = again => {}
            () = shutdown.drain.cancelled() => return,
        }
    }
}
