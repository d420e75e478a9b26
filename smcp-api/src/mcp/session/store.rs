//! The sessions in the queue, as rmcp asks for them when a client shows the id of one that this process does not hold.

use std::sync::Arc;

use async_trait::async_trait;
use rmcp::transport::streamable_http_server::session::{
    SessionState, SessionStore, SessionStoreError,
};
use smcp_common::plugin::OnDisconnect;

use crate::app::App;

/// Reads sessions from the queue.
pub(in crate::mcp) struct Store(pub(in crate::mcp) Arc<App>);

#[async_trait]
impl SessionStore for Store {
    async fn load(&self, id: &str) -> Result<Option<SessionState>, SessionStoreError> {
        let Some(session) = self.0.queue.session(id)? else {
            return Ok(None);
        };
        Ok(Some(SessionState::new(serde_json::from_str(
            &session.parameters,
        )?)))
    }

    /// It has been recorded with its agent when it was initialized, which rmcp does not pass on here.
    async fn store(&self, _: &str, _: &SessionState) -> Result<(), SessionStoreError> {
        Ok(())
    }

    /// Ends a session for good, as its client asks. That is the loss of a caller.
    async fn delete(&self, id: &str) -> Result<(), SessionStoreError> {
        let queue = &self.0.queue;
        let Some(session) = queue.session(id)? else {
            return Ok(());
        };
        let tools = self.0.tools.current(queue)?;
        for (job, tool) in queue.unfinished(id)? {
            let stops = tools
                .find(&tool)
                .is_some_and(|tool| tool.tool.on_disconnect == OnDisconnect::Cancel);
            if stops {
                let reason = Some("its caller has ended the session");
                queue.cancel(&job, &session.agent, reason).await?;
            }
        }
        queue.close_session(id).await?;
        Ok(())
    }
}
