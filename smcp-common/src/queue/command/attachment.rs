//! The tools that an agent keeps attached, see `sanctum__tools`.

use std::collections::BTreeSet;

use rusqlite::params;
use serde_json::json;

use super::{Command, Tx};
use crate::queue::QueueError;

#[derive(Debug)]
pub(in crate::queue) struct SetAttachments {
    pub(in crate::queue) agent: String,
    pub(in crate::queue) tools: BTreeSet<String>,
}

impl Command for SetAttachments {
    type Answer = ();

    fn apply(&self, tx: &mut Tx<'_>) -> Result<(), QueueError> {
        let tools = json!(self.tools);
        let now = tx.now.as_millis();
        tx.execute(
            include_str!("../sql/attachments_set.sql"),
            params![self.agent, tools.to_string(), now],
        )?;
        tx.execute(include_str!("../sql/catalogue_choose.sql"), [])?;
        tx.marks.rings = true;
        tx.audit(
            "tools.attached",
            &self.agent,
            None,
            &json!({"tools": tools}),
        )
    }
}
