//! What is wrong with a chain: which record, and what seems to have been done to it.

use std::fmt;

/// The first thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The number of the record, or of the one that a checkpoint is about.
    pub record: i64,
    /// The line of the file, from 1, where it is one.
    pub line: Option<u64>,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What can be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// Its hash is not that of its text and of the record before it.
    Altered,
    /// Another one is where it should be.
    Displaced {
        /// That one's number.
        found: i64,
    },
    /// It comes again.
    Repeated,
    /// Its text is not canonical JSON.
    NotCanonical,
    /// It cannot be read as a record at all.
    Unreadable,
    /// The file ends within its line.
    CutOff,
    /// The chain ends before it, though more has been signed.
    Truncated {
        /// How many records there were when that was signed.
        signed: i64,
    },
    /// It is not the record that has been signed, though all hashes fit: some record since `since` was changed, and
    /// the hashes made anew.
    Rewritten {
        /// The first one that may have been.
        since: i64,
    },
    /// A checkpoint is not as it was signed.
    Forged,
    /// A checkpoint is signed with a key that is not trusted.
    WrongKey {
        /// That key's id.
        key: String,
    },
    /// A checkpoint belongs to another chain.
    OtherChain {
        /// That chain's id.
        chain: String,
    },
    /// A checkpoint counts other records than it names.
    Miscounted {
        /// What it counts.
        count: i64,
    },
    /// A checkpoint stands elsewhere than after its record.
    Astray,
}

impl Finding {
    pub(crate) const fn of(record: i64, problem: Problem) -> Self {
        Self {
            record,
            line: None,
            problem,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = self.record;
        match &self.problem {
            Problem::Altered
            | Problem::Displaced { .. }
            | Problem::Repeated
            | Problem::NotCanonical
            | Problem::Unreadable
            | Problem::CutOff
            | Problem::Truncated { .. }
            | Problem::Rewritten { .. } => write!(f, "record {record}: "),
            Problem::Forged
            | Problem::WrongKey { .. }
            | Problem::OtherChain { .. }
            | Problem::Miscounted { .. }
            | Problem::Astray => write!(f, "checkpoint of record {record}: "),
        }?;
        match &self.problem {
            Problem::Altered => {
                f.write_str("does not match its hash: it was changed, or put in by somebody")
            }
            Problem::Displaced { found } => write!(
                f,
                "record {found} is where it should be: it was removed, or moved"
            ),
            Problem::Repeated => f.write_str("comes twice"),
            Problem::NotCanonical => {
                f.write_str("is not canonical JSON: it was written anew by something else")
            }
            Problem::Unreadable => f.write_str("cannot be read as a record"),
            Problem::CutOff => f.write_str("the file ends in the middle of its line"),
            Problem::Truncated { signed } => write!(
                f,
                "is missing, as is all after it: {signed} records have been signed"
            ),
            Problem::Rewritten { since } if *since == record => f.write_str(
                "is not the one that was signed: it was changed, and its hash made anew",
            ),
            Problem::Rewritten { since } => write!(
                f,
                "is not the one that was signed: it or one before it, since record {since}, was changed, and all hashes \
                 after that made anew"
            ),
            Problem::Forged => f.write_str("its signature is not valid: it was changed, or forged"),
            Problem::WrongKey { key } => write!(
                f,
                "it is signed with the key {key}, which is not the one to verify with"
            ),
            Problem::OtherChain { chain } => {
                write!(f, "it belongs to another chain, {chain}")
            }
            Problem::Miscounted { count } => write!(f, "it counts {count} records"),
            Problem::Astray => f.write_str("it does not stand after that record"),
        }?;
        match self.line {
            Some(line) => write!(f, " (line {line})"),
            None => Ok(()),
        }
    }
}
