//! Plugins are accepted: by a scan that sees them for the first time, or by an operator who has looked at them.

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::{Command, Tx, json};
use crate::plugin::{Integrity, Plugin, Sight};
use crate::queue::{Acceptance, NewPin, Pinned, QueueError, pins, row};

/// The digest that has been accepted of a plugin.
pub(in crate::queue) fn accepted_digest(
    connection: &Connection,
    plugin: &str,
) -> Result<Option<String>, QueueError> {
    let mut statement = connection.prepare_cached(include_str!("../sql/pin_digest.sql"))?;
    Ok(statement.query_row([plugin], |row| row.get(0)).optional()?)
}

/// Asks a worker to describe a quarantined plugin, as long as it has that digest.
#[derive(Debug)]
pub(in crate::queue) struct AskReview {
    pub(in crate::queue) plugin: String,
    pub(in crate::queue) digest: String,
    pub(in crate::queue) by: String,
}

#[derive(Serialize)]
struct ReviewAsked<'a> {
    digest: &'a str,
    plugin: &'a str,
    scan: i64,
}

impl Command for AskReview {
    /// The scan that does it.
    type Answer = i64;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<i64, QueueError> {
        let Self { plugin, digest, by } = self;
        tx.execute(
            include_str!("../sql/review_ask.sql"),
            params![plugin, digest],
        )?;
        let scan = want_scan(tx)?;
        let data = ReviewAsked {
            digest,
            plugin,
            scan,
        };
        tx.audit("plugin.review_requested", by, None, &data)?;
        Ok(scan)
    }
}

/// Accepts a plugin, as long as it has that digest.
#[derive(Debug)]
pub(in crate::queue) struct AcceptPlugin {
    pub(in crate::queue) plugin: String,
    pub(in crate::queue) digest: String,
    pub(in crate::queue) by: String,
}

#[derive(Serialize)]
struct Accepted<'a> {
    digest: &'a str,
    plugin: &'a str,
    replaced: Option<&'a str>,
}

impl Command for AcceptPlugin {
    type Answer = Acceptance;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<Acceptance, QueueError> {
        let Self { plugin, digest, by } = self;
        let found: Option<(String, String)> = tx
            .connection
            .prepare_cached(include_str!("../sql/plugin_get.sql"))?
            .query_row([plugin], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((found, data)) = found else {
            return Ok(Acceptance::NoSuchPlugin);
        };
        if found != *digest || found.is_empty() {
            return Ok(Acceptance::DigestChanged(found));
        }
        let replaced = accepted_digest(tx.connection, plugin)?;
        if replaced.as_ref() == Some(digest) {
            return Ok(Acceptance::AlreadyAccepted);
        }
        let served: Plugin = serde_json::from_str(&data)
            .map_err(|error| row::corrupt("plugins", plugin, &error.to_string()))?;
        let described = if served.is_quarantined() {
            pins::review(tx.connection, plugin, digest)?
        } else {
            Some(served)
        };
        let Some(described) = described else {
            return Ok(Acceptance::NotReviewed);
        };
        pin(tx, &described, by)?;
        tx.execute(include_str!("../sql/review_delete.sql"), [plugin])?;
        let scan = want_scan(tx)?;
        let data = Accepted {
            digest,
            plugin,
            replaced: replaced.as_deref(),
        };
        tx.audit("plugin.accepted", by, None, &data)?;
        Ok(Acceptance::Accepted { replaced, scan })
    }
}

/// Stores what a scan accepts and what it has described for an operator; `plugins` are those that it found.
pub(super) fn scanned(
    tx: &mut Tx<'_>,
    by: &str,
    plugins: &[Plugin],
    pinned: &Pinned,
) -> Result<(), QueueError> {
    tx.execute(include_str!("../sql/pin_begin.sql"), [tx.now.as_millis()])?;
    for new in &pinned.accepted {
        let found = plugins.iter().find(|plugin| plugin.name == new.plugin);
        // Where an operator has decided meanwhile, that holds.
        let stands = accepted_digest(tx.connection, &new.plugin)? == new.replaced;
        if let Some(found) = found.filter(|_| stands) {
            accept(tx, by, found, new)?;
        }
    }
    for plugin in &pinned.reviewed {
        let data = json("pin_reviews", &plugin.name, plugin)?;
        tx.execute(
            include_str!("../sql/review_answer.sql"),
            params![plugin.name, plugin.digest, data],
        )?;
    }
    Ok(())
}

#[derive(Serialize)]
struct PinnedRecord<'a> {
    digest: &'a str,
    plugin: &'a str,
    replaced: Option<&'a str>,
    sight: Sight,
}

fn accept(tx: &mut Tx<'_>, by: &str, plugin: &Plugin, new: &NewPin) -> Result<(), QueueError> {
    pin(tx, plugin, by)?;
    let data = PinnedRecord {
        digest: &plugin.digest,
        plugin: &plugin.name,
        replaced: new.replaced.as_deref(),
        sight: new.sight,
    };
    tx.audit("plugin.pinned", by, None, &data)
}

#[derive(Serialize)]
struct Differs<'a> {
    accepted: Option<&'a str>,
    digest: &'a str,
    plugin: &'a str,
}

/// Records that a plugin is no longer, or never was, what has been accepted of it; `before` is its row until now.
pub(super) fn record_difference(
    tx: &mut Tx<'_>,
    by: &str,
    before: Option<&str>,
    plugin: &Plugin,
) -> Result<(), QueueError> {
    let (kind, accepted) = match &plugin.integrity {
        None | Some(Integrity::Accepted) => return Ok(()),
        Some(Integrity::Changed { accepted }) => ("plugin.changed", Some(accepted.as_str())),
        Some(Integrity::Quarantined { accepted }) => ("plugin.quarantined", accepted.as_deref()),
    };
    let before: Option<Plugin> = before.and_then(|text| serde_json::from_str(text).ok());
    let known = before.is_some_and(|before| {
        (&before.digest, &before.integrity) == (&plugin.digest, &plugin.integrity)
    });
    if known {
        return Ok(());
    }
    let data = Differs {
        accepted,
        digest: &plugin.digest,
        plugin: &plugin.name,
    };
    tx.audit(kind, by, None, &data)
}

fn pin(tx: &Tx<'_>, plugin: &Plugin, by: &str) -> Result<(), QueueError> {
    let described = Plugin {
        integrity: None,
        ..plugin.clone()
    };
    let data = json("pins", &plugin.name, &described)?;
    tx.execute(
        include_str!("../sql/pin_upsert.sql"),
        params![plugin.name, plugin.digest, data, tx.now.as_millis(), by],
    )?;
    Ok(())
}

fn want_scan(tx: &mut Tx<'_>) -> Result<i64, QueueError> {
    tx.marks.rings = true;
    Ok(tx
        .connection
        .prepare_cached(include_str!("../sql/catalogue_want.sql"))?
        .query_row([], |row| row.get(0))?)
}
