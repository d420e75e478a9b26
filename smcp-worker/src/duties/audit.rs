//! The audit chain is signed as it grows, and what has been signed is anchored outside the database.

use std::sync::Arc;
use std::time::Duration;

use smcp_common::audit::Signer;
use smcp_common::clock::Timestamp;
use smcp_common::config;
use smcp_common::queue::{Queue, QueueError};
use tokio::task::JoinHandle;

use crate::anchor::Anchor;

/// After an anchor that failed, the newest checkpoint is tried again so much later, unless there is a newer one before.
const RETRY: Duration = Duration::from_mins(1);

/// Signs and anchors.
#[derive(Debug)]
pub(crate) struct Audit {
    signer: Signer,
    anchor: Option<Arc<Anchor>>,
    /// The anchoring that is under way, or has just ended.
    under_way: Option<JoinHandle<()>>,
    /// The record of the checkpoint that was tried last, and when.
    tried: Option<(i64, Timestamp)>,
}

impl Audit {
    pub(crate) fn new(signer: Signer, config: &config::Audit) -> Self {
        Self {
            signer,
            anchor: Anchor::of(config).map(Arc::new),
            under_way: None,
            tried: None,
        }
    }

    /// Does what is due; answers when there is more to do, apart from news. Only reads where nothing is.
    ///
    /// # Errors
    /// Database errors.
    pub(super) async fn perform(&mut self, queue: &Queue) -> Result<Option<Timestamp>, QueueError> {
        let sign_at = queue.sign_audit(&self.signer, Duration::ZERO).await?;
        let anchor_at = self.anchor(queue)?;
        Ok(sign_at.into_iter().chain(anchor_at).min())
    }

    /// Begins to anchor the newest checkpoint. It stands for all before it, so that these need not be.
    fn anchor(&mut self, queue: &Queue) -> Result<Option<Timestamp>, QueueError> {
        let Some(anchor) = &self.anchor else {
            return Ok(None);
        };
        if self
            .under_way
            .as_ref()
            .is_some_and(|task| !task.is_finished())
        {
            return Ok(None);
        }
        self.under_way = None;
        let Some(checkpoint) = queue.unanchored()? else {
            return Ok(None);
        };
        let now = queue.clock().now();
        if let Some((seq, at)) = self.tried
            && seq == checkpoint.seq
            && at <= now
            && now.since(at) < RETRY
        {
            return Ok(Some(at.plus(RETRY)));
        }
        self.tried = Some((checkpoint.seq, now));
        let (anchor, queue) = (Arc::clone(anchor), queue.clone());
        // Beside the other duties: the operator's command may take its time.
        self.under_way = Some(tokio::spawn(async move {
            let result = anchor.hold(&checkpoint).await;
            if let Err(error) = &result {
                tracing::warn!(
                    audit.seq = checkpoint.seq,
                    "a checkpoint was not anchored: {error}"
                );
            }
            if let Err(error) = queue.note_anchor(checkpoint.seq, result).await {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "a checkpoint is anchored again");
            }
        }));
        Ok(None)
    }
}
