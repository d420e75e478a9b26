//! MCP sessions: who opened them, and what became of the requests in them.

use std::time::Duration;

use rusqlite::params;

use super::{Command, Tx};
use crate::queue::{QueueError, SessionCall};

/// Opens a session, in place of one that nobody has used for long where there are too many.
#[derive(Debug)]
pub(in crate::queue) struct OpenSession {
    pub(in crate::queue) id: String,
    pub(in crate::queue) agent: String,
    pub(in crate::queue) parameters: String,
    pub(in crate::queue) limit: u32,
    /// A session that has been silent for so long may give way.
    pub(in crate::queue) idle: Duration,
}

impl Command for OpenSession {
    /// False where there are too many sessions, all of them in use.
    type Answer = bool;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<bool, QueueError> {
        let open: u32 = tx
            .connection
            .prepare_cached(include_str!("../sql/session_count.sql"))?
            .query_row([], |row| row.get(0))?;
        let silent_since = tx.now.minus(self.idle).as_millis();
        if open >= self.limit
            && tx.execute(include_str!("../sql/session_replace.sql"), [silent_since])? == 0
        {
            return Ok(false);
        }
        let now = tx.now.as_millis();
        tx.execute(
            include_str!("../sql/session_open.sql"),
            params![self.id, self.agent, self.parameters, now],
        )?;
        Ok(true)
    }
}

/// A sign of life of sessions.
#[derive(Debug)]
pub(in crate::queue) struct SeeSessions {
    pub(in crate::queue) ids: Vec<String>,
}

impl Command for SeeSessions {
    type Answer = ();

    fn apply(&self, tx: &mut Tx<'_>) -> Result<(), QueueError> {
        let now = tx.now.as_millis();
        for id in &self.ids {
            tx.execute(include_str!("../sql/session_seen.sql"), params![id, now])?;
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(in crate::queue) struct CloseSession {
    pub(in crate::queue) id: String,
}

impl Command for CloseSession {
    type Answer = ();

    fn apply(&self, tx: &mut Tx<'_>) -> Result<(), QueueError> {
        tx.execute(include_str!("../sql/session_close.sql"), [&self.id])?;
        Ok(())
    }
}

/// Removes sessions that nobody has used for long, some at a time.
#[derive(Debug)]
pub(in crate::queue) struct ForgetSessions {
    pub(in crate::queue) after: Duration,
}

impl Command for ForgetSessions {
    type Answer = usize;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<usize, QueueError> {
        let before = tx.now.minus(self.after).as_millis();
        tx.execute(include_str!("../sql/session_forget.sql"), [before])
    }
}

/// Keeps the answer to a request that asking again would not answer alike.
#[derive(Debug)]
pub(in crate::queue) struct KeepAnswer {
    pub(in crate::queue) call: SessionCall,
    pub(in crate::queue) answer: String,
}

impl Command for KeepAnswer {
    type Answer = ();

    fn apply(&self, tx: &mut Tx<'_>) -> Result<(), QueueError> {
        note(tx, &self.call, None, Some(&self.answer))
    }
}

/// Notes which job a request in a session has become. Where the session has ended meanwhile, nobody will ask.
pub(super) fn note(
    tx: &Tx<'_>,
    call: &SessionCall,
    job: Option<&str>,
    answer: Option<&str>,
) -> Result<(), QueueError> {
    tx.execute(
        include_str!("../sql/session_call_note.sql"),
        params![call.session, call.request, job, answer],
    )?;
    Ok(())
}
