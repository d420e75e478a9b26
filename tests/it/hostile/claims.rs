//! What the doctor claims, and whether it is so.

use serde_json::Value;

use super::ways::Arena;

/// What an attack says that went through.
const DONE: &str = "done";

impl Arena {
    /// How far the doctor says that a key is kept.
    pub(super) fn state(&self, key: &str) -> &str {
        self.doctor["keys"][key]["state"].as_str().unwrap()
    }

    /// What the doctor says is missing of a key.
    pub(super) fn why(&self, key: &str) -> &str {
        self.doctor["keys"][key]["why"].as_str().unwrap_or_default()
    }

    pub(super) fn is_enforced(&self, key: &str) -> bool {
        self.state(key) == "enforced"
    }

    /// Asserts that an attack on `key` failed, unless the doctor says that nothing keeps it.
    pub(super) fn assert_refused(&self, key: &str, what: &str, seen: &Value) {
        self.assert_held(key, what, seen != DONE, seen);
    }

    /// The same of what was seen otherwise.
    pub(super) fn assert_held(&self, key: &str, what: &str, held: bool, seen: &Value) {
        self.tell(key, what, seen);
        assert!(
            held || self.state(key) == "absent",
            "{}: {what} went through, but {key} is {}: {seen}",
            self.way,
            self.doctor["keys"][key],
        );
    }

    /// Asserts that an attack on `key` went through just where the doctor speaks of such a `hole`.
    pub(super) fn assert_as_claimed(&self, key: &str, what: &str, held: bool, hole: &str) {
        self.tell(key, what, &Value::from(if held { "held" } else { "open" }));
        let is_told = self.why(key).contains(hole);
        assert_eq!(
            held, !is_told,
            "{}: {what}, and {key} is {}",
            self.way, self.doctor["keys"][key],
        );
        assert!(held || !self.is_enforced(key), "{}: {what}", self.way);
    }

    /// Asserts that every attack in a list of them, or of lists, failed.
    pub(super) fn assert_all_refused(&self, key: &str, what: &str, seen: &Value) {
        match seen.as_object() {
            None => self.assert_refused(key, what, seen),
            Some(attempts) => {
                assert!(!attempts.is_empty(), "{what}");
                for (name, seen) in attempts {
                    self.assert_all_refused(key, &format!("{what}: {name}"), seen);
                }
            }
        }
    }

    /// Shows what was seen, in the tests' output where that is wanted.
    #[expect(clippy::print_stderr, reason = "shown with --nocapture")]
    pub(super) fn tell(&self, key: &str, what: &str, seen: &Value) {
        eprintln!("{:<17} {key} {}: {what}: {seen}", self.way, self.state(key));
    }
}
