//! The audit chain: each record's hash covers the record before it, so that none can be changed, moved or
//! removed without breaking every hash that follows. Pure; the queue stores the records.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::canonical::write_string;
use crate::clock::Timestamp;

/// The hash of a record, or of the empty chain.
pub type Hash = [u8; 32];

/// What the first record covers.
pub const GENESIS: Hash = [0; 32];

/// One record, as it is stored and hashed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Record<'r> {
    /// Its number, from 1, without gaps.
    pub seq: i64,
    /// When it was written.
    pub at: Timestamp,
    /// What happened, as `noun.participle`: `job.queued`, `call.denied`.
    pub kind: &'r str,
    /// Who did it; a worker's deeds are `worker:<id>`.
    pub agent: &'r str,
    /// The job it is about.
    pub job: Option<&'r str>,
    /// Details as [canonical](crate::canonical) JSON; never arguments, output or secrets.
    pub data: &'r str,
}

impl Record<'_> {
    /// The hash of this record when `previous` is the hash of the one before it: SHA-256 over that hash and the
    /// record as one canonical JSON object.
    pub fn hash(&self, previous: &Hash) -> Hash {
        Sha256::new()
            .chain_update(previous)
            .chain_update(self.canonical())
            .finalize()
            .into()
    }

    /// Written by hand, in the order of its keys: this is done for every change of every job.
    fn canonical(&self) -> String {
        let mut text = String::with_capacity(192 + self.data.len());
        text.push_str("{\"agent\":");
        write_string(self.agent, &mut text);
        let (at, data) = (self.at.as_millis(), self.data);
        // Writing to a String cannot fail.
        write!(text, ",\"at\":{at},\"data\":{data},\"job\":").ok();
        match self.job {
            Some(job) => write_string(job, &mut text),
            None => text.push_str("null"),
        }
        text.push_str(",\"kind\":");
        write_string(self.kind, &mut text);
        write!(text, ",\"seq\":{}}}", self.seq).ok();
        text
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
    pub fn take(&mut self, record: &Record<'_>, hash: &Hash) -> Result<(), i64> {
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
pub fn first_broken<'r>(
    records: impl IntoIterator<Item = (&'r Record<'r>, &'r Hash)>,
) -> Option<i64> {
    let mut verifier = Verifier::new();
    records
        .into_iter()
        .find_map(|(record, hash)| verifier.take(record, hash).err())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::canonical;

    const JOBS: [&str; 4] = ["job-1", "job-2", "job-3", "job-4"];

    fn chain() -> Vec<(Record<'static>, Hash)> {
        let mut previous = GENESIS;
        (1..)
            .zip(JOBS)
            .map(|(seq, job)| {
                let record = Record {
                    seq,
                    at: Timestamp::from_millis(1_000 * seq),
                    kind: "job.queued",
                    agent: "local",
                    job: Some(job),
                    data: r#"{"tool":"demo_math__calculate"}"#,
                };
                previous = record.hash(&previous);
                (record, previous)
            })
            .collect()
    }

    fn check(chain: &[(Record<'_>, Hash)]) -> Option<i64> {
        first_broken(chain.iter().map(|(record, hash)| (record, hash)))
    }

    #[test]
    fn a_chain_as_written_holds() {
        assert_eq!(check(&chain()), None);
    }

    #[test]
    fn a_changed_moved_or_missing_record_is_named() {
        let mut edited = chain();
        edited[1].0.agent = "somebody else";
        assert_eq!(check(&edited), Some(2));

        let mut reordered = chain();
        reordered.swap(1, 2);
        assert_eq!(check(&reordered), Some(2));

        let mut removed = chain();
        removed.remove(2);
        assert_eq!(check(&removed), Some(3));
    }

    #[test]
    fn what_is_hashed_is_canonical_json() {
        for job in [None, Some("j")] {
            let data = json!({"a": [1, "x"]});
            let (agent, text) = ("a \"quoted\"\n é", canonical::to_string(&data));
            let record = Record {
                seq: 7,
                at: Timestamp::from_millis(5),
                kind: "job.queued",
                agent,
                job,
                data: &text,
            };
            let value = json!({"seq": 7, "kind": "job.queued", "job": job, "data": data, "at": 5, "agent": agent});
            assert_eq!(record.canonical(), canonical::to_string(&value));
        }
    }
}
