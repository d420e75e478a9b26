//! The queue: durable jobs with leases, lanes and priorities, their news and output, the catalogue of tools and
//! the audit chain. The only module that speaks SQL.
//!
//! A [`Queue`] is a handle to one database. Everything it does is either a command, which is carried out in a
//! transaction and durable when the call returns, or a query, which never holds a transaction across an await.
//! Its methods are grouped by who needs them: callers (`jobs`, `waiting`), operators (`operate`, `pauses`,
//! `settings`, `audit`, `secrets`), workers at work (`attempts`), workers as such (`workers`), the catalogue of tools and what
//! has been accepted of it (`catalogue`, `pins`), MCP sessions (`sessions`), who calls (`agents`, `keys`) under which rules
//! (`policies`), the scheduler (`schedules`, `workflows`, `retention`), and whoever wants to know what rules leave (`limits`).

mod agents;
mod approvals;
mod attempts;
mod audit;
mod bell;
mod catalogue;
mod command;
mod error;
mod jobs;
mod keys;
mod leases;
mod limits;
mod operate;
mod pauses;
mod pins;
mod policies;
mod retention;
mod row;
mod schedules;
mod secrets;
mod sessions;
mod settings;
mod sqlite;
mod waiting;
mod workers;
mod workflows;

use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;

use self::sqlite::Store;
use crate::clock::SharedClock;

pub use self::agents::{Agent, GroupChange, NewAgent, Revoked};
pub use self::approvals::{OpenRequest, Vote};
pub use self::attempts::{Finish, Hold, LEASE, Lease, RENEW_EVERY, Work};
pub use self::audit::{AuditFilter, AuditPage, AuditPiece, AuditRecord, AuditState};
pub use self::bell::Wake;
pub use self::catalogue::{Catalogue, ListState, RetiredTool};
pub use self::error::{OpenError, QueueError};
pub use self::jobs::{Decided, Denial, Depth, EVENTS_BYTES, Filter, NoJob, Submitted};
pub use self::keys::{Bearer, Key, NewKey, Rotated, any_key_is_live};
pub use self::leases::LeaseWatch;
pub use self::operate::{BATCH, Each, Match, Obstacle, Selection};
pub use self::pauses::{LaneJob, LaneState, Load, Queues};
pub use self::pins::{Acceptance, NewPin, Pin, Pinned, Pins};
pub use self::policies::{Accepted, NewPolicies, PolicyState};
pub use self::retention::{Retention, Walk};
pub use self::schedules::{Fired, Firing};
pub use self::secrets::{SecretsRotated, StoredSecret};
pub use self::sessions::{Became, Session, SessionCall};
pub use self::settings::SetSetting;
pub use self::sqlite::{
    BackupError, Commit, Condition, Durability, Options, Wal, backup, check, verify_audit,
};
pub use self::workers::{SCHEDULER, SUPERVISOR, WorkerInfo, WorkerState};
pub use self::workflows::{
    AllowedBy, CheckRecord, NewWorkflow, StepRecord, Workflow, WorkflowFilter, WorkflowSubmitted,
};

/// A handle to the queue; clones share it.
#[derive(Debug, Clone)]
pub struct Queue {
    store: Arc<Store>,
    clock: SharedClock,
}

impl Queue {
    /// Opens the database, creating it if need be.
    ///
    /// Must be called inside a tokio runtime with I/O and time enabled.
    ///
    /// # Errors
    /// [`OpenError`], which names the file and says what can be done.
    pub fn open(options: &Options, clock: SharedClock) -> Result<Self, OpenError> {
        Ok(Self {
            store: Arc::new(Store::open(options, Arc::clone(&clock))?),
            clock,
        })
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        self.store.path()
    }

    /// The clock that the queue goes by.
    pub fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// Looks after the file of the database: planner statistics, and the size of the write-ahead log. Where writers have
    /// a thread of their own, that does it.
    pub fn look_after(&self) {
        self.store.look_after();
    }

    /// The size of the write-ahead log.
    pub fn wal(&self) -> Wal {
        Wal::of(self.store.path())
    }

    /// The number of the last audit record that this process has written, if it has written any.
    pub fn recorded(&self) -> watch::Receiver<i64> {
        self.store.recorded()
    }

    /// A counter that grows when there may be news, by this process or another.
    pub fn news(&self) -> watch::Receiver<u64> {
        self.store.news()
    }
}

#[cfg(test)]
mod tests;
