//! Checkpoints: signed statements that a chain has so many records, and what the hash of the last one is.

use std::fmt::Write as _;

use serde::Deserialize;

use super::{Hash, PublicKey, Signature, Signer};
use crate::canonical::{hex, unhex, write_string};
use crate::clock::Timestamp;

/// What is signed says what it is, so that it cannot be taken for anything else.
const FORMAT: &str = "smcp-audit-checkpoint-1";

/// A signed statement about a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// When it was made.
    pub at: Timestamp,
    /// The chain's own random id.
    pub chain: String,
    /// How many records the chain has.
    pub count: i64,
    /// The hash of the last of them.
    pub hash: Hash,
    /// The [id](PublicKey::id) of the key that has signed.
    pub key: String,
    /// The number of the last record.
    pub seq: i64,
    /// By that key, over the text of all the others.
    pub signature: Signature,
}

/// The last record of a chain, about which a checkpoint speaks.
#[derive(Debug, Clone, Copy)]
pub struct Tip<'t> {
    /// The chain's own random id.
    pub chain: &'t str,
    /// The record's number, which is also how many there are.
    pub seq: i64,
    /// Its hash.
    pub hash: &'t Hash,
}

impl Checkpoint {
    /// States what the last record of a chain is.
    pub fn sign(signer: &Signer, tip: Tip<'_>, at: Timestamp) -> Self {
        let mut checkpoint = Self {
            at,
            chain: tip.chain.to_owned(),
            count: tip.seq,
            hash: *tip.hash,
            key: signer.public().id().to_owned(),
            seq: tip.seq,
            signature: [0; 64],
        };
        checkpoint.signature = signer.sign(&checkpoint.signed_text());
        checkpoint
    }

    /// Reads a [line](Self::line). `None` where it is anything else, or written in any other way.
    pub fn parse(line: &str) -> Option<Self> {
        let form: Form<'_> = serde_json::from_str(line).ok()?;
        let checkpoint = Self {
            at: Timestamp::from_millis(form.at),
            chain: form.chain.to_owned(),
            count: form.count,
            hash: unhex(form.hash)?,
            key: form.key.to_owned(),
            seq: form.seq,
            signature: unhex(form.signature)?,
        };
        (checkpoint.line() == line).then_some(checkpoint)
    }

    /// Itself as one line of canonical JSON, without its end.
    pub fn line(&self) -> String {
        let mut line = self.signed_text();
        line.pop();
        // Writing to a String cannot fail.
        write!(line, ",\"signature\":\"{}\"}}", hex(&self.signature)).ok();
        line
    }

    /// Whether `key` has signed it.
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        key.id() == self.key && key.verifies(&self.signed_text(), &self.signature)
    }

    fn signed_text(&self) -> String {
        let mut text = String::with_capacity(400);
        let (at, count, seq) = (self.at.as_millis(), self.count, self.seq);
        write!(text, "{{\"at\":{at},\"chain\":").ok();
        write_string(&self.chain, &mut text);
        let hash = hex(&self.hash);
        write!(
            text,
            ",\"count\":{count},\"format\":\"{FORMAT}\",\"hash\":\"{hash}\",\"key\":"
        )
        .ok();
        write_string(&self.key, &mut text);
        write!(text, ",\"seq\":{seq}}}").ok();
        text
    }
}

/// The members of a line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form<'l> {
    at: i64,
    chain: &'l str,
    count: i64,
    #[expect(dead_code, reason = "compared with the line as a whole")]
    format: &'l str,
    hash: &'l str,
    key: &'l str,
    seq: i64,
    signature: &'l str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::is_canonical;
    use crate::key_file::Key;

    fn checkpoint() -> (Signer, Checkpoint) {
        let signer = Signer::new(&Key::new([9; 32]));
        let tip = Tip {
            chain: "c1",
            seq: 17,
            hash: &[3; 32],
        };
        let checkpoint = Checkpoint::sign(&signer, tip, Timestamp::from_millis(5));
        (signer, checkpoint)
    }

    #[test]
    fn a_checkpoint_is_one_canonical_line_and_is_read_back() {
        let (signer, checkpoint) = checkpoint();
        let line = checkpoint.line();
        assert!(
            is_canonical(&line) && is_canonical(&checkpoint.signed_text()),
            "{line}"
        );
        assert_eq!(Checkpoint::parse(&line).as_ref(), Some(&checkpoint));
        assert!(checkpoint.is_signed_by(signer.public()));
    }

    #[test]
    fn whatever_is_changed_the_signature_is_not_valid_any_more() {
        let (signer, good) = checkpoint();
        let changes: [fn(&mut Checkpoint); 6] = [
            |it| it.at = Timestamp::from_millis(6),
            |it| it.chain = "c2".to_owned(),
            |it| it.count = 16,
            |it| it.hash[31] = 4,
            |it| it.seq = 16,
            |it| it.signature[0] ^= 1,
        ];
        for change in changes {
            let mut changed = good.clone();
            change(&mut changed);
            assert!(!changed.is_signed_by(signer.public()), "{changed:?}");
        }
        let other = Signer::new(&Key::new([8; 32]));
        assert!(!good.is_signed_by(other.public()));
    }

    #[test]
    fn a_line_that_is_written_in_another_way_is_none() {
        let line = checkpoint().1.line();
        for bad in [
            line.replace(",\"seq\"", ", \"seq\""),
            line.replace("checkpoint-1", "checkpoint-2"),
            line.replace("03", "0C"),
            line.replace("{\"at\"", "{\"a\":1,\"at\""),
            line[..line.len() - 1].to_owned(),
            String::new(),
        ] {
            assert_eq!(Checkpoint::parse(&bad), None, "{bad}");
        }
    }
}
