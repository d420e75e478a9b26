//! What a permit asks for beside what it permits, in its annotations.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::approval::list;
use crate::limit::{Limit, period};

/// What the satisfied permits ask for together: of each kind the strictest.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Obligations {
    /// `@requireApproval("group")` with `@approvals("2")`.
    pub approval: Option<Approval>,
    /// `@rate`, `@quota` and `@cooldown`, each with the id of its rule; all of them count.
    pub limits: Vec<Limit>,
    /// `@timeout("30s")`: the longest run.
    pub timeout_ms: Option<u64>,
    /// `@maxAttempts("3")`.
    pub max_attempts: Option<u32>,
    /// `@maxArguments("64KiB")`: the largest arguments, in bytes of JSON.
    pub max_arguments_bytes: Option<u64>,
    /// `@dryRunOnly`: nothing is run.
    pub dry_run_only: bool,
    /// `@sandbox("strict")`: it runs only where every key of its profile is enforced.
    pub strict_sandbox: bool,
}

impl Obligations {
    /// Each as people say it: `the approval of 2 of ops`.
    pub fn needs(&self) -> Vec<String> {
        let mut needs = Vec::new();
        needs.extend(self.approval.as_ref().map(ToString::to_string));
        needs.extend(self.limits.iter().map(|limit| limit.kind.to_string()));
        needs.extend(
            self.timeout_ms
                .map(|ms| format!("no longer than {}", period(ms))),
        );
        needs.extend(self.max_attempts.map(|most| match most {
            1 => "1 attempt".to_owned(),
            most => format!("{most} attempts"),
        }));
        let bytes = self.max_arguments_bytes;
        needs.extend(bytes.map(|bytes| format!("arguments of {bytes} bytes at the most")));
        if self.dry_run_only {
            needs.push("dry_run".to_owned());
        }
        if self.strict_sandbox {
            needs.push("a machine that enforces every key of its profile".to_owned());
        }
        needs
    }

    /// What all of `asked` ask for together.
    pub(super) fn strictest<'o>(asked: impl Iterator<Item = &'o Self>) -> Self {
        asked.fold(Self::default(), |all, one| Self {
            approval: Approval::both(all.approval, one.approval.as_ref()),
            limits: [all.limits, one.limits.clone()].concat(),
            timeout_ms: least(all.timeout_ms, one.timeout_ms),
            max_attempts: least(all.max_attempts, one.max_attempts),
            max_arguments_bytes: least(all.max_arguments_bytes, one.max_arguments_bytes),
            dry_run_only: all.dry_run_only || one.dry_run_only,
            strict_sandbox: all.strict_sandbox || one.strict_sandbox,
        })
    }
}

fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Whose approval is needed, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The groups whose members may approve of it: one for each permit that asks; members of any of them count, and at least
    /// one of each is needed.
    pub groups: Vec<String>,
    /// How many agents must approve of it; at least 1.
    pub approvals: u32,
}

impl fmt::Display for Approval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups = list(&self.groups);
        match self.approvals {
            1 => write!(f, "the approval of {groups}"),
            more => write!(f, "the approval of {more} of {groups}"),
        }
    }
}

impl Approval {
    fn both(one: Option<Self>, other: Option<&Self>) -> Option<Self> {
        match (one, other) {
            (Some(mut one), Some(other)) => {
                one.groups.extend(other.groups.iter().cloned());
                one.groups.sort_unstable();
                one.groups.dedup();
                one.approvals = one.approvals.max(other.approvals);
                Some(one)
            }
            (one, other) => one.or_else(|| other.cloned()),
        }
    }
}
