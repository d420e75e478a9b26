//! What follows from a decision: what a job carries with it, or what its caller is told.

use serde_json::{Map, Value};

use super::{BUILTIN_PLUGIN, Decision, Obligations, Policies, Question, Verdict};
use crate::approval::{Request, digest};
use crate::canonical;
use crate::clock::Timestamp;

/// A call that rules permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The ids of the rules that permit it, sorted.
    pub rules: Vec<String>,
    /// The hash of the rules that were asked.
    pub policy: String,
    /// What they ask for: above all [`Obligations::approval`], before which nothing may run.
    pub obligations: Obligations,
}

/// A call that rules do not permit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Rejection {
    /// A stable `snake_case` code.
    pub code: &'static str,
    /// What is wrong, and what to do.
    pub message: String,
    /// The ids of the rules that decided, sorted; none where no rule permits it.
    pub rules: Vec<String>,
    /// The hash of the rules that were asked.
    pub policy: String,
}

impl Policies {
    /// Decides about a call that is to run, in the words of its caller. What needs approval is granted here: it is for whoever
    /// makes the job to let it wait for that.
    ///
    /// # Errors
    /// Why it may not run.
    pub fn grant(&self, question: &Question<'_>) -> Result<Grant, Rejection> {
        self.judge(question, self.decide(question))
    }

    /// The same, where it has been decided already.
    ///
    /// # Errors
    /// Why it may not run.
    pub fn judge(&self, question: &Question<'_>, decision: Decision) -> Result<Grant, Rejection> {
        match decision.verdict {
            Verdict::Allow | Verdict::Approval => fitting(question, decision),
            Verdict::Deny => Err(self.denied(question, decision)),
            Verdict::Error => Err(failed(question, decision)),
        }
    }

    fn denied(&self, question: &Question<'_>, decision: Decision) -> Rejection {
        let (tool, agent) = (question.tool, &question.subject.agent);
        let message = if decision.rules.is_empty() && question.plugin == BUILTIN_PLUGIN {
            format!(
                "{tool} is for administrators, and no rule permits it to '{agent}'. Members of the group operators may call it, such as \
                 whoever shows the operator's key, which is the file operator.key in the data directory, as the smcp command does."
            )
        } else if decision.rules.is_empty() {
            format!(
                "No rule permits '{agent}' to call {tool} like this now. Ask an operator for one, or to add you to a group that has \
                 one; `smcp policy explain {tool} --agent {agent}` tells them what is missing."
            )
        } else {
            let words = decision.rules.iter().filter_map(|rule| self.message(rule));
            let mut message = format!(
                "'{agent}' may not call {tool} like this: {} forbids it.",
                named(&decision.rules)
            );
            for words in words {
                message.push(' ');
                message.push_str(words);
            }
            message
        };
        rejection("not_allowed", message, decision)
    }
}

/// What a permit asks of the call itself.
fn fitting(question: &Question<'_>, decision: Decision) -> Result<Grant, Rejection> {
    let obligations = &decision.obligations;
    if obligations.dry_run_only && !question.session.dry_run {
        let message = format!(
            "{} may only be tried out by {}: call it with dry_run, which tells what it would do. So says {}.",
            question.tool,
            question.subject.agent,
            named(&decision.rules)
        );
        return Err(rejection("dry_run_only", message, decision));
    }
    if let Some(most) = obligations.max_arguments_bytes {
        let object = serde_json::Value::Object(question.arguments.clone());
        let bytes = canonical::to_string(&object).len();
        if u64::try_from(bytes).is_ok_and(|bytes| bytes > most) {
            let message = format!(
                "The arguments of {} are {bytes} bytes of JSON, of which {most} are allowed. Nothing has been run. So says {}.",
                question.tool,
                named(&decision.rules)
            );
            return Err(rejection("arguments_too_large", message, decision));
        }
    }
    Ok(Grant {
        rules: decision.rules,
        policy: decision.policy,
        obligations: decision.obligations,
    })
}

fn failed(question: &Question<'_>, decision: Decision) -> Rejection {
    let problem = decision
        .problem
        .as_deref()
        .unwrap_or("a rule could not be evaluated");
    let rules = if decision.rules.is_empty() {
        String::new()
    } else {
        format!(" ({})", named(&decision.rules))
    };
    let message = format!(
        "{} is not allowed, since it cannot be decided: {problem}{rules}. Ask an operator; `smcp policy explain {}` tells them more.",
        question.tool, question.tool
    );
    rejection("policy_error", message, decision)
}

fn rejection(code: &'static str, message: String, decision: Decision) -> Rejection {
    Rejection {
        code,
        message,
        rules: decision.rules,
        policy: decision.policy,
    }
}

impl Grant {
    /// `allow`, or `approval` where it has to be waited for.
    pub const fn as_str(&self) -> &'static str {
        match self.obligations.approval {
            Some(_) => "approval",
            None => "allow",
        }
    }

    /// What must be approved of before a call of `tool` by `agent` runs; `arguments` are as they may be shown, and `plugin` is
    /// the digest of the plugin's files. `None` where nobody needs to.
    pub fn request(
        &self,
        agent: &str,
        tool: &str,
        arguments: &Map<String, Value>,
        plugin: &str,
        expires_at: Timestamp,
    ) -> Option<Request> {
        let of = self.obligations.approval.clone()?;
        Some(Request {
            digest: digest(agent, tool, arguments, plugin, &self.policy),
            rules: self.rules.clone(),
            of,
            expires_at,
        })
    }

    /// It, where it needs no approval that would have to be waited for; `tool` is what it is for.
    ///
    /// # Errors
    /// `approval_required`, with whose approval it needs.
    pub fn without_approval(self, tool: &str) -> Result<Self, Rejection> {
        let Some(approval) = &self.obligations.approval else {
            return Ok(self);
        };
        let message = format!(
            "{tool} needs {approval} first. So says {}.",
            named(&self.rules)
        );
        Err(Rejection {
            code: "approval_required",
            message,
            rules: self.rules,
            policy: self.policy,
        })
    }
}

/// Rules by their names: `rule a`, or `rules a and b`.
fn named(rules: &[String]) -> String {
    match rules {
        [] => "no rule".to_owned(),
        [one] => format!("rule {one}"),
        [first @ .., last] => format!("rules {} and {last}", first.join(", ")),
    }
}
