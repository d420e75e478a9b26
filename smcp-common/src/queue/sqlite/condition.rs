//! Whether a database is sound: its pages, and its chain of audit records.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use super::connection;
use crate::audit::{Hash, Record, Verifier};
use crate::clock::Timestamp;
use crate::queue::OpenError;

const BUSY: Duration = Duration::from_secs(30);

/// What a look at a database found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// What contradicts itself in the file, as SQLite puts it; at most 100 findings.
    pub damage: Vec<String>,
    /// Audit records that follow from one another, counted from the first.
    pub audit_records: i64,
    /// The number of the first audit record that was changed, moved or removed.
    pub broken_audit: Option<i64>,
}

impl Condition {
    /// True where nothing was found.
    pub const fn is_sound(&self) -> bool {
        self.damage.is_empty() && self.broken_audit.is_none()
    }
}

/// Reads the whole database, which may be in use, and says what is wrong with it.
///
/// # Errors
/// [`OpenError`] where the file cannot be read as an SMCP database at all.
pub fn check(path: &Path) -> Result<Condition, OpenError> {
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
        (condition.audit_records, condition.broken_audit) = audit(&connection).map_err(explain)?;
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

fn audit(connection: &Connection) -> rusqlite::Result<(i64, Option<i64>)> {
    let mut verifier = Verifier::new();
    let mut statement = connection.prepare(include_str!("../sql/audit_records.sql"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let record = Record {
            seq: row.get(0)?,
            at: Timestamp::from_millis(row.get(1)?),
            kind: row.get_ref(2)?.as_str()?,
            agent: row.get_ref(3)?.as_str()?,
            job: row.get_ref(4)?.as_str_or_null()?,
            data: row.get_ref(5)?.as_str()?,
        };
        if let Err(broken) = verifier.take(&record, &row.get::<_, Hash>(6)?) {
            return Ok((verifier.records(), Some(broken)));
        }
    }
    Ok((verifier.records(), None))
}
