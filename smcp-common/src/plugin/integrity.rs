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

    const OLD: Option<&str> = Some("old");
    const NEW: Option<&str> = Some("new");

    fn changed() -> (Option<Integrity>, Option<Sight>) {
        let accepted = "old".to_owned();
        (Some(Integrity::Changed { accepted }), None)
    }

    fn quarantined(accepted: Option<&str>) -> (Option<Integrity>, Option<Sight>) {
        let accepted = accepted.map(ToOwned::to_owned);
        (Some(Integrity::Quarantined { accepted }), None)
    }

    #[test]
    fn what_is_accepted_of_itself() {
        use Pinning::{Off, Require, Warn};
        let accepted = |sight: Option<Sight>| (Some(Integrity::Accepted), sight);
        let first_use = || accepted(Some(Sight::FirstUse));
        let bundled = || accepted(Some(Sight::Bundled));
        let rows = [
            // Mode, what was accepted, first use, bundled; how it stands, and why it is accepted.
            (Off, OLD, true, true, (None, None)),
            (Warn, NEW, false, false, accepted(None)),
            (Warn, OLD, false, false, changed()),
            (Warn, OLD, true, false, changed()),
            (Warn, OLD, false, true, bundled()),
            (Warn, None, true, false, first_use()),
            (Warn, None, false, false, accepted(Some(Sight::FirstSight))),
            (Require, NEW, true, true, accepted(None)),
            (Require, OLD, false, false, quarantined(OLD)),
            (Require, OLD, true, false, quarantined(OLD)),
            (Require, OLD, false, true, bundled()),
            (Require, None, true, false, first_use()),
            (Require, None, false, false, quarantined(None)),
            (Require, None, false, true, bundled()),
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
