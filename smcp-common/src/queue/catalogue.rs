//! The catalogue of tools, scanned by workers and read by the API; and which of them each agent keeps attached.

use std::collections::BTreeSet;
use std::path::PathBuf;

use rusqlite::OptionalExtension;

use super::command as c;
use super::{Queue, QueueError, row};
use crate::clock::Timestamp;
use crate::plugin::Plugin;

/// The catalogue of tools as last scanned.
#[derive(Debug, Clone, PartialEq)]
pub struct Catalogue {
    /// Grows with every change.
    pub version: i64,
    /// The newest scan that was asked for.
    pub wanted: i64,
    /// The newest scan that was done.
    pub scanned: i64,
    /// When that was.
    pub scanned_at: Option<Timestamp>,
    /// What was wrong with the directories themselves.
    pub problems: Vec<String>,
    /// The plugins, by name.
    pub plugins: Vec<Plugin>,
}

/// What decides which tools callers are listed; it differs from before where a list may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListState {
    /// The version of the catalogue.
    pub version: i64,
    /// Grows when an agent attaches or detaches tools, or its groups change.
    pub choices: i64,
    /// The version of the rules.
    pub rules: i64,
}

/// A tool that was there once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetiredTool {
    /// The plugin that offered it.
    pub plugin: String,
    /// The scan that no longer found it.
    pub retired_at: Timestamp,
}

impl Queue {
    /// The version of the catalogue of tools, to know whether it has to be read again.
    ///
    /// # Errors
    /// Database errors.
    pub fn catalogue_version(&self) -> Result<i64, QueueError> {
        self.store.read(|connection| {
            let mut statement =
                connection.prepare_cached(include_str!("sql/catalogue_state.sql"))?;
            Ok(statement.query_row([], |row| row.get(2))?)
        })
    }

    /// Whether a scan has been asked for that nobody has done.
    ///
    /// # Errors
    /// Database errors.
    pub fn wants_scan(&self) -> Result<bool, QueueError> {
        self.store.read(|connection| {
            let mut statement =
                connection.prepare_cached(include_str!("sql/catalogue_state.sql"))?;
            Ok(statement.query_row([], |row| Ok(row.get::<_, i64>(0)? > row.get::<_, i64>(1)?))?)
        })
    }

    /// What decides which tools callers are listed, to know whether a list has to be made again.
    ///
    /// # Errors
    /// Database errors.
    pub fn list_state(&self) -> Result<ListState, QueueError> {
        self.store.read(|connection| {
            let mut statement =
                connection.prepare_cached(include_str!("sql/catalogue_state.sql"))?;
            Ok(statement.query_row([], |row| {
                Ok(ListState {
                    version: row.get(2)?,
                    choices: row.get(5)?,
                    rules: row.get(6)?,
                })
            })?)
        })
    }

    /// What became of a tool that is not in the catalogue; `None` where it never was.
    ///
    /// # Errors
    /// Database errors.
    pub fn retired_tool(&self, name: &str) -> Result<Option<RetiredTool>, QueueError> {
        self.store.read(|connection| {
            let mut statement = connection.prepare_cached(include_str!("sql/retired_get.sql"))?;
            let retired = statement.query_row([name], |row| {
                Ok(RetiredTool {
                    plugin: row.get(0)?,
                    retired_at: Timestamp::from_millis(row.get(1)?),
                })
            });
            Ok(retired.optional()?)
        })
    }

    /// The catalogue of tools.
    ///
    /// # Errors
    /// Database errors.
    pub fn catalogue(&self) -> Result<Catalogue, QueueError> {
        self.store.read(|connection| {
            let mut statement =
                connection.prepare_cached(include_str!("sql/catalogue_state.sql"))?;
            let (mut catalogue, problems) = statement.query_row([], |row| {
                let catalogue = Catalogue {
                    wanted: row.get(0)?,
                    scanned: row.get(1)?,
                    version: row.get(2)?,
                    scanned_at: row.get::<_, Option<i64>>(3)?.map(Timestamp::from_millis),
                    problems: Vec::new(),
                    plugins: Vec::new(),
                };
                Ok((catalogue, row.get::<_, String>(4)?))
            })?;
            let unreadable = |row: &str, error: &serde_json::Error| {
                row::corrupt("catalogue", row, &error.to_string())
            };
            catalogue.problems =
                serde_json::from_str(&problems).map_err(|error| unreadable("problems", &error))?;
            for (name, text) in row::plugin_texts(connection)? {
                catalogue
                    .plugins
                    .push(serde_json::from_str(&text).map_err(|error| unreadable(&name, &error))?);
            }
            Ok(catalogue)
        })
    }

