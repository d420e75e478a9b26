//! Whether the code of a plugin is what has been accepted of it. Pure: digests are compared, nothing is read.

use serde::{Deserialize, Serialize};

/// What happens to a plugin whose files are not those that were accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pinning {
    /// Nothing: whatever lies in the plugin directories is run.
    #[default]
    Off,
    /// It is served, and said to have changed.
    Warn,
    /// It is quarantined: not run, not even described, until an operator accepts it.
    Require,
}

/// How the code of a plugin stands to what has been accepted of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Integrity {
    /// It is what was accepted.
    Accepted,
    /// It is something else, and served all the same.
    Changed {
        /// The digest that was accepted.
        accepted: String,
    },
    /// It is something else, and not run.
    Quarantined {
        /// The digest that was accepted; `None` where nothing of the plugin ever was.
        accepted: Option<String>,
    },
}

/// Why a plugin is accepted though no operator has said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sight {
    /// It was there when plugins were first looked at with pins.
    FirstUse,
    /// It is new, and pins only warn.
    FirstSight,
    /// The program itself has brought it.
    Bundled,
}

/// A plugin as a scan finds it, for [`Pinning::judge`].
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// The digest of its files.
    pub digest: &'a str,
    /// The digest that was accepted, if any was.
    pub accepted: Option<&'a str>,
    /// Whether plugins are looked at with pins for the first time.
    pub first_use: bool,
    /// Whether its files are exactly those that the program has unpacked.
    pub bundled: bool,
}

impl Pinning {
    /// How a plugin stands, `None` where that does not matter; and why it is to be accepted now, where it is.
    pub fn judge(self, found: Found<'_>) -> (Option<Integrity>, Option<Sight>) {
        let Found {
            digest,
            accepted,
            first_use,
            bundled,
        } = found;
        let sight = match (self, accepted) {
            (Self::Off, _) => return (None, None),
            (_, Some(accepted)) if accepted == digest => None,
            _ if bundled => Some(Sight::Bundled),
            (Self::Warn, Some(accepted)) => {
                let accepted = accepted.to_owned();
                return (Some(Integrity::Changed { accepted }), None);
            }
            (Self::Warn | Self::Require, None) if first_use => Some(Sight::FirstUse),
            (Self::Warn, None) => Some(Sight::FirstSight),
            (Self::Require, accepted) => {
                let accepted = accepted.map(ToOwned::to_owned);
                return (Some(Integrity::Quarantined { accepted }), None);
            }
        };
        (Some(Integrity::Accepted), sight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_accepted_of_itself() {
        let is_accepted = |sight| (Some(Integrity::Accepted), sight);
        let by = |sight| is_accepted(Some(sight));
        let accepted = "old".to_owned();
        let changed = (Some(Integrity::Changed { accepted }), None);
        let quarantined = |accepted: Option<&str>| {
            let accepted = accepted.map(ToOwned::to_owned);
            (Some(Integrity::Quarantined { accepted }), None)
        };
        let (new, old) = (Some("new"), Some("old"));
        let (off, warn, require) = (Pinning::Off, Pinning::Warn, Pinning::Require);
        let rows = [
            // Mode, what was accepted, first use, bundled; how it stands, and why it is accepted.
            (off, old, true, true, (None, None)),
            (warn, new, false, false, is_accepted(None)),
            (require, new, true, true, is_accepted(None)),
            (warn, old, false, false, changed.clone()),
            (warn, old, true, false, changed),
            (require, old, false, false, quarantined(old)),
            (require, old, true, false, quarantined(old)),
            (require, None, false, false, quarantined(None)),
            (require, None, true, false, by(Sight::FirstUse)),
            (warn, None, true, false, by(Sight::FirstUse)),
            (warn, None, false, false, by(Sight::FirstSight)),
            (require, None, false, true, by(Sight::Bundled)),
            (require, old, false, true, by(Sight::Bundled)),
            (warn, old, false, true, by(Sight::Bundled)),
        ];
        for (pinning, before, first_use, bundled, expected) in rows {
            let found = Found {
                digest: "new",
                accepted: before,
                first_use,
                bundled,
            };
            assert_eq!(pinning.judge(found), expected, "{pinning:?} {found:?}");
        }
    }
}
