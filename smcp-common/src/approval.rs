//! Approvals: who may approve of a call, what exactly is approved of, and when that is enough. Pure; the queue keeps
//! requests and votes.
//!
//! An approval is for one job and one set of bytes: agent, tool, arguments, the plugin's files and the rules in force. Where
//! one of them changes before the job begins, it is asked for anew.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::canonical;
use crate::clock::Timestamp;
use crate::policy::{Approval, Subject};

/// What is approved of, as SHA-256.
pub type Digest = [u8; 32];

/// What an approval is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Who may approve of it, and how many must.
    pub of: Approval,
    /// What is approved of; see [`digest`].
    pub digest: Digest,
    /// The rules that ask for it.
    pub rules: Vec<String>,
    /// Nobody can approve of it any more from then on.
    pub expires_at: Timestamp,
}

/// The digest of all that an approval is bound to. `plugin` is the digest of the plugin's files, `policy` that of the rules.
pub fn digest(
    agent: &str,
    tool: &str,
    arguments: &Map<String, Value>,
    plugin: &str,
    policy: &str,
) -> Digest {
    let bound = json!({
        "agent": agent, "arguments": arguments, "plugin": plugin, "policy": policy, "tool": tool,
    });
    Sha256::digest(canonical::to_string(&bound)).into()
}

/// What somebody says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Voice {
    /// It may run.
    Approve,
    /// It must not.
    Deny,
}

impl Voice {
    /// The stored text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
        }
    }
}

/// Somebody's approval, with the groups that counted when it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approver {
    /// The agent.
    pub agent: String,
    /// Those of the request's groups that it was in.
    pub groups: BTreeSet<String>,
    /// When.
    pub at: Timestamp,
}

/// Why somebody's word does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// The job waits for no approval: there is none, it has been decided, or it needed none.
    #[error("job {0} waits for nobody's approval")]
    NotPending(String),
    /// It came too late.
    #[error("nobody approved of this job in time: the request expired at {0}")]
    Expired(Timestamp),
    /// It is the requester's own.
    #[error("a call cannot be approved of by the agent that asks for it")]
    Own,
    /// It is not in any of the groups that may.
    #[error("only members of {} may approve of this job", list(.0))]
    NotMember(Vec<String>),
    /// It has said so before.
    #[error("you have approved of this job already; others must, too")]
    Repeated,
    /// What it has seen is not what would run.
    #[error(
        "this is not what you have seen: the arguments, the plugin or the rules have changed, or it is asked for anew; look at \
         the request again"
    )]
    Changed,
}

impl Obstacle {
    /// The code for callers and records.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotPending(_) => "approval_not_pending",
            Self::Expired(_) => "approval_expired",
            Self::Own => "approval_own_request",
            Self::NotMember(_) => "approval_not_allowed",
            Self::Repeated => "approval_repeated",
            Self::Changed => "approval_changed",
        }
    }
}

/// Whether the word of `voter` counts for a request of `requester`; answers the groups that it speaks for. `seen` is the
/// digest that it was shown, where it says so.
///
/// # Errors
/// [`Obstacle`].
pub fn admit(
    request: &Request,
    requester: &str,
    given: &[Approver],
    voter: &Subject,
    seen: Option<&Digest>,
    now: Timestamp,
) -> Result<BTreeSet<String>, Obstacle> {
    if voter.agent == requester {
        return Err(Obstacle::Own);
    }
    let groups: BTreeSet<_> = request
        .of
        .groups
        .iter()
        .filter(|group| voter.groups.contains(*group))
        .cloned()
        .collect();
    if groups.is_empty() {
        return Err(Obstacle::NotMember(request.of.groups.clone()));
    }
    if request.expires_at <= now {
        return Err(Obstacle::Expired(request.expires_at));
    }
    if given.iter().any(|approver| approver.agent == voter.agent) {
        return Err(Obstacle::Repeated);
    }
    if seen.is_some_and(|seen| *seen != request.digest) {
        return Err(Obstacle::Changed);
    }
    Ok(groups)
}

