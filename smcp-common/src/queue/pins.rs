//! Plugins that have been accepted, and quarantined ones that an operator looks at.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row};

use super::command as c;
use super::{Queue, QueueError, row};
use crate::clock::Timestamp;
use crate::plugin::{Plugin, Sight};

/// What has been accepted of a plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct Pin {
    /// The plugin's name.
    pub plugin: String,
    /// The digest that was accepted.
    pub digest: String,
    /// The plugin as it described itself then; `None` where that was written by a version that wrote it differently.
    pub described: Option<Plugin>,
    /// When it was accepted.
    pub at: Timestamp,
    /// By whom: an agent, or `worker:ID`.
    pub by: String,
}

/// All that a scan has to know of what has been accepted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pins {
    /// Since when plugins are pinned; `None` where the first scan that does so is still to come.
    pub since: Option<Timestamp>,
    /// What has been accepted, by plugin.
    pub accepted: BTreeMap<String, Pin>,
    /// The quarantined plugins that a worker is asked to describe, each with the digest for which it may.
    pub reviews: BTreeMap<String, String>,
}

/// A plugin that a scan accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPin {
    /// Its name.
    pub plugin: String,
    /// Why.
    pub sight: Sight,
    /// The digest that had been accepted before.
    pub replaced: Option<String>,
}

/// What a scan with pins found beside the plugins themselves.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pinned {
    /// The plugins that are accepted as they are now.
    pub accepted: Vec<NewPin>,
    /// The quarantined plugins that were described for an operator.
    pub reviewed: Vec<Plugin>,
}

/// What came of accepting a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acceptance {
    /// It is accepted.
    Accepted {
        /// The digest that had been accepted before.
        replaced: Option<String>,
        /// The scan that takes it out of quarantine.
        scan: i64,
    },
    /// It had been accepted as it is.
    AlreadyAccepted,
    /// Its files have another digest, this one.
    DigestChanged(String),
    /// No worker has described it as it is, so that nobody can have looked at it.
    NotReviewed,
    /// There is no such plugin.
    NoSuchPlugin,
}

impl Queue {
    /// All that a scan has to know of what has been accepted.
    ///
    /// # Errors
    /// Database errors.
    pub fn pins(&self) -> Result<Pins, QueueError> {
        self.store.read(|connection| {
            let since: Option<i64> = connection
                .prepare_cached(include_str!("sql/pin_begun.sql"))?
                .query_row([], |row| row.get(0))?;
            let mut statement = connection.prepare_cached(include_str!("sql/pin_list.sql"))?;
            let pins = statement.query_map([], pin)?;
            let accepted = pins.map(|pin| pin.map(|pin| (pin.plugin.clone(), pin)));
            let mut reviews = connection.prepare_cached(include_str!("sql/review_open.sql"))?;
            let reviews = reviews.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(Pins {
                since: since.map(Timestamp::from_millis),
                accepted: accepted.collect::<Result<_, _>>()?,
                reviews: reviews.collect::<Result<_, _>>()?,
            })
        })
    }

    /// What has been accepted of a plugin.
    ///
    /// # Errors
    /// Database errors.
    pub fn pin(&self, plugin: &str) -> Result<Option<Pin>, QueueError> {
        self.store.read(|connection| {
            let mut statement = connection.prepare_cached(include_str!("sql/pin_get.sql"))?;
            Ok(statement.query_row([plugin], pin).optional()?)
        })
    }

    /// The digest that has been accepted of a plugin.
    ///
    /// # Errors
    /// Database errors.
    pub fn accepted_digest(&self, plugin: &str) -> Result<Option<String>, QueueError> {
        self.store
            .read(|connection| c::accepted_digest(connection, plugin))
    }

    /// A quarantined plugin of that digest as it describes itself, where a worker has been asked and has answered.
    ///
    /// # Errors
    /// Database errors.
    pub fn review(&self, plugin: &str, digest: &str) -> Result<Option<Plugin>, QueueError> {
        self.store
            .read(|connection| review(connection, plugin, digest))
    }

    /// Asks a worker to describe a quarantined plugin, as long as its digest is that one; answers the number of the scan
    /// after which [`Queue::review`] has the answer.
    ///
    /// # Errors
    /// Database errors.
    pub async fn ask_review(
        &self,
        plugin: &str,
        digest: &str,
        by: &str,
    ) -> Result<i64, QueueError> {
        self.store
            .write(c::AskReview {
                plugin: plugin.to_owned(),
                digest: digest.to_owned(),
                by: by.to_owned(),
            })
            .await
    }

    /// Accepts a plugin, as long as its digest is that one. `by` is who looked at it.
    ///
    /// # Errors
    /// Database errors.
    pub async fn accept_plugin(
        &self,
        plugin: &str,
        digest: &str,
        by: &str,
    ) -> Result<Acceptance, QueueError> {
        self.store
            .write(c::AcceptPlugin {
                plugin: plugin.to_owned(),
                digest: digest.to_owned(),
                by: by.to_owned(),
            })
            .await
    }

    /// Stores what a scan found, as [`Queue::finish_scan`] does, and what it accepts.
    ///
    /// # Errors
    /// Database errors.
    pub async fn finish_pinned_scan(
        &self,
        worker: &str,
        wanted: i64,
        plugins: Vec<Plugin>,
        problems: Vec<String>,
        pinned: Pinned,
    ) -> Result<bool, QueueError> {
        self.store
            .write(c::CatalogueDone {
                worker: worker.to_owned(),
                wanted,
                plugins,
                problems,
                pinned: Some(pinned),
            })
            .await
    }
}

pub(super) fn review(
    connection: &Connection,
    plugin: &str,
    digest: &str,
) -> Result<Option<Plugin>, QueueError> {
    let data: Option<String> = connection
        .prepare_cached(include_str!("sql/review_get.sql"))?
        .query_row([plugin, digest], |row| row.get(0))
        .optional()?;
    data.map(|data| {
        serde_json::from_str(&data)
            .map_err(|error| row::corrupt("pin_reviews", plugin, &error.to_string()))
    })
    .transpose()
}

/// Reads the columns of `pin_get.sql`.
fn pin(row: &Row<'_>) -> rusqlite::Result<Pin> {
    Ok(Pin {
        plugin: row.get(0)?,
        digest: row.get(1)?,
        described: serde_json::from_str(&row.get::<_, String>(2)?).ok(),
        at: Timestamp::from_millis(row.get(3)?),
        by: row.get(4)?,
    })
}
