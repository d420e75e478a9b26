//! The audit chain as it is stored: read, signed, verified, and what is known of its anchor.

pub(super) mod chain;

use std::time::Duration;

use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use super::command as c;
use super::{Queue, QueueError};
use crate::audit::{Checkpoint, Finding, GENESIS, Hash, Heading, Record, Signer, Trust, Verified};
use crate::clock::Timestamp;
use crate::setting::Setting;

/// Records are looked through in steps of so many, each a query of its own.
const WINDOW: i64 = 20_000;
/// Records are verified in steps of so many.
const STEP: u32 = 2_000;
/// A page of records ends when their details have so many bytes.
const PAGE_BYTES: usize = 256 * 1024;

/// A record, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its number.
    pub seq: i64,
    /// When it was written.
    pub at: Timestamp,
    /// What happened.
    pub kind: String,
    /// Who did it.
    pub agent: String,
    /// The job it is about.
    pub job: Option<String>,
    /// Details, as canonical JSON.
    pub data: String,
    /// The hash that stands beside it.
    pub hash: Hash,
}

impl AuditRecord {
    /// The record as it is hashed.
    pub fn record(&self) -> Record<'_> {
        Record {
            seq: self.seq,
            at: self.at,
            kind: &self.kind,
            agent: &self.agent,
            job: self.job.as_deref(),
            data: &self.data,
        }
    }

    pub(in crate::queue) fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            at: Timestamp::from_millis(row.get(1)?),
            kind: row.get(2)?,
            agent: row.get(3)?,
            job: row.get(4)?,
            data: row.get(5)?,
            hash: row.get(6)?,
        })
    }
}

/// Which records to look for; `None` admits all.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// By that agent.
    pub agent: Option<String>,
    /// Of that kind, or of all kinds of that noun: `job.queued`, or `job`.
    pub kind: Option<String>,
    /// About that job.
    pub job: Option<String>,
    /// About that tool.
    pub tool: Option<String>,
    /// Not before that.
    pub since: Option<Timestamp>,
    /// Before that.
    pub until: Option<Timestamp>,
    /// With a smaller number than that.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

/// Some of the records that were looked for, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPage {
    /// The records.
    pub records: Vec<AuditRecord>,
    /// Where more may be: before that number.
    pub next: Option<i64>,
}

/// A piece of the chain as it can be verified by itself.
#[derive(Debug, Clone)]
pub struct AuditPiece {
    /// What it follows.
    pub heading: Heading,
    /// Records in their order, each with the checkpoint that is about it.
    pub records: Vec<(AuditRecord, Option<Checkpoint>)>,
}

/// How the chain stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditState {
    /// Its id.
    pub chain: String,
    /// How many records it has.
    pub records: i64,
    /// The last record that a checkpoint vouches for; 0 where none does.
    pub signed: i64,
    /// The last record whose checkpoint has reached the anchor; `None` where none has.
    pub anchored: Option<i64>,
    /// Why the last try to anchor one has failed.
    pub anchor_error: Option<String>,
    /// When that was.
    pub anchor_failed_at: Option<Timestamp>,
}

