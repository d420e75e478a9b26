//! Verifies a chain record by record, first to last, so that it need not be held in memory. Pure.

use sha2::{Digest as _, Sha256};

use super::{Checkpoint, Finding, GENESIS, Hash, Problem, PublicKey};

/// By what a chain is judged, beside itself.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// The keys that may have signed checkpoints; where there are none, signatures are not looked at.
    pub keys: Vec<PublicKey>,
    /// Checkpoints that were kept elsewhere.
    pub anchors: Vec<Checkpoint>,
}

/// What has been found of a chain in which nothing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// The number of the first record that was looked at.
    pub first: i64,
    /// The number of the last one, or of the one before the first.
    pub last: i64,
    /// The last record that a checkpoint vouches for; 0 where none does.
    pub signed: i64,
    /// Checkpoints of the chain itself.
    pub checkpoints: u64,
    /// Checkpoints that were kept elsewhere, and are about these records.
    pub anchors: u64,
    /// Whether signatures were looked at.
    pub signatures: bool,
}

/// Takes the records and checkpoints of one chain.
#[derive(Debug, Clone)]
pub struct Verifier {
    chain: Option<String>,
    keys: Vec<PublicKey>,
    /// The last to come first.
    anchors: Vec<Checkpoint>,
    previous: Hash,
    found: Verified,
}

impl Verifier {
    /// Awaits the first record of the chain of that id. `None` stands for one that has none.
    ///
    /// # Errors
    /// What is wrong with the anchors.
    pub fn new(chain: Option<String>, trust: Trust) -> Result<Self, Finding> {
        Self::after(chain, 0, GENESIS, trust)
    }

    /// Awaits the record after number `seq`, whose hash is `previous`.
    ///
    /// # Errors
    /// As for [`Verifier::new`].
    pub fn after(
        chain: Option<String>,
        seq: i64,
        previous: Hash,
        trust: Trust,
    ) -> Result<Self, Finding> {
        let Trust { keys, mut anchors } = trust;
        anchors.sort_by_key(|anchor| std::cmp::Reverse(anchor.seq));
        let verifier = Self {
            found: Verified {
                first: seq + 1,
                last: seq,
                signed: 0,
                checkpoints: 0,
                anchors: 0,
                signatures: !keys.is_empty(),
            },
            chain,
            keys,
            anchors: Vec::new(),
            previous,
        };
        for anchor in &anchors {
            verifier.judge(anchor)?;
        }
        anchors.retain(|anchor| anchor.seq > seq);
        Ok(Self {
            anchors,
            ..verifier
        })
    }

    /// Takes the next record: its canonical text, and the hash that stands beside it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn record(&mut self, seq: i64, text: &str, hash: &Hash) -> Result<(), Finding> {
        let expected = self.found.last + 1;
        if seq != expected {
            return Err(if seq < expected {
                Finding::of(seq, Problem::Repeated)
            } else {
                Finding::of(expected, Problem::Displaced { found: seq })
            });
        }
        let covered: Hash = Sha256::new()
            .chain_update(self.previous)
            .chain_update(text)
            .finalize()
            .into();
        if covered != *hash {
            return Err(Finding::of(seq, Problem::Altered));
        }
        (self.previous, self.found.last) = (covered, seq);
        while let Some(anchor) = self.anchors.pop_if(|anchor| anchor.seq == seq) {
            self.vouch(&anchor)?;
            self.found.anchors += 1;
        }
        Ok(())
    }

    /// Takes a checkpoint of the chain, which must follow its record.
    ///
    /// # Errors
    /// What is wrong with it, or with what it vouches for.
    pub fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), Finding> {
        self.judge(checkpoint)?;
        if checkpoint.seq > self.found.last {
            return Err(self.truncated(checkpoint));
        }
        if checkpoint.seq < self.found.last {
            return Err(Finding::of(checkpoint.seq, Problem::Astray));
        }
        self.vouch(checkpoint)?;
        self.found.checkpoints += 1;
        Ok(())
    }

    /// Whether all that was taken is well, there being no more records.
    ///
    /// # Errors
    /// That the chain has been longer.
    pub fn finish(&self) -> Result<Verified, Finding> {
        match self.anchors.first() {
            Some(anchor) => Err(self.truncated(anchor)),
            None => Ok(self.found),
        }
    }

    /// The number of the last record that was found to follow.
    pub const fn last(&self) -> i64 {
        self.found.last
    }

    /// Looks at a checkpoint by itself.
    fn judge(&self, checkpoint: &Checkpoint) -> Result<(), Finding> {
        let wrong = |problem| Err(Finding::of(checkpoint.seq, problem));
        if self.found.signatures {
            let Some(key) = self.keys.iter().find(|key| key.id() == checkpoint.key) else {
                let key = checkpoint.key.clone();
                return wrong(Problem::WrongKey { key });
            };
            if !checkpoint.is_signed_by(key) {
                return wrong(Problem::Forged);
            }
        }
        if self.chain.as_ref() != Some(&checkpoint.chain) {
            let chain = checkpoint.chain.clone();
            return wrong(Problem::OtherChain { chain });
        }
        if checkpoint.count != checkpoint.seq {
            let count = checkpoint.count;
            return wrong(Problem::Miscounted { count });
        }
        Ok(())
    }

    /// Compares a checkpoint with the last record, which it is about.
    fn vouch(&mut self, checkpoint: &Checkpoint) -> Result<(), Finding> {
        let seq = checkpoint.seq;
        if checkpoint.hash != self.previous {
            let since = self.found.first.max(self.found.signed + 1).min(seq);
            return Err(Finding::of(seq, Problem::Rewritten { since }));
        }
        self.found.signed = seq;
        Ok(())
    }

    fn truncated(&self, checkpoint: &Checkpoint) -> Finding {
        let signed = checkpoint.count;
        Finding::of(self.found.last + 1, Problem::Truncated { signed })
    }
}
