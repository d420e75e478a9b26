//! The audit chain: each record's hash covers the record before it, so that none can be changed, moved or
//! removed without breaking every hash that follows. Signed checkpoints say how long the chain was and what its last hash
//! was, so that it cannot be made anew, nor shortened by more than what came after the last of them. Pure; the queue
//! stores the records.

mod arguments;
mod cef;
mod checkpoint;
mod export;
mod finding;
mod key;
mod verifier;

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::canonical::write_string;
use crate::clock::Timestamp;

pub use self::arguments::{Copied, DigestKey, MAX_COPY_BYTES};
pub use self::cef::cef_line;
pub use self::checkpoint::{Checkpoint, Tip};
pub use self::export::{ExportError, Heading, record_line, verify_export};
pub use self::finding::{Finding, Problem};
pub use self::key::{PUBLIC_KEY_FILE, PublicKey, Signature, Signer};
pub use self::verifier::{Trust, Verified, Verifier};

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
    /// Details as [canonical](crate::canonical) JSON; never output or secrets.
    pub data: &'r str,
}

impl Record<'_> {
    /// The hash of this record when `previous` is the hash of the one before it: SHA-256 over that hash and the
    /// record as one canonical JSON object.
    pub fn hash(&self, previous: &Hash) -> Hash {
        let mut text = String::with_capacity(192 + self.data.len());
        self.write_canonical(&mut text);
        Sha256::new()
            .chain_update(previous)
            .chain_update(text)
            .finalize()
            .into()
    }

    /// Appends the text that is hashed. Written by hand, in the order of its keys: this is done for every change of every
    /// job.
    pub fn write_canonical(&self, text: &mut String) {
        text.push_str("{\"agent\":");
        write_string(self.agent, text);
        let (at, data) = (self.at.as_millis(), self.data);
        // Writing to a String cannot fail.
        write!(text, ",\"at\":{at},\"data\":{data},\"job\":").ok();
        match self.job {
            Some(job) => write_string(job, text),
            None => text.push_str("null"),
        }
        text.push_str(",\"kind\":");
        write_string(self.kind, text);
        write!(text, ",\"seq\":{}}}", self.seq).ok();
    }
}

#[cfg(test)]
mod tests;
