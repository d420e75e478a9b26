//! ⑦ The finish: the last of the output, the end of the attempt, the next state, news and audit record in one
//! transaction, which also claims the next job where the worker wants one.

use std::time::Duration;

use rusqlite::params;

use super::hold::{Ending, Held};
use super::{Claim, Command, Tx};
use crate::job::{Claimed, Outcome};
use crate::queue::{Finish, QueueError};

#[derive(Debug)]
pub(in crate::queue) struct FinishAttempt {
    pub(in crate::queue) finish: Finish,
    pub(in crate::queue) and_claim: bool,
}

impl Command for FinishAttempt {
    type Answer = Option<Claimed>;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<Option<Claimed>, QueueError> {
        let Finish {
            hold,
            outcome,
            output,
            printed_bytes,
            confinement,
        } = &self.finish;
        let held = Held::find(tx, hold)?;
        store_output(tx, &held, output, *printed_bytes)?;
        let (failure, after_ms) = match outcome {
            Outcome::Failed { failure, advice } => (Some(failure.clone()), advice.after_ms),
            Outcome::Snoozed { after_ms } => (None, Some(*after_ms)),
            Outcome::Succeeded
            | Outcome::Stopped
            | Outcome::Released
            | Outcome::Interrupted
            | Outcome::ApprovalVoided(_) => (None, None),
        };
        let approval = match outcome {
            Outcome::ApprovalVoided(asked) => Some(&**asked),
            Outcome::Succeeded
            | Outcome::Failed { .. }
            | Outcome::Snoozed { .. }
            | Outcome::Stopped
            | Outcome::Released
            | Outcome::Interrupted => None,
        };
        let by = format!("worker:{}", hold.worker);
        held.end(
            tx,
            Ending {
                event: outcome.event(),
                outcome: outcome.as_str(),
                failure,
                after: after_ms.map(Duration::from_millis),
                by: &by,
                confinement: confinement.as_ref(),
                approval,
            },
        )?;
        if self.and_claim {
            Claim {
                worker: hold.worker.clone(),
            }
            .apply(tx)
        } else {
            Ok(None)
        }
    }
}

/// Appends a chunk of standard output to what is kept of the current attempt.
pub(super) fn store_output(
    tx: &Tx<'_>,
    held: &Held,
    chunk: &[u8],
    printed_bytes: Option<u64>,
) -> Result<u64, QueueError> {
    let total = held.output_bytes + chunk.len() as u64;
    if !chunk.is_empty() {
        tx.execute(
            include_str!("../sql/output_insert.sql"),
            params![held.num, held.attempt, held.output_bytes, chunk],
        )?;
    }
    if !chunk.is_empty() || printed_bytes.is_some() {
        tx.execute(
            include_str!("../sql/output_grow.sql"),
            params![held.num, total, printed_bytes],
        )?;
    }
    Ok(total)
}
