//! Signs the audit records that this process writes, where no worker does.

use std::time::Duration;

use smcp_common::audit::Signer;
use smcp_common::queue::Queue;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Workers are given so much longer: what they sign they also anchor.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often to look while there are unsigned records.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Looks for unsigned records after this process has written some, until all are signed. Does nothing where it writes
/// none.
pub(crate) async fn run(queue: Queue, signer: Signer, drain: CancellationToken) {
    let work = async {
        let mut recorded = queue.recorded();
        // The sender lives as long as the queue.
        while recorded.changed().await.is_ok() {
            while are_left(&queue, &signer).await {
                sleep(LOOK_EVERY).await;
            }
        }
    };
    tokio::select! {
        () = work => {}
        () = drain.cancelled() => {}
    }
}

async fn are_left(queue: &Queue, signer: &Signer) -> bool {
    match queue.sign_audit(signer, PATIENCE).await {
        Ok(due) => due.is_some(),
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "audit records are signed later");
            true
        }
    }
}
