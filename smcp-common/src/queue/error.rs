//! What can go wrong between a caller and the database.

use std::path::PathBuf;
use std::sync::Arc;

use crate::job::{IllegalTransition, JobId};
use crate::limit::Exceeded;
use crate::secret::SecretError;

/// A command or query that could not be carried out. Nothing of it has been stored.
///
/// Cloned for every caller whose command shared a transaction that could not be committed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum QueueError {
    /// Another process holds the write lock for longer than we wait.
    #[error("the database is locked by another process")]
    Busy,
    /// No space is left for the commit.
    #[error("the disk that holds the database is full")]
    DiskFull,
    /// The database file has been removed or replaced under us.
    #[error("the database file {0} has been removed or replaced; put it back, or restart SMCP")]
    Vanished(PathBuf),
    /// The job is no longer this worker's: its lease ran out, or it has ended.
    #[error("attempt {attempt} of job {job} is no longer held by this worker")]
    LeaseLost {
        /// The job.
        job: JobId,
        /// The attempt that is not current any more.
        attempt: u32,
    },
    /// There is no such job.
    #[error("there is no job {0}")]
    NoSuchJob(JobId),
    /// There is no such schedule.
    #[error("there is no schedule {0}")]
    NoSuchSchedule(String),
    /// The owner has another schedule of that name.
    #[error("there is a schedule '{0}' already")]
    ScheduleExists(String),
    /// There is no such agent.
    #[error("there is no agent '{0}' that somebody has added")]
    NoSuchAgent(String),
    /// There is another agent of that name.
    #[error("there is an agent '{0}' already")]
    AgentExists(String),
    /// The agent was revoked.
    #[error("agent '{0}' was revoked")]
    AgentRevoked(String),
    /// The agent has no such key.
    #[error("agent '{agent}' has no key {key}")]
    NoSuchKey {
        /// The agent.
        agent: String,
        /// The id that was named.
        key: String,
    },
    /// The operator would not be one any more.
    #[error("the agent operator is always in the group operators")]
    OperatorStays,
    /// The key was used before, for another tool or other arguments.
    #[error(
        "idempotency key '{key}' was used for job {job}, which has another tool or other arguments"
    )]
    IdempotencyConflict {
        /// The key.
        key: String,
        /// The job that has it.
        job: JobId,
    },
    /// A limit of a rule admits no more calls for now.
    #[error("{0}")]
    LimitExceeded(Exceeded),
    /// A stored row cannot be read.
    #[error("row {row} of table {table} cannot be read: {what}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The row's key.
        row: String,
        /// What is wrong with it.
        what: String,
    },
    /// A row is in a state in which this cannot happen.
    #[error(transparent)]
    Illegal(#[from] IllegalTransition),
    /// A secret can be neither sealed nor opened.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The queue has been closed.
    #[error("the queue is closed")]
    Closed,
    /// The command panicked; a defect of ours.
    #[error("a database command panicked")]
    Panicked,
    /// Anything else that the database says.
    #[error("the database refused")]
    Database(#[source] Arc<rusqlite::Error>),
}

impl QueueError {
    /// True where the same command may succeed a moment later without anybody's help or once space is freed.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Busy | Self::DiskFull | Self::Vanished(_) | Self::Database(_) => true,
            Self::LeaseLost { .. }
            | Self::NoSuchJob(_)
            | Self::NoSuchSchedule(_)
            | Self::ScheduleExists(_)
            | Self::NoSuchAgent(_)
            | Self::AgentExists(_)
            | Self::AgentRevoked(_)
            | Self::NoSuchKey { .. }
            | Self::OperatorStays
            | Self::IdempotencyConflict { .. }
            | Self::LimitExceeded(_)
            | Self::Corrupt { .. }
            | Self::Illegal(_)
            | Self::Secret(_)
            | Self::Closed
            | Self::Panicked => false,
        }
    }
}

impl From<Exceeded> for QueueError {
    fn from(exceeded: Exceeded) -> Self {
        Self::LimitExceeded(exceeded)
    }
}

impl From<rusqlite::Error> for QueueError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        match error.sqlite_error_code() {
            Some(Code::DatabaseBusy | Code::DatabaseLocked) => Self::Busy,
            Some(Code::DiskFull) => Self::DiskFull,
            _ => Self::Database(Arc::new(error)),
        }
    }
}

/// A database that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its directory or file cannot be created or read.
    #[error("cannot open the database {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is something else.
    #[error("{path} is not an SMCP database; move it away or choose another with --database")]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// A newer version wrote it.
    #[error(
        "{path} was written by a newer version of SMCP (schema {found}, this one knows up to {known}); \
         start that version, or restore a backup made before the upgrade"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The file's schema.
        found: i64,
        /// The newest schema this program knows.
        known: i64,
    },
    /// Its pages contradict each other.
    #[error(
        "{path} is damaged ({detail}); stop SMCP, keep the file, and restore the newest backup over it: \
         cp BACKUP.db {path} && rm -f {path}-wal {path}-shm"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the check found first.
        detail: String,
    },
    /// Anything else that the database says.
    #[error("cannot open the database {path}")]
    Database {
        /// The file.
        path: PathBuf,
        /// What the database said.
        #[source]
        source: rusqlite::Error,
    },
}