/// Whether so many approvals are enough: as many agents as are asked for, and each group has spoken.
pub fn suffices(of: &Approval, given: &[Approver]) -> bool {
    let agents: BTreeSet<_> = given.iter().map(|approver| &approver.agent).collect();
    let spoken: BTreeSet<_> = given.iter().flat_map(|approver| &approver.groups).collect();
    agents.len() >= usize::try_from(of.approvals).unwrap_or(usize::MAX)
        && of.groups.iter().all(|group| spoken.contains(group))
}

/// Names in a sentence.
pub fn list(names: &[String]) -> String {
    match names {
        [] => "nobody".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    fn request(groups: &[&str], approvals: u32) -> Request {
        Request {
            of: Approval {
                groups: groups.iter().map(ToString::to_string).collect(),
                approvals,
            },
            digest: [1; 32],
            rules: vec!["r".into()],
            expires_at: Timestamp::from_millis(2_000),
        }
    }

    fn subject(agent: &str, groups: &[&str]) -> Subject {
        Subject {
            agent: agent.into(),
            groups: groups.iter().map(ToString::to_string).collect(),
        }
    }

    fn approver(agent: &str, groups: &[&str]) -> Approver {
        let Subject { agent, groups } = subject(agent, groups);
        Approver {
            agent,
            groups,
            at: NOW,
        }
    }

    #[test]
    fn a_word_counts_once_in_time_and_never_for_oneself() {
        let given = [approver("ann", &["ops"])];
        let late = Timestamp::from_millis(2_000);
        let rows = [
            ("bob", &["ops"][..], None, NOW, None),
            ("bob", &["ops"][..], Some([1; 32]), NOW, None),
            (
                "bob",
                &["ops"][..],
                Some([2; 32]),
                NOW,
                Some("approval_changed"),
            ),
            ("bob", &["ops"][..], None, late, Some("approval_expired")),
            ("bob", &["dev"][..], None, NOW, Some("approval_not_allowed")),
            ("bob", &[][..], None, NOW, Some("approval_not_allowed")),
            ("ann", &["ops"][..], None, NOW, Some("approval_repeated")),
            ("ci", &["ops"][..], None, NOW, Some("approval_own_request")),
        ];
        for (agent, groups, seen, now, expected) in rows {
            let voter = subject(agent, groups);
            let admitted = admit(
                &request(&["ops"], 2),
                "ci",
                &given,
                &voter,
                seen.as_ref(),
                now,
            );
            let code = admitted.as_ref().err().map(Obstacle::code);
            assert_eq!(code, expected, "{agent} {groups:?} {seen:?}");
        }
    }

    #[test]
    fn enough_is_enough_agents_and_every_group() {
        let rows = [
            (&["ops"][..], 1, vec![], false),
            (&["ops"], 1, vec![approver("a", &["ops"])], true),
            (&["ops"], 2, vec![approver("a", &["ops"])], false),
            (
                &["ops"],
                2,
                vec![approver("a", &["ops"]), approver("b", &["ops"])],
                true,
            ),
            (&["dev", "ops"], 1, vec![approver("a", &["ops"])], false),
            (
                &["dev", "ops"],
                1,
                vec![approver("a", &["dev", "ops"])],
                true,
            ),
            (
                &["dev", "ops"],
                1,
                vec![approver("a", &["ops"]), approver("b", &["dev"])],
                true,
            ),
        ];
        for (groups, approvals, given, expected) in rows {
            let of = request(groups, approvals).of;
            assert_eq!(suffices(&of, &given), expected, "{of:?} {given:?}");
        }
    }

    #[test]
    fn whatever_changes_changes_what_is_approved_of() {
        let arguments = |text: &str| serde_json::from_str::<Map<_, _>>(text).unwrap();
        let (one, same) = (
            arguments(r#"{"a": 1, "b": 2}"#),
            arguments(r#"{"b": 2, "a": 1}"#),
        );
        let base = digest("ci", "t__x", &one, "p", "q");
        assert_eq!(digest("ci", "t__x", &same, "p", "q"), base);
        for other in [
            digest("c", "t__x", &one, "p", "q"),
            digest("ci", "t__y", &one, "p", "q"),
            digest("ci", "t__x", &arguments(r#"{"a": 1}"#), "p", "q"),
            digest("ci", "t__x", &one, "o", "q"),
            digest("ci", "t__x", &one, "p", "r"),
        ] {
            assert_ne!(other, base);
        }
    }
}
