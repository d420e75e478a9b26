//! The audit chain: each record's hash covers the record before it, so that none can be changed, moved or
//! removed without breaking every hash that follows. Pure; the queue stores the records.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::canonical;
use crate::clock::Timestamp;

/// The hash of a record, or of the empty chain.
pub type Hash = [u8; 32];

/// What the first record covers.
pub const GENESIS: Hash = [0; 32];

/// One record, as it is hashed.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its number, from 1, without gaps.
    pub seq: i64,
    /// When it was written.
    pub at: Timestamp,
    /// What happened, as `noun.participle`: `job.queued`, `call.denied`.
    pub kind: String,
    /// Who did it; a worker's deeds are `worker:<id>`.
    pub agent: String,
    /// The job it is about.
    pub job: Option<String>,
    /// Details; never arguments, output or secrets.
    pub data: Value,
}

impl Record {
    /// The hash of this record when `previous` is the hash of the one before it.
    pub fn hash(&self, previous: &Hash) -> Hash {
        let text = canonical::to_string(&json!({
            "agent": self.agent,
            "at": self.at,
            "data": self.data,
            "job": self.job,
            "kind": self.kind,
            "seq": self.seq,
        }));
        Sha256::new()
            .chain_update(previous)
            .chain_update(text)
            .finalize()
            .into()
    }
}

/// Checks a chain one record at a time, first to last, so that it need not be held in memory.
#[derive(Debug, Clone)]
pub struct Verifier {
    previous: Hash,
    records: i64,
}

impl Verifier {
    /// A verifier that awaits the first record.
    pub const fn new() -> Self {
        Self {
            previous: GENESIS,
            records: 0,
        }
    }

    /// Takes the next record.
    ///
    /// # Errors
    /// The number that the record should have, where it does not follow from the ones before it.
    pub fn take(&mut self, record: &Record, hash: &Hash) -> Result<(), i64> {
        let expected = self.records + 1;
        if record.seq != expected || record.hash(&self.previous) != *hash {
            return Err(expected);
        }
        (self.previous, self.records) = (*hash, expected);
        Ok(())
    }

    /// How many records have been found to follow.
    pub const fn records(&self) -> i64 {
        self.records
    }
}

impl Default for Verifier {
    fn default() -> Self {
        Self::new()
    }
}

/// The number of the first record that does not follow from the ones before it, if there is one.
pub fn first_broken<'r>(records: impl IntoIterator<Item = (&'r Record, &'r Hash)>) -> Option<i64> {
    let mut verifier = Verifier::new();
    records
        .into_iter()
        .find_map(|(record, hash)| verifier.take(record, hash).err())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain() -> Vec<(Record, Hash)> {
        let mut previous = GENESIS;
        (1..=4)
            .map(|seq| {
                let record = Record {
                    seq,
                    at: Timestamp::from_millis(1_000 * seq),
                    kind: "job.queued".into(),
                    agent: "local".into(),
                    job: Some(format!("job-{seq}")),
                    data: json!({"tool": "demo_math__calculate", "n": seq}),
                };
                previous = record.hash(&previous);
                (record, previous)
            })
            .collect()
    }

    fn check(chain: &[(Record, Hash)]) -> Option<i64> {
        first_broken(chain.iter().map(|(record, hash)| (record, hash)))
    }

    #[test]
    fn a_chain_as_written_holds() {
        assert_eq!(check(&chain()), None);
    }

    #[test]
    fn a_changed_moved_or_missing_record_is_named() {
        let mut edited = chain();
        edited[1].0.agent = "somebody else".into();
        assert_eq!(check(&edited), Some(2));

        let mut reordered = chain();
        reordered.swap(1, 2);
        assert_eq!(check(&reordered), Some(2));

        let mut removed = chain();
        removed.remove(2);
        assert_eq!(check(&removed), Some(3));
    }
}
