//! What every call shares.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use smcp_common::audit::PublicKey;
use smcp_common::clock::Timestamp;
use smcp_common::config::{Calls, Sandbox};
use smcp_common::key_file::Key;
use smcp_common::queue::{Queue, QueueError};
use smcp_common::setting::Setting;
use tokio_util::sync::CancellationToken;

use crate::mcp::announce::Announcer;
use crate::profiles::Profiles;
use crate::rules::Rules;
use crate::strangers::Strangers;
use crate::tools::ToolTable;
use crate::watch::Watch;

/// The state of an API process. All that must survive it is in the queue.
#[derive(Debug)]
pub struct App {
    /// Jobs, catalogue, audit.
    pub queue: Queue,
    /// The tools that can be called.
    pub tools: ToolTable,
    /// The rules in force.
    pub rules: Rules,
    /// Which tools agents start with.
    pub profiles: Profiles,
    /// What verifies the checkpoints of the audit chain.
    pub audit_key: PublicKey,
    /// News of jobs.
    pub watch: Watch,
    /// Changes of what callers are listed.
    pub announcer: Announcer,
    /// Who has been refused without being known.
    pub strangers: Strangers,
    /// What links to approvals are signed with.
    pub link_key: Key,
    /// What plugins are granted, for whoever asks what would happen.
    pub sandbox: Sandbox,
    /// The time limit of tools that declare none.
    pub default_timeout: Option<Duration>,
    /// The workers that `smcp up` keeps running where nobody has said how many.
    pub default_workers: u16,
    /// The most bytes of JSON that the arguments of a call may have.
    pub max_arguments_bytes: usize,
    /// How long callers wait.
    pub calls: Calls,
    /// Cancelled when this process is to stop: whoever waits for a job is told how to go on without it.
    pub drain: CancellationToken,
    /// When this process started.
    pub started_at: Timestamp,
    /// What it has done since.
    pub counters: Counters,
}

impl App {
    /// What a setting is now.
    ///
    /// # Errors
    /// Database errors.
    pub fn setting(&self, setting: Setting) -> Result<i64, QueueError> {
        let set = self.queue.setting(setting)?;
        Ok(set.unwrap_or_else(|| self.default(setting)))
    }

    /// What a setting is where nobody has set it.
    pub fn default(&self, setting: Setting) -> i64 {
        match setting {
            Setting::WorkerCount => self.default_workers.into(),
            Setting::ApprovalExpiry
            | Setting::AuditCheckpointRecords
            | Setting::AuditCheckpointAge
            | Setting::JobAttempts
            | Setting::RetentionAge
            | Setting::RetentionJobs
            | Setting::RetentionKeep => setting.default(),
        }
    }
}

/// Calls of plugin tools that this process has answered, by how they ended.
#[derive(Debug, Default)]
pub struct Counters {
    success: AtomicU64,
    error: AtomicU64,
}

impl Counters {
    /// Counts an answer.
    pub fn answered(&self, is_error: bool) {
        let counter = if is_error { &self.error } else { &self.success };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Successes and errors so far.
    pub fn read(&self) -> (u64, u64) {
        (
            self.success.load(Ordering::Relaxed),
            self.error.load(Ordering::Relaxed),
        )
    }
}