    /// The files outside of the plugins' directories that belong to plugins, each once.
    ///
    /// # Errors
    /// Database errors.
    pub fn plugin_files(&self) -> Result<Vec<PathBuf>, QueueError> {
        self.store.read(|connection| {
            let mut statement = connection.prepare_cached(include_str!("sql/plugin_files.sql"))?;
            let files = statement.query_map([], |row| row.get::<_, String>(0))?;
            Ok(files
                .map(|file| file.map(PathBuf::from))
                .collect::<Result<_, _>>()?)
        })
    }

    /// Asks the workers to look at the plugin directories again; answers the number of the scan, which is done when
    /// [`Catalogue::scanned`] has reached it. `by` is who asks.
    ///
    /// # Errors
    /// Database errors.
    pub async fn want_scan(&self, by: &str) -> Result<i64, QueueError> {
        self.store
            .write(c::CatalogueWant { by: by.to_owned() })
            .await
    }

    /// The number of the newest scan that was asked for.
    ///
    /// # Errors
    /// Database errors.
    pub fn newest_scan(&self) -> Result<i64, QueueError> {
        self.store.read(|connection| {
            let mut statement =
                connection.prepare_cached(include_str!("sql/catalogue_state.sql"))?;
            Ok(statement.query_row([], |row| row.get(0))?)
        })
    }

    /// The number of the newest scan that was done.
    ///
    /// # Errors
    /// Database errors.
    pub fn newest_done_scan(&self) -> Result<i64, QueueError> {
        self.store.read(|connection| {
            let mut statement =
                connection.prepare_cached(include_str!("sql/catalogue_state.sql"))?;
            Ok(statement.query_row([], |row| row.get(1))?)
        })
    }

    /// Asks as [`Queue::want_scan`] does, unless somebody has asked since [`Queue::newest_scan`] was `newest`; answers
    /// the number of the scan if it was asked for. Of several that have seen the same change, one asks.
    ///
    /// # Errors
    /// Database errors.
    pub async fn want_scan_unless(&self, by: &str, newest: i64) -> Result<Option<i64>, QueueError> {
        self.store
            .write(c::CatalogueWantUnless {
                by: by.to_owned(),
                newest,
            })
            .await
    }

    /// Takes on the scan that is wanted, if one is and no other worker is at it.
    ///
    /// # Errors
    /// Database errors.
    pub async fn take_scan(&self, worker: &str) -> Result<Option<i64>, QueueError> {
        self.store
            .write(c::CatalogueTake {
                worker: worker.to_owned(),
            })
            .await
    }

    /// Stores what scan number `wanted` found; answers whether anything differs from before.
    ///
    /// # Errors
    /// Database errors.
    pub async fn finish_scan(
        &self,
        worker: &str,
        wanted: i64,
        plugins: Vec<Plugin>,
        problems: Vec<String>,
    ) -> Result<bool, QueueError> {
        self.store
            .write(c::CatalogueDone {
                worker: worker.to_owned(),
                wanted,
                plugins,
                problems,
                pinned: None,
            })
            .await
    }

    /// The tools that an agent keeps attached; `None` where it never chose.
    ///
    /// # Errors
    /// Database errors.
    pub fn attachments(&self, agent: &str) -> Result<Option<BTreeSet<String>>, QueueError> {
        self.store.read(|connection| {
            let text: Option<String> = connection
                .prepare_cached(include_str!("sql/attachments_get.sql"))?
                .query_row([agent], |row| row.get(0))
                .optional()?;
            text.map(|text| {
                serde_json::from_str(&text)
                    .map_err(|error| row::corrupt("attachments", agent, &error.to_string()))
            })
            .transpose()
        })
    }

    /// Chooses the tools that an agent keeps attached.
    ///
    /// # Errors
    /// Database errors.
    pub async fn attach(&self, agent: &str, tools: BTreeSet<String>) -> Result<(), QueueError> {
        self.store
            .write(c::SetAttachments {
                agent: agent.to_owned(),
                tools,
            })
            .await
    }
}
