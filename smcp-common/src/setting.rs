//! Settings that operators change while SMCP runs: their names, bounds, units and defaults. Pure; the queue stores
//! what is set, and who set it. What a process must know before it can open the queue is in [`config`](crate::config).

use serde::{Serialize, Serializer};
use serde_json::Value;

const YEAR_S: i64 = 365 * 24 * 60 * 60;
const DAY_S: i64 = 24 * 60 * 60;

/// A setting that can be changed while SMCP runs. Its value is a whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setting {
    /// How long a call waits for an approval.
    ApprovalExpiry,
    /// After how many unsigned audit records a checkpoint is made.
    AuditCheckpointRecords,
    /// How long after the first unsigned audit record a checkpoint is made.
    AuditCheckpointAge,
    /// The attempts that a caller may ask for.
    JobAttempts,
    /// How long ended jobs are kept.
    RetentionAge,
    /// How many ended jobs are kept.
    RetentionJobs,
    /// How long an ended job is kept in any case.
    RetentionKeep,
    /// How many workers `smcp up` keeps running.
    WorkerCount,
}

/// What the number of a setting counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Attempts of a job.
    Attempts,
    /// Jobs.
    Jobs,
    /// Audit records.
    Records,
    /// Seconds: the setting is a duration.
    Seconds,
    /// Worker processes.
    Workers,
}

impl Unit {
    /// The name, as shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Attempts => "attempts",
            Self::Jobs => "jobs",
            Self::Records => "records",
            Self::Seconds => "seconds",
            Self::Workers => "workers",
        }
    }
}

/// A value that a setting cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is {given}, but must be a number of {} between {} and {}", setting.name(), setting.unit().as_str(), setting.least(), setting.most())]
pub struct InvalidSetting {
    /// The setting.
    pub setting: Setting,
    /// What it was to be, as JSON.
    pub given: String,
}

impl Setting {
    /// All of them, by name.
    pub const ALL: [Self; 8] = [
        Self::ApprovalExpiry,
        Self::AuditCheckpointRecords,
        Self::AuditCheckpointAge,
        Self::JobAttempts,
        Self::RetentionAge,
        Self::RetentionJobs,
        Self::RetentionKeep,
        Self::WorkerCount,
    ];

