//! What the rules answer.

use super::Obligations;

/// A decision, with what it follows from.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Whether the call may run.
    pub verdict: Verdict,
    /// The ids of the rules that decided, sorted: the permits that were satisfied, or the forbids; none where no rule permits.
    pub rules: Vec<String>,
    /// What the permits ask for; the strictest of each.
    pub obligations: Obligations,
    /// The hash of the set of rules that was asked, in hexadecimal.
    pub policy: String,
    /// Why it could not be decided, where the verdict is [`Verdict::Error`]: a sentence without the values of arguments.
    pub problem: Option<String>,
}

/// Whether a call may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Allow,
    /// It may as soon as it has been approved of, as the obligations say.
    Approval,
    /// It may not: a rule forbids it, or none permits it (`not_allowed`).
    Deny,
    /// It may not, since a rule could not be evaluated (`policy_error`).
    Error,
}