impl Queue {
    /// Signs a checkpoint of all records, if one is due: after so many unsigned records, or so long after the first of
    /// them, as the settings say; `patience` is added to the latter. Only reads where none is. Answers when one will be due,
    /// apart from more records; `None` where all are signed.
    ///
    /// # Errors
    /// Database errors.
    pub async fn sign_audit(
        &self,
        signer: &Signer,
        patience: Duration,
    ) -> Result<Option<Timestamp>, QueueError> {
        let (last, signed, first_at) = self.store.read(|connection| {
            Ok(connection
                .prepare_cached(include_str!("sql/audit_unsigned.sql"))?
                .query_row([], |row| {
                    let first_at: Option<i64> = row.get(2)?;
                    Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, first_at))
                })?)
        })?;
        let Some(first_at) = first_at.map(Timestamp::from_millis) else {
            return Ok(None);
        };
        let number = |setting: Setting| {
            let set = self.setting(setting)?;
            Ok::<_, QueueError>(set.unwrap_or(setting.default()))
        };
        let seconds = number(Setting::AuditCheckpointAge)?;
        let due_at = first_at
            .plus(Duration::from_secs(
                u64::try_from(seconds).unwrap_or_default(),
            ))
            .plus(patience);
        let now = self.clock.now();
        // A time to come is from before the clock was set back.
        let is_due = due_at <= now
            || first_at > now
            || last - signed >= number(Setting::AuditCheckpointRecords)?;
        if !is_due {
            return Ok(Some(due_at));
        }
        let signer = signer.clone();
        let made = self
            .store
            .write(c::MakeCheckpoint { signer, signed })
            .await?;
        // Where another process was quicker, it has signed all that was seen here.
        if let Some(seq) = made {
            tracing::debug!(audit.seq = seq, "audit records signed");
        }
        Ok(None)
    }

    /// The newest checkpoint, if it has not reached the anchor.
    ///
    /// # Errors
    /// Database errors.
    pub fn unanchored(&self) -> Result<Option<Checkpoint>, QueueError> {
        self.store.read(|connection| {
            Ok(connection
                .prepare_cached(include_str!("sql/checkpoint_unanchored.sql"))?
                .query_row([], chain::checkpoint)
                .optional()?)
        })
    }

    /// Keeps in mind what became of an attempt to anchor the checkpoint of that record: nothing, or why it failed.
    ///
    /// # Errors
    /// Database errors.
    pub async fn note_anchor(
        &self,
        seq: i64,
        result: Result<(), String>,
    ) -> Result<(), QueueError> {
        self.store.write(c::NoteAnchor { seq, result }).await
    }

    /// How the chain stands.
    ///
    /// # Errors
    /// Database errors.
    pub fn audit_state(&self) -> Result<AuditState, QueueError> {
        self.store.read(|connection| {
            Ok(connection
                .prepare_cached(include_str!("sql/audit_state.sql"))?
                .query_row([], |row| {
                    Ok(AuditState {
                        chain: row.get(0)?,
                        anchored: row.get(1)?,
                        anchor_error: row.get(2)?,
                        anchor_failed_at: row.get::<_, Option<i64>>(3)?.map(Timestamp::from_millis),
                        records: row.get(4)?,
                        signed: row.get(5)?,
                    })
                })?)
        })
    }

    /// Looks for records, newest first, through a bounded number of them.
    ///
    /// # Errors
    /// Database errors.
    pub async fn search_audit(&self, filter: AuditFilter) -> Result<AuditPage, QueueError> {
        let query = move |connection: &rusqlite::Connection| {
            let before = match filter.before {
                Some(before) => before,
                None => chain::last(connection)? + 1,
            };
            let from = before.saturating_sub(WINDOW).max(1);
            let mut statement = connection.prepare_cached(include_str!("sql/audit_search.sql"))?;
            let mut rows = statement.query(params![
                before,
                from,
                filter.agent,
                filter.kind,
                filter.job,
                filter.since.map(Timestamp::as_millis),
                filter.until.map(Timestamp::as_millis),
                filter.tool,
                filter.limit
            ])?;
            let (mut records, mut bytes) = (Vec::new(), 0);
            let full = |records: &[AuditRecord], bytes| {
                records.len() >= usize::try_from(filter.limit).unwrap_or(usize::MAX)
                    || bytes >= PAGE_BYTES
            };
            while !full(&records, bytes)
                && let Some(row) = rows.next()?
            {
                let record = AuditRecord::read(row)?;
                bytes += record.data.len();
                records.push(record);
            }
            let looked_to = match records.last() {
                Some(last) if full(&records, bytes) => last.seq,
                Some(_) | None => from,
            };
            let next = (looked_to > 1).then_some(looked_to);
            Ok(AuditPage { records, next })
        };
        self.store.scan(query).await
    }

    /// The records after number `after`, at most `limit` and about 256 KiB, with their checkpoints.
    ///
    /// # Errors
    /// Database errors.
    pub async fn audit_piece(&self, after: i64, limit: u32) -> Result<AuditPiece, QueueError> {
        let query = move |connection: &rusqlite::Connection| {
            // One transaction, or a checkpoint might be about a record that was not there yet.
            let connection = &*connection.unchecked_transaction()?;
            let previous = connection
                .prepare_cached(include_str!("sql/audit_hash.sql"))?
                .query_row([after], |row| row.get(0))
                .optional()?;
            let heading = Heading {
                chain: chain::id(connection)?.unwrap_or_default(),
                from: after.saturating_add(1),
                previous: previous.unwrap_or(GENESIS),
            };
            let mut statement = connection.prepare_cached(include_str!("sql/audit_records.sql"))?;
            let mut rows = statement.query(params![after, limit])?;
            let (mut records, mut bytes) = (Vec::new(), 0);
            while bytes < PAGE_BYTES
                && let Some(row) = rows.next()?
            {
                let record = AuditRecord::read(row)?;
                bytes += record.data.len();
                records.push((record, None));
            }
            let last = records.last().map_or(after, |(record, _)| record.seq);
            for checkpoint in chain::checkpoints(connection, after, last)? {
                let place = records.binary_search_by_key(&checkpoint.seq, |(record, _)| record.seq);
                if let Ok(place) = place {
                    records[place].1 = Some(checkpoint);
                }
            }
            Ok(AuditPiece { heading, records })
        };
        self.store.scan(query).await
    }

    /// The number of the record before the first one from that instant on.
    ///
    /// # Errors
    /// Database errors.
    pub async fn audit_before(&self, since: Timestamp) -> Result<i64, QueueError> {
        let query = move |connection: &rusqlite::Connection| {
            let first: Option<i64> = connection
                .prepare_cached(include_str!("sql/audit_first_since.sql"))?
                .query_row([since.as_millis()], |row| row.get(0))?;
            match first {
                Some(first) => Ok(first - 1),
                None => Ok(chain::last(connection)?),
            }
        };
        self.store.scan(query).await
    }

    /// Verifies the chain from its first record, in short steps, so that nobody waits for it.
    ///
    /// # Errors
    /// Database errors. What is wrong with the chain is in the answer.
    pub async fn verify_audit(
        &self,
        trust: Trust,
    ) -> Result<Result<Verified, Finding>, QueueError> {
        let begin = move |connection: &rusqlite::Connection| Ok(chain::begin(connection, trust)?);
        let mut verifier = match self.store.scan(begin).await? {
            Ok(verifier) => verifier,
            Err(finding) => return Ok(Err(finding)),
        };
        loop {
            let step = move |connection: &rusqlite::Connection| {
                let connection = &*connection.unchecked_transaction()?;
                let more = chain::advance(connection, &mut verifier, STEP)?;
                Ok(more.map(|more| (more, verifier)))
            };
            match self.store.scan(step).await? {
                Ok((true, advanced)) => verifier = advanced,
                Ok((false, advanced)) => return Ok(advanced.finish()),
                Err(finding) => return Ok(Err(finding)),
            }
        }
    }
}