    /// Its name. Where it is a duration, the name ends with its unit.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ApprovalExpiry => "approvals.expire_s",
            Self::AuditCheckpointRecords => "audit.checkpoint_records",
            Self::AuditCheckpointAge => "audit.checkpoint_s",
            Self::JobAttempts => "jobs.max_attempts",
            Self::RetentionAge => "retention.age_s",
            Self::RetentionJobs => "retention.jobs",
            Self::RetentionKeep => "retention.keep_s",
            Self::WorkerCount => "workers.count",
        }
    }

    /// The setting of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|setting| setting.name() == name)
    }

    /// What it does, in a sentence.
    pub const fn description(self) -> &'static str {
        match self {
            Self::ApprovalExpiry => {
                "A call that needs an approval is given up where nobody has given it for so long."
            }
            Self::AuditCheckpointRecords => {
                "So many audit records are signed together at the latest."
            }
            Self::AuditCheckpointAge => "An audit record is signed so long after it was written.",
            Self::JobAttempts => "The most attempts that a caller may ask for.",
            Self::RetentionAge => "Jobs are pruned so long after their end.",
            Self::RetentionJobs => "So many ended jobs are kept at most; the oldest go first.",
            Self::RetentionKeep => {
                "An ended job is kept for at least so long, whatever the other two say."
            }
            Self::WorkerCount => "Worker processes that smcp up keeps running.",
        }
    }

    /// What it counts.
    pub const fn unit(self) -> Unit {
        match self {
            Self::AuditCheckpointRecords => Unit::Records,
            Self::JobAttempts => Unit::Attempts,
            Self::ApprovalExpiry
            | Self::AuditCheckpointAge
            | Self::RetentionAge
            | Self::RetentionKeep => Unit::Seconds,
            Self::RetentionJobs => Unit::Jobs,
            Self::WorkerCount => Unit::Workers,
        }
    }

    /// The least that it can be.
    pub const fn least(self) -> i64 {
        match self {
            Self::ApprovalExpiry
            | Self::AuditCheckpointRecords
            | Self::AuditCheckpointAge
            | Self::JobAttempts => 1,
            // Whoever has waited for a job must find it: a slow reader is given 30 s to take an answer.
            Self::RetentionAge | Self::RetentionKeep => 60,
            Self::RetentionJobs | Self::WorkerCount => 0,
        }
    }

    /// The most that it can be.
    pub const fn most(self) -> i64 {
        match self {
            Self::AuditCheckpointRecords => 1_000_000,
            Self::AuditCheckpointAge => DAY_S,
            Self::JobAttempts => 100,
            Self::ApprovalExpiry => 30 * DAY_S,
            Self::RetentionAge | Self::RetentionKeep => 10 * YEAR_S,
            Self::RetentionJobs => 1_000_000_000,
            Self::WorkerCount => 256,
        }
    }

    /// What it is where nobody has set it. For [`Setting::WorkerCount`] `smcp.toml` may say something else.
    pub const fn default(self) -> i64 {
        match self {
            Self::ApprovalExpiry => DAY_S,
            Self::AuditCheckpointRecords => 1_000,
            Self::AuditCheckpointAge => 60,
            Self::JobAttempts => 25,
            Self::RetentionAge => 30 * DAY_S,
            Self::RetentionJobs => 100_000,
            Self::RetentionKeep => 60 * 60,
            Self::WorkerCount => 1,
        }
    }

    /// Reads a new value.
    ///
    /// # Errors
    /// [`InvalidSetting`], which says what it may be.
    pub fn read(self, value: &Value) -> Result<i64, InvalidSetting> {
        value
            .as_i64()
            .filter(|number| (self.least()..=self.most()).contains(number))
            .ok_or_else(|| InvalidSetting {
                setting: self,
                given: value.to_string(),
            })
    }
}

impl Serialize for Setting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_setting_is_found_by_its_name_and_has_a_default_that_it_can_have() {
        let names: Vec<_> = Setting::ALL.iter().map(|setting| setting.name()).collect();
        assert!(names.is_sorted(), "{names:?}");
        for setting in Setting::ALL {
            assert_eq!(Setting::find(setting.name()), Some(setting));
            let default = setting.default();
            assert_eq!(setting.read(&json!(default)), Ok(default));
            let is_duration = setting.unit() == Unit::Seconds;
            assert_eq!(setting.name().ends_with("_s"), is_duration);
        }
        assert_eq!(Setting::find("retention"), None);
    }

    #[test]
    fn a_value_is_a_whole_number_within_its_bounds() {
        let rows = [
            (Setting::WorkerCount, json!(0), Some(0)),
            (Setting::WorkerCount, json!(256), Some(256)),
            (Setting::WorkerCount, json!(257), None),
            (Setting::WorkerCount, json!(-1), None),
            (Setting::WorkerCount, json!(1.5), None),
            (Setting::WorkerCount, json!("4"), None),
            (Setting::WorkerCount, json!(null), None),
            (Setting::RetentionAge, json!(59), None),
            (Setting::RetentionAge, json!(315_360_000), Some(315_360_000)),
            (Setting::RetentionAge, json!(u64::MAX), None),
            (Setting::JobAttempts, json!(101), None),
        ];
        for (setting, value, expected) in rows {
            assert_eq!(setting.read(&value).ok(), expected, "{setting:?} {value}");
        }
        assert_eq!(
            Setting::RetentionKeep
                .read(&json!("1h"))
                .unwrap_err()
                .to_string(),
            r#"retention.keep_s is "1h", but must be a number of seconds between 60 and 315360000"#
        );
    }
}
