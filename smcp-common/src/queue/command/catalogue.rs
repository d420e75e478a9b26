//! The catalogue of tools: an API asks for a scan, one worker at a time does it and stores what it found.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rusqlite::{OptionalExtension, params};
use serde_json::json;

use super::{Command, Tx, pin};
use crate::plugin::{Plugin, ToolName};
use crate::queue::{Pinned, QueueError, row};

/// A worker that scans for longer than this is taken to have died.
const SCAN_LEASE: Duration = Duration::from_mins(2);

/// Asks the workers to look at the plugin directories again; answers the number of the scan to wait for.
#[derive(Debug)]
pub(in crate::queue) struct CatalogueWant {
    pub(in crate::queue) by: String,
}

impl Command for CatalogueWant {
    type Answer = i64;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<i64, QueueError> {
        let wanted = tx
            .connection
            .prepare_cached(include_str!("../sql/catalogue_want.sql"))?
            .query_row([], |row| row.get(0))?;
        asked(tx, &self.by, wanted)?;
        Ok(wanted)
    }
}

/// The same, unless somebody has asked since `newest` was the newest scan that was wanted.
#[derive(Debug)]
pub(in crate::queue) struct CatalogueWantUnless {
    pub(in crate::queue) by: String,
    pub(in crate::queue) newest: i64,
}

impl Command for CatalogueWantUnless {
    type Answer = Option<i64>;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<Option<i64>, QueueError> {
        let wanted = tx
            .connection
            .prepare_cached(include_str!("../sql/catalogue_want_unless.sql"))?
            .query_row([self.newest], |row| row.get(0))
            .optional()?;
        if let Some(wanted) = wanted {
            asked(tx, &self.by, wanted)?;
        }
        Ok(wanted)
    }
}

fn asked(tx: &mut Tx<'_>, by: &str, wanted: i64) -> Result<(), QueueError> {
    tx.marks.rings = true;
    tx.audit(
        "plugins.scan_requested",
        by,
        None,
        &json!({ "scan": wanted }),
    )
}

/// Takes on the scan that is wanted, if one is and nobody is at it.
#[derive(Debug)]
pub(in crate::queue) struct CatalogueTake {
    pub(in crate::queue) worker: String,
}

impl Command for CatalogueTake {
    type Answer = Option<i64>;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<Option<i64>, QueueError> {
        let until = tx.now.plus(SCAN_LEASE).as_millis();
        Ok(tx
            .connection
            .prepare_cached(include_str!("../sql/catalogue_take.sql"))?
            .query_row(params![self.worker, until, tx.now.as_millis()], |row| {
                row.get(0)
            })
            .optional()?)
    }
}

/// Stores what a scan found; rows are written only where something differs.
#[derive(Debug)]
pub(in crate::queue) struct CatalogueDone {
    pub(in crate::queue) worker: String,
    pub(in crate::queue) wanted: i64,
    pub(in crate::queue) plugins: Vec<Plugin>,
    pub(in crate::queue) problems: Vec<String>,
    /// What is accepted by the way; `None` where plugins are not pinned.
    pub(in crate::queue) pinned: Option<Pinned>,
}

impl Command for CatalogueDone {
    /// True when the catalogue differs from before.
    type Answer = bool;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<bool, QueueError> {
        // Another worker is at it, or has done it: what this one saw may be older.
        if !tx
            .connection
            .prepare_cached(include_str!("../sql/catalogue_is_scanner.sql"))?
            .exists([&self.worker])?
        {
            return Ok(false);
        }
        let before = row::plugin_texts(tx.connection)?;
        let mut after = BTreeMap::new();
        for plugin in &self.plugins {
            let text = serde_json::to_string(plugin).map_err(|error| QueueError::Corrupt {
                table: "plugins",
                row: plugin.name.clone(),
                what: error.to_string(),
            })?;
            after.insert(plugin.name.clone(), (plugin.digest.clone(), text));
        }
        for (name, (digest, text)) in &after {
            if before.get(name) != Some(text) {
                tx.execute(
                    include_str!("../sql/plugin_upsert.sql"),
                    params![name, digest, text],
                )?;
            }
        }
        let by = format!("worker:{}", self.worker);
        for plugin in &self.plugins {
            let before = before.get(&plugin.name).map(String::as_str);
            pin::record_difference(tx, &by, before, plugin)?;
        }
        if let Some(pinned) = &self.pinned {
            pin::scanned(tx, &by, &self.plugins, pinned)?;
        }
        for name in before.keys().filter(|name| !after.contains_key(*name)) {
            tx.execute(include_str!("../sql/plugin_delete.sql"), [name])?;
        }
        let changed = before.len() != after.len()
            || before
                .iter()
                .any(|(name, text)| after.get(name).map(|(_, text)| text) != Some(text));
        if changed {
            retire(tx, &before, &self.plugins)?;
            self.record(tx, &before, &after)?;
        }
        let problems = serde_json::Value::from(self.problems.clone()).to_string();
        let now = tx.now.as_millis();
        tx.execute(
            include_str!("../sql/catalogue_done.sql"),
            params![self.worker, self.wanted, i64::from(changed), now, problems],
        )?;
        tx.marks.rings = true;
        Ok(changed)
    }
}

impl CatalogueDone {
    /// The audit record of which plugins are others now.
    fn record(
        &self,
        tx: &mut Tx<'_>,
        before: &BTreeMap<String, String>,
        after: &BTreeMap<String, (String, String)>,
    ) -> Result<(), QueueError> {
        let (mut added, mut changed) = (BTreeMap::new(), BTreeMap::new());
        for (name, (digest, text)) in after {
            match before.get(name) {
                None => added.insert(name, digest),
                Some(known) if known != text => changed.insert(name, digest),
                Some(_) => None,
            };
        }
        let removed: Vec<_> = before
            .keys()
            .filter(|name| !after.contains_key(*name))
            .collect();
        let data = json!({"added": added, "changed": changed, "removed": removed});
        tx.audit(
            "plugins.changed",
            &format!("worker:{}", self.worker),
            None,
            &data,
        )
    }
}

/// Remembers the tools that are no more, and forgets that those were gone which are back.
fn retire(
    tx: &Tx<'_>,
    before: &BTreeMap<String, String>,
    after: &[Plugin],
) -> Result<(), QueueError> {
    let names = |plugin: &Plugin| -> Vec<ToolName> {
        plugin.tools.iter().map(|tool| tool.name.clone()).collect()
    };
    let there: BTreeSet<_> = after.iter().flat_map(names).collect();
    let now = tx.now.as_millis();
    // A row that cannot be read, such as one of another version of this program, offered nothing that can be told.
    let known = before
        .values()
        .filter_map(|text| serde_json::from_str(text).ok());
    let mut were_there = BTreeSet::new();
    for plugin in known {
        let plugin: Plugin = plugin;
        for name in names(&plugin) {
            if !there.contains(&name) {
                tx.execute(
                    include_str!("../sql/retired_insert.sql"),
                    params![name.as_str(), plugin.name, now],
                )?;
            }
            were_there.insert(name);
        }
    }
    for name in there.difference(&were_there) {
        tx.execute(include_str!("../sql/retired_delete.sql"), [name.as_str()])?;
    }
    Ok(())
}
