//! Reads the chain in its order, and hands it to the verifier.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::audit::{Checkpoint, Finding, Problem, Record, Trust, Verifier};
use crate::canonical::is_canonical;
use crate::clock::Timestamp;

/// The chain's own id.
pub(in crate::queue) fn id(connection: &Connection) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached(include_str!("../sql/audit_chain.sql"))?
        .query_row([], |row| row.get(0))
        .optional()
}

/// The number of the last record.
pub(in crate::queue) fn last(connection: &Connection) -> rusqlite::Result<i64> {
    let last = connection
        .prepare_cached(include_str!("../sql/audit_tip.sql"))?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(last.unwrap_or(0))
}

/// The checkpoints of records after `after`, up to `last`.
pub(in crate::queue) fn checkpoints(
    connection: &Connection,
    after: i64,
    last: i64,
) -> rusqlite::Result<Vec<Checkpoint>> {
    connection
        .prepare_cached(include_str!("../sql/checkpoint_list.sql"))?
        .query_map([after, last], checkpoint)?
        .collect()
}

pub(in crate::queue) fn checkpoint(row: &Row<'_>) -> rusqlite::Result<Checkpoint> {
    Ok(Checkpoint {
        seq: row.get(0)?,
        count: row.get(1)?,
        hash: row.get(2)?,
        chain: row.get(3)?,
        at: Timestamp::from_millis(row.get(4)?),
        key: row.get(5)?,
        signature: row.get(6)?,
    })
}

/// A verifier that awaits the first record.
pub(in crate::queue) fn begin(
    connection: &Connection,
    trust: Trust,
) -> rusqlite::Result<Result<Verifier, Finding>> {
    let mut verifier = match Verifier::new(id(connection)?, trust) {
        Ok(verifier) => verifier,
        Err(finding) => return Ok(Err(finding)),
    };
    // A checkpoint of no record of this chain.
    for stray in checkpoints(connection, i64::MIN, 0)? {
        if let Err(finding) = verifier.checkpoint(&stray) {
            return Ok(Err(finding));
        }
    }
    Ok(Ok(verifier))
}

/// Verifies the next records, at most `limit`; true where there may be more. To be called in a transaction.
pub(in crate::queue) fn advance(
    connection: &Connection,
    verifier: &mut Verifier,
    limit: u32,
) -> rusqlite::Result<Result<bool, Finding>> {
    let after = verifier.last();
    let due = checkpoints(connection, after, after + i64::from(limit))?;
    let mut due = due.iter().peekable();
    let mut statement = connection.prepare_cached(include_str!("../sql/audit_records.sql"))?;
    let mut rows = statement.query(params![after, limit])?;
    let (mut text, mut taken) = (String::new(), 0);
    while let Some(row) = rows.next()? {
        let record = Record {
            seq: row.get(0)?,
            at: Timestamp::from_millis(row.get(1)?),
            kind: row.get_ref(2)?.as_str()?,
            agent: row.get_ref(3)?.as_str()?,
            job: row.get_ref(4)?.as_str_or_null()?,
            data: row.get_ref(5)?.as_str()?,
        };
        if !is_canonical(record.data) {
            return Ok(Err(Finding::of(record.seq, Problem::NotCanonical)));
        }
        text.clear();
        record.write_canonical(&mut text);
        let mut found = verifier.record(record.seq, &text, &row.get(6)?);
        while found.is_ok()
            && let Some(checkpoint) = due.next_if(|checkpoint| checkpoint.seq == record.seq)
        {
            found = verifier.checkpoint(checkpoint);
        }
        if let Err(finding) = found {
            return Ok(Err(finding));
        }
        taken += 1;
    }
    if taken == limit {
        return Ok(Ok(true));
    }
    // There are no more records: what these vouch for is not there.
    for checkpoint in checkpoints(connection, verifier.last(), i64::MAX)? {
        if let Err(finding) = verifier.checkpoint(&checkpoint) {
            return Ok(Err(finding));
        }
    }
    Ok(Ok(false))
}
