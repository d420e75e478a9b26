//! MCP sessions, kept so that any API process can go on with them: after a restart, or beside another one.

use std::time::Duration;

use rusqlite::{OptionalExtension, params};

use super::command as c;
use super::{Queue, QueueError, row};
use crate::job::JobId;

/// A session that has been silent for less than this keeps its place where others want to be opened.
const IDLE: Duration = Duration::from_mins(10);

/// A session, as it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Who opened it; nobody else may use it.
    pub agent: String,
    /// What the client said when it opened it: the parameters of `initialize`, as JSON.
    pub parameters: String,
}

/// One request in a session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionCall {
    /// The session's id.
    pub session: String,
    /// The JSON-RPC id of the request, as JSON: `1` and `"1"` are two.
    pub request: String,
}

/// What became of a request in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Became {
    /// This job, whose end is the answer.
    Job(JobId),
    /// This answer, as JSON.
    Answer(String),
}

impl Queue {
    /// Records a session; false where `limit` sessions are open and in use.
    ///
    /// # Errors
    /// Database errors.
    pub async fn open_session(
        &self,
        id: &str,
        session: Session,
        limit: u32,
    ) -> Result<bool, QueueError> {
        let Session { agent, parameters } = session;
        self.store
            .write(c::OpenSession {
                id: id.to_owned(),
                agent,
                parameters,
                limit,
                idle: IDLE,
            })
            .await
    }

    /// Whether a session can not be opened now, since `limit` are open and in use.
    ///
    /// # Errors
    /// Database errors.
    pub fn sessions_are_full(&self, limit: u32) -> Result<bool, QueueError> {
        let silent_since = self.clock.now().minus(IDLE).as_millis();
        self.store.read(|connection| {
            Ok(connection
                .prepare_cached(include_str!("sql/session_full.sql"))?
                .query_row(params![limit, silent_since], |row| row.get(0))?)
        })
    }

    /// The session of that id, if it is open.
    ///
    /// # Errors
    /// Database errors.
    pub fn session(&self, id: &str) -> Result<Option<Session>, QueueError> {
        self.store.read(|connection| {
            Ok(connection
                .prepare_cached(include_str!("sql/session_get.sql"))?
                .query_row([id], |row| {
                    Ok(Session {
                        agent: row.get(0)?,
                        parameters: row.get(1)?,
                    })
                })
                .optional()?)
        })
    }

    /// Records that sessions are in use.
    ///
    /// # Errors
    /// Database errors.
    pub async fn see_sessions(&self, ids: Vec<String>) -> Result<(), QueueError> {
        self.store.write(c::SeeSessions { ids }).await
    }

    /// Ends a session.
    ///
    /// # Errors
    /// Database errors.
    pub async fn close_session(&self, id: &str) -> Result<(), QueueError> {
        self.store
            .write(c::CloseSession { id: id.to_owned() })
            .await
    }

    /// Removes at most 100 sessions that have not been seen for `after`; answers how many.
    ///
    /// # Errors
    /// Database errors.
    pub async fn forget_sessions(&self, after: Duration) -> Result<usize, QueueError> {
        self.store.write(c::ForgetSessions { after }).await
    }

    /// Keeps the answer to a request, for a client that has lost it.
    ///
    /// # Errors
    /// Database errors.
    pub async fn keep_answer(&self, call: SessionCall, answer: String) -> Result<(), QueueError> {
        self.store.write(c::KeepAnswer { call, answer }).await
    }

    /// What became of a request in a session; `None` where nothing was noted.
    ///
    /// # Errors
    /// Database errors.
    pub fn became(&self, call: &SessionCall) -> Result<Option<Became>, QueueError> {
        let found = self.store.read(|connection| {
            Ok(connection
                .prepare_cached(include_str!("sql/session_call_get.sql"))?
                .query_row(params![call.session, call.request], |row| {
                    Ok((
                        row.get::<_, Option<String>>(0)?,
                        row.get::<_, Option<String>>(1)?,
                    ))
                })
                .optional()?)
        })?;
        Ok(match found {
            Some((Some(job), _)) => Some(Became::Job(row::job_id(&job)?)),
            Some((None, Some(answer))) => Some(Became::Answer(answer)),
            Some((None, None)) | None => None,
        })
    }

    /// The jobs of a session's requests that have not ended, with their tools.
    ///
    /// # Errors
    /// Database errors.
    pub fn unfinished(&self, session: &str) -> Result<Vec<(JobId, String)>, QueueError> {
        self.store.read(|connection| {
            let mut statement =
                connection.prepare_cached(include_str!("sql/session_calls_running.sql"))?;
            let rows = statement
                .query_map([session], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
            rows.map(|row| {
                let (id, tool) = row?;
                Ok((row::job_id(&id)?, tool))
            })
            .collect()
        })
    }
}
