//! Whether a database is sound: its pages, and its chain of audit records.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use super::connection;
use crate::audit::{Finding, Trust, Verified};
use crate::queue::OpenError;
use crate::queue::audit::chain;

const BUSY: Duration = Duration::from_secs(30);
/// Audit records are read in steps of so many.
const STEP: u32 = 10_000;

/// What a look at a database found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// What contradicts itself in the file, as SQLite puts it; at most 100 findings.
    pub damage: Vec<String>,
    /// Audit records that follow from one another, counted from the first.
    pub audit_records: i64,
    /// The first thing that is wrong with the audit chain.
    pub broken_audit: Option<Finding>,
}

impl Condition {
    /// True where nothing was found.
    pub const fn is_sound(&self) -> bool {
        self.damage.is_empty() && self.broken_audit.is_none()
    }
}

/// Reads the whole database, which may be in use, and says what is wrong with it. Its audit chain is judged by `trust`.
///
/// # Errors
/// [`OpenError`] where the file cannot be read as an SMCP database at all.
pub fn check(path: &Path, trust: Trust) -> Result<Condition, OpenError> {
    let connection = connection::open_existing(path, BUSY)?;
    let explain = |source| connection::explain(path, source);
    let damage = damage(&connection).map_err(explain)?;
    let mut condition = Condition {
        damage,
        audit_records: 0,
        broken_audit: None,
    };
    // Rows of a damaged file need not be what was written, so that the chain would prove nothing.
    if condition.damage.is_empty() {
        let (result, records) = audit(&connection, trust).map_err(explain)?;
        (condition.audit_records, condition.broken_audit) = (records, result.err());
    }
    Ok(condition)
}

fn damage(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare("PRAGMA quick_check(100)")?;
    let mut rows = statement.query([])?;
    let mut findings = Vec::new();
    loop {
        match rows.next() {
            Ok(Some(row)) => findings.push(row.get(0)?),
            Ok(None) => break,
            // Where the damage is bad enough, the check itself stumbles over it.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
                findings.push(error.to_string());
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(if findings == ["ok"] {
        Vec::new()
    } else {
        findings
    })
}

/// Verifies the audit chain of a database, which may be in use.
///
/// # Errors
/// [`OpenError`] where the file cannot be read as an SMCP database. What is wrong with the chain is in the answer.
pub fn verify_audit(path: &Path, trust: Trust) -> Result<Result<Verified, Finding>, OpenError> {
    let connection = connection::open_existing(path, BUSY)?;
    audit(&connection, trust)
        .map(|(result, _)| result)
        .map_err(|source| connection::explain(path, source))
}

/// What is found of the chain, and how many records follow from one another.
fn audit(
    connection: &Connection,
    trust: Trust,
) -> rusqlite::Result<(Result<Verified, Finding>, i64)> {
    // What is recorded meanwhile is not looked at.
    let connection = &*connection.unchecked_transaction()?;
    let mut verifier = match chain::begin(connection, trust)? {
        Ok(verifier) => verifier,
        Err(finding) => return Ok((Err(finding), 0)),
    };
    loop {
        match chain::advance(connection, &mut verifier, STEP)? {
            Ok(true) => {}
            Ok(false) => return Ok((verifier.finish(), verifier.last())),
            Err(finding) => return Ok((Err(finding), verifier.last())),
        }
    }
}
