//! What is submitted: jobs of every effect in a few lanes, most of them short, some of them failing.

use serde_json::{Value, json};

use super::random::Random;

/// Lanes, more than there are workers: these have always something to do.
const LANES: u32 = 8;
const LONGEST_NAP_MS: u32 = 20;

/// One job.
#[derive(Debug, Clone)]
pub(super) struct Order {
    /// The same for every try to submit it.
    pub(super) key: String,
    tool: &'static str,
    lane: u32,
    nap_ms: u32,
    /// Attempts that fail.
    failures: u32,
}

impl Order {
    pub(super) fn random(number: u32, random: &mut Random) -> Self {
        let tool = match random.below(10) {
            0..4 => "torture__read",
            4..8 => "torture__write",
            _ => "torture__once",
        };
        // One in ten fails at first, one in a hundred always.
        let failures = match random.below(100) {
            0 => 1_000,
            1..=10 => 1 + random.below(2),
            _ => 0,
        };
        Self {
            key: format!("torture {number}"),
            tool,
            lane: random.below(LANES),
            nap_ms: random.below(LONGEST_NAP_MS + 1),
            failures,
        }
    }

    /// The arguments of `jobs__submit`.
    pub(super) fn request(&self) -> Value {
        let nap = match self.nap_ms {
            0 => "0".to_owned(),
            ms => format!("0.{ms:03}"),
        };
        let arguments = json!({"lane": self.lane, "nap": nap, "failures": self.failures});
        json!({"tool": self.tool, "arguments": arguments, "idempotency_key": self.key})
    }
}
