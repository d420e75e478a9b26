//! Pauses: what no worker takes jobs from until somebody resumes it.

use rusqlite::{Connection, params};
use serde_json::json;

use super::{Command, Tx};
use crate::job::{Pause, Scope};
use crate::queue::{QueueError, row};

/// The names of what is paused, as a claim asks for them.
#[derive(Debug, Default)]
pub(in crate::queue) struct Paused {
    scopes: Vec<Scope>,
}

impl Paused {
    /// What is paused now. There is nearly always nothing, which costs one look at an empty table.
    pub(in crate::queue) fn read(connection: &Connection) -> Result<Self, QueueError> {
        let mut statement = connection.prepare_cached(include_str!("../sql/pause_names.sql"))?;
        let mut rows = statement.query([])?;
        let mut scopes = Vec::new();
        while let Some(row) = rows.next()? {
            scopes.push(row::scope(&row.get::<_, String>(0)?, row.get(1)?)?);
        }
        Ok(Self { scopes })
    }

    /// Whether nothing is paused.
    pub(in crate::queue) fn is_empty(&self) -> bool {
        self.scopes.is_empty()
    }

    /// Whether everything is.
    pub(in crate::queue) fn is_all(&self) -> bool {
        self.scopes.contains(&Scope::All)
    }

    /// Whether jobs of that lane and plugin must wait.
    pub(in crate::queue) fn covers(&self, lane: Option<&str>, plugin: &str) -> bool {
        self.scopes.iter().any(|scope| scope.covers(lane, plugin))
    }
}

/// All pauses, with who asked for them.
pub(in crate::queue) fn pauses(connection: &Connection) -> Result<Vec<Pause>, QueueError> {
    let mut statement = connection.prepare_cached(include_str!("../sql/pause_list.sql"))?;
    let rows = statement.query_map([], |row| Ok(row::pause(row)))?;
    rows.map(|row| row.map_err(QueueError::from).and_then(|pause| pause))
        .collect()
}

#[derive(Debug)]
pub(in crate::queue) struct PauseQueue {
    pub(in crate::queue) scope: Scope,
    pub(in crate::queue) by: String,
    pub(in crate::queue) reason: Option<String>,
}

impl Command for PauseQueue {
    /// False where it was paused already; that pause stands as it was.
    type Answer = bool;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<bool, QueueError> {
        let (scope, name) = self.scope.parts();
        let now = tx.now.as_millis();
        let added = tx.execute(
            include_str!("../sql/pause_insert.sql"),
            params![scope, name, now, self.by, self.reason],
        )?;
        if added == 0 {
            return Ok(false);
        }
        tx.marks.rings = true;
        let data = json!({"name": name, "reason": self.reason, "scope": scope});
        tx.audit("queue.paused", &self.by, None, &data)?;
        Ok(true)
    }
}

#[derive(Debug)]
pub(in crate::queue) struct ResumeQueue {
    pub(in crate::queue) scope: Scope,
    pub(in crate::queue) by: String,
}

impl Command for ResumeQueue {
    /// False where it was not paused.
    type Answer = bool;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<bool, QueueError> {
        let (scope, name) = self.scope.parts();
        if tx.execute(
            include_str!("../sql/pause_delete.sql"),
            params![scope, name],
        )? == 0
        {
            return Ok(false);
        }
        // Idle workers have to look again.
        tx.marks.rings = true;
        let data = json!({"name": name, "scope": scope});
        tx.audit("queue.resumed", &self.by, None, &data)?;
        Ok(true)
    }
}
