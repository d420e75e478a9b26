//! Settings that operators change while SMCP runs.

use std::time::Duration;

use rusqlite::OptionalExtension;

use super::command as c;
use super::{Queue, QueueError};
use crate::clock::Timestamp;
use crate::plugin::Binding;
use crate::policy::Grant;
use crate::setting::Setting;

/// What somebody has set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetSetting {
    /// The setting.
    pub setting: Setting,
    /// Its value.
    pub value: i64,
    /// Since when.
    pub at: Timestamp,
    /// Who set it.
    pub by: String,
}

impl Queue {
    /// The settings that have been set, in no order; all others have their defaults.
    ///
    /// # Errors
    /// Database errors.
    pub fn settings(&self) -> Result<Vec<SetSetting>, QueueError> {
        self.store.read(|connection| {
            let mut statement = connection.prepare_cached(include_str!("sql/setting_list.sql"))?;
            let mut rows = statement.query([])?;
            let mut settings = Vec::new();
            while let Some(row) = rows.next()? {
                // A version that is gone may have known others.
                if let Some(setting) = Setting::find(row.get_ref(0)?.as_str().unwrap_or_default()) {
                    settings.push(SetSetting {
                        setting,
                        value: row.get(1)?,
                        at: Timestamp::from_millis(row.get(2)?),
                        by: row.get(3)?,
                    });
                }
            }
            Ok(settings)
        })
    }

    /// What a setting has been set to; `None` where it has its default.
    ///
    /// # Errors
    /// Database errors.
    pub fn setting(&self, setting: Setting) -> Result<Option<i64>, QueueError> {
        self.store.read(|connection| {
            Ok(connection
                .prepare_cached(include_str!("sql/setting_get.sql"))?
                .query_row([setting.name()], |row| row.get(0))
                .optional()?)
        })
    }

    /// When a call that asks for an approval now is given up.
    ///
    /// # Errors
    /// Database errors.
    pub fn approval_until(&self) -> Result<Timestamp, QueueError> {
        Ok(self.given_up(self.setting(Setting::ApprovalExpiry)?))
    }

    fn given_up(&self, set: Option<i64>) -> Timestamp {
        let seconds = set.unwrap_or_else(|| Setting::ApprovalExpiry.default());
        let patience = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        self.clock.now().plus(patience)
    }

    /// What the approval of a call is bound to, where `grant` needs one; `plugin` is the digest of its files. The setting is read
    /// only then, as most calls need none. Where it cannot be, its default counts: that is no reason to lose a tick or a step.
    pub fn binding(&self, grant: &Grant, plugin: &str) -> Binding {
        let until = match &grant.obligations.approval {
            Some(_) => self.approval_until().unwrap_or_else(|error| {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "the default of approvals.expire_s is taken");
                self.given_up(None)
            }),
            None => self.clock.now(),
        };
        Binding {
            plugin: plugin.to_owned(),
            until,
        }
    }

    /// Sets a setting to what [`Setting::read`] has admitted, or with `None` back to its default. To set what is set
    /// already changes nothing, and is not recorded.
    ///
    /// # Errors
    /// Database errors.
    pub async fn set_setting(
        &self,
        setting: Setting,
        value: Option<i64>,
        by: &str,
    ) -> Result<(), QueueError> {
        let by = by.to_owned();
        self.store.write(c::SetSetting { setting, value, by }).await
    }
}
