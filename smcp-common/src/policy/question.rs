//! What is asked of the rules.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::job::Entrance;

/// Who wants something.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject {
    /// The agent's name.
    pub agent: String,
    /// The groups that it is in.
    pub groups: BTreeSet<String>,
}

/// By which way a call comes to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// An agent calls or submits it.
    Call,
    /// A schedule's time has come.
    Schedule,
    /// A step of a workflow, or a check of one.
    Workflow,
    /// It has been approved of, and is about to run.
    Approval,
}

impl Via {
    /// The text that rules compare with.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Schedule => "schedule",
            Self::Workflow => "workflow",
            Self::Approval => "approval",
        }
    }
}

/// The circumstances of a call: `context.session` of rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// By which way.
    pub via: Via,
    /// One of [`Entrance::TRANSPORTS`], or [`Session::NOBODY`].
    pub transport: &'static str,
    /// Where the caller is, as far as it has an address.
    pub address: Option<IpAddr>,
    /// When.
    pub now: Timestamp,
    /// Whether nothing is to be run.
    pub dry_run: bool,
}

impl Session {
    /// The transport of a call for which nobody is connected.
    pub const NOBODY: &str = "none";

    /// That of a call whose caller came in like this.
    pub fn of(via: Via, entrance: Option<&Entrance>, now: Timestamp) -> Self {
        Self {
            via,
            transport: entrance.map_or(Self::NOBODY, |entrance| entrance.transport),
            address: entrance.and_then(|entrance| entrance.address),
            now,
            dry_run: false,
        }
    }

    /// That of a call for which nobody is connected.
    pub fn unattended(via: Via, now: Timestamp) -> Self {
        Self::of(via, None, now)
    }
}

/// A call about which is to be decided.
#[derive(Debug, Clone, Copy)]
pub struct Question<'q> {
    /// Who calls.
    pub subject: &'q Subject,
    /// The plugin that has the tool, or [`BUILTIN_PLUGIN`](super::BUILTIN_PLUGIN).
    pub plugin: &'q str,
    /// The tool's own name.
    pub tool: &'q str,
    /// Exactly the arguments that will run: defaults applied, nulls dropped.
    pub arguments: &'q Map<String, Value>,
    /// The circumstances.
    pub session: &'q Session,
}
