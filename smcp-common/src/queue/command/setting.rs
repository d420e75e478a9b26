//! Settings that operators change, each change with who made it.

use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use super::{Command, Tx};
use crate::queue::QueueError;
use crate::setting::Setting;

/// Sets a setting, or with `None` goes back to its default.
#[derive(Debug)]
pub(in crate::queue) struct SetSetting {
    pub(in crate::queue) setting: Setting,
    pub(in crate::queue) value: Option<i64>,
    pub(in crate::queue) by: String,
}

/// The details of a change. No number means the default.
#[derive(Debug, Serialize)]
struct Changed {
    new: Option<i64>,
    old: Option<i64>,
    setting: Setting,
}

impl Command for SetSetting {
    type Answer = ();

    fn apply(&self, tx: &mut Tx<'_>) -> Result<(), QueueError> {
        let name = self.setting.name();
        let old = tx
            .connection
            .prepare_cached(include_str!("../sql/setting_get.sql"))?
            .query_row([name], |row| row.get(0))
            .optional()?;
        if old == self.value {
            return Ok(());
        }
        match self.value {
            Some(value) => tx.execute(
                include_str!("../sql/setting_set.sql"),
                params![name, value, tx.now.as_millis(), self.by],
            )?,
            None => tx.execute(include_str!("../sql/setting_unset.sql"), [name])?,
        };
        tx.marks.rings = true;
        let data = Changed {
            new: self.value,
            old,
            setting: self.setting,
        };
        tx.audit("setting.changed", &self.by, None, &data)
    }
}
