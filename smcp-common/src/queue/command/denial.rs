//! A call that was not allowed leaves an audit record, and no job.

use serde_json::json;

use super::{Command, Tx};
use crate::queue::QueueError;

#[derive(Debug)]
pub(in crate::queue) struct Deny {
    pub(in crate::queue) agent: String,
    pub(in crate::queue) tool: String,
    pub(in crate::queue) code: String,
}

impl Command for Deny {
    type Answer = ();

    fn apply(&self, tx: &mut Tx<'_>) -> Result<(), QueueError> {
        let data = json!({"code": self.code, "tool": self.tool});
        tx.audit("call.denied", &self.agent, None, &data)
    }
}
