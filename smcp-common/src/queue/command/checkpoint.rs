//! Checkpoints of the audit chain, and what became of them outside the database. Neither is recorded in the chain: what a
//! checkpoint adds would have to be signed by the next one.

use rusqlite::params;

use super::{Command, Tx};
use crate::audit::{Checkpoint, Signer, Tip};
use crate::queue::QueueError;
use crate::queue::audit::chain;

/// Signs a checkpoint of all records, unless another process has done so meanwhile.
#[derive(Debug)]
pub(in crate::queue) struct MakeCheckpoint {
    pub(in crate::queue) signer: Signer,
    /// The last record that was found signed.
    pub(in crate::queue) signed: i64,
}

impl Command for MakeCheckpoint {
    /// The last record that is signed now, if one was.
    type Answer = Option<i64>;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<Option<i64>, QueueError> {
        let signed: i64 = tx
            .connection
            .prepare_cached(include_str!("../sql/audit_unsigned.sql"))?
            .query_row([], |row| row.get(1))?;
        let (seq, hash) = match tx.marks.tip {
            Some(tip) => tip,
            None => tx.last_record()?,
        };
        if signed != self.signed || seq <= signed {
            return Ok(None);
        }
        let chain = chain::id(tx.connection)?.ok_or_else(|| {
            crate::queue::row::corrupt("audit_chain", "1", "the chain has lost its id")
        })?;
        let tip = Tip {
            chain: &chain,
            seq,
            hash: &hash,
        };
        let checkpoint = Checkpoint::sign(&self.signer, tip, tx.now);
        tx.execute(
            include_str!("../sql/checkpoint_insert.sql"),
            params![
                checkpoint.seq,
                checkpoint.count,
                checkpoint.hash,
                checkpoint.chain,
                checkpoint.at.as_millis(),
                checkpoint.key,
                checkpoint.signature
            ],
        )?;
        Ok(Some(seq))
    }
}

/// Keeps in mind what became of an attempt to anchor a checkpoint.
#[derive(Debug)]
pub(in crate::queue) struct NoteAnchor {
    pub(in crate::queue) seq: i64,
    pub(in crate::queue) result: Result<(), String>,
}

impl Command for NoteAnchor {
    type Answer = ();

    fn apply(&self, tx: &mut Tx<'_>) -> Result<(), QueueError> {
        match &self.result {
            Ok(()) => tx.execute(include_str!("../sql/anchor_done.sql"), [self.seq]),
            Err(error) => tx.execute(
                include_str!("../sql/anchor_failed.sql"),
                params![error, tx.now.as_millis()],
            ),
        }?;
        Ok(())
    }
}
