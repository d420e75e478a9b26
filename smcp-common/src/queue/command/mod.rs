//! What can be done to the queue. A command is plain data that is applied inside a transaction, so that it can be
//! retried, and committed together with others; its audit record and its news are part of the same transaction.

mod agent;
mod approval;
mod attachment;
mod cancel;
mod catalogue;
mod checkpoint;
mod claim;
mod denial;
mod duty;
mod finish;
mod flush;
mod heads;
mod hold;
mod key;
mod limit;
mod news;
mod pause;
mod pin;
mod policy;
mod priority;
mod retention;
mod revive;
mod schedule;
mod schedule_fire;
mod secret;
mod session;
mod setting;
mod stranger;
mod submit;
mod turn;
mod worker;
mod workflow;

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

pub(super) use agent::{AddAgent, ChangeGroups, LimitRunning, RevokeAgent};
pub(super) use approval::{ExpireApprovals, Open, expired};
pub(super) use attachment::SetAttachments;
pub(super) use cancel::Cancel;
pub(super) use catalogue::{CatalogueDone, CatalogueTake, CatalogueWant, CatalogueWantUnless};
pub(super) use checkpoint::{MakeCheckpoint, NoteAnchor};
pub(super) use claim::{Claim, peek};
pub(super) use denial::Decide;
pub(super) use duty::{Standing, TakeDuty};
pub(super) use finish::FinishAttempt;
pub(super) use flush::Flush;
pub(super) use heads::{Barred, Head, heads, heads_of};
pub(super) use hold::{LoseExpired, LoseWorker, ReleaseAll, Renew, leases};
pub(super) use key::{RevokeKey, RotateKey, UseKey, any_is_live};
pub(super) use limit::{PruneLimits, left};
pub(super) use news::AppendNews;
pub(super) use pause::{PauseQueue, ResumeQueue, pauses};
pub(super) use pin::{AcceptPlugin, AskReview, accepted_digest};
pub(super) use policy::{AcceptPolicies, policies};
pub(super) use priority::Prioritise;
pub(super) use retention::{FreeSome, PruneJobs, PruneWorkflows};
pub(super) use revive::Revive;
pub(super) use schedule::{
    CreateSchedule, DeleteSchedule, PauseSchedule, ResumeSchedule, UpdateSchedule,
};
pub(super) use schedule_fire::{Fire, FireWaiting, TriggerSchedule};
pub(super) use secret::{KeepSecret, RemoveSecret, RotateSecretsKey, SetSecret, vault_of};
pub(super) use session::{CloseSession, ForgetSessions, KeepAnswer, OpenSession, SeeSessions};
pub(super) use setting::SetSetting;
pub(super) use stranger::RefuseStranger;
pub(super) use submit::Submit;
pub(super) use turn::Turns;
pub(super) use worker::{DrainWorkers, ForgetWorkers, RegisterWorker, SeeWorker};
pub(super) use workflow::{AdvanceWorkflow, CancelWorkflow, SubmitWorkflow};

use super::QueueError;
use crate::audit::{DigestKey, GENESIS, Hash, Record};
use crate::canonical;
use crate::clock::Timestamp;
use crate::job::EventKind;
use crate::secret::Keys;

/// Something that can be done to the queue.
pub(super) trait Command: Send + 'static {
    /// What the caller learns.
    type Answer: Send + 'static;

    /// Does it inside `tx`. An error undoes all of it.
    fn apply(&self, tx: &mut Tx<'_>) -> Result<Self::Answer, QueueError>;
}

/// An open transaction, and what every command in it shares.
#[derive(Debug)]
pub(super) struct Tx<'c> {
    /// The connection with the open transaction.
    pub(super) connection: &'c Connection,
    /// The instant of the transaction.
    pub(super) now: Timestamp,
    /// For the arguments in audit records.
    pub(super) digest_key: &'c DigestKey,
    /// What seals secrets.
    pub(super) keys: &'c Keys,
    pub(super) marks: Marks,
}

/// What a rolled-back command must leave as it was.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Marks {
    /// The last audit record, once it has been looked up.
    tip: Option<(i64, Hash)>,
    /// True when other processes should be woken after the commit.
    pub(super) rings: bool,
}

impl Marks {
    /// The number of the last audit record, if the transaction has written one.
    pub(super) fn tip(&self) -> Option<i64> {
        self.tip.map(|(seq, _)| seq)
    }
}

impl Tx<'_> {
    /// Records news of a job, for everybody who watches it.
    fn event(
        &mut self,
        job: i64,
        kind: EventKind,
        data: &impl Serialize,
    ) -> Result<(), QueueError> {
        let data = json("job_events", kind.as_str(), data)?;
        self.marks.rings = true;
        self.execute(
            include_str!("../sql/event_insert.sql"),
            params![job, self.now.as_millis(), kind.as_str(), data],
        )?;
        Ok(())
    }

    /// Appends a record to the audit chain. `data` has its keys in order, which makes its JSON canonical.
    fn audit(
        &mut self,
        kind: &str,
        agent: &str,
        job: Option<&str>,
        data: &impl Serialize,
    ) -> Result<(), QueueError> {
        let data = json("audit", kind, data)?;
        debug_assert!(
            serde_json::from_str(&data).is_ok_and(|value| canonical::to_string(&value) == data),
            "not canonical: {data}"
        );
        let (last, previous) = match self.marks.tip {
            Some(tip) => tip,
            None => self.last_record()?,
        };
        let record = Record {
            seq: last + 1,
            at: self.now,
            kind,
            agent,
            job,
            data: &data,
        };
        let hash = record.hash(&previous);
        self.execute(
            include_str!("../sql/audit_insert.sql"),
            params![
                record.seq,
                record.at.as_millis(),
                kind,
                agent,
                job,
                data,
                hash
            ],
        )?;
        self.marks.tip = Some((record.seq, hash));
        Ok(())
    }

    fn last_record(&self) -> Result<(i64, Hash), QueueError> {
        let tip = self
            .connection
            .prepare_cached(include_str!("../sql/audit_tip.sql"))?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        Ok(tip.unwrap_or((0, GENESIS)))
    }

    fn execute(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<usize, QueueError> {
        Ok(self.connection.prepare_cached(sql)?.execute(parameters)?)
    }
}

/// The text of what a row has to say. The values are ours, made of text and numbers: it does not fail.
pub(super) fn json(
    table: &'static str,
    row: &str,
    value: &impl Serialize,
) -> Result<String, QueueError> {
    serde_json::to_string(value)
        .map_err(|error| super::row::corrupt(table, row, &error.to_string()))
}
