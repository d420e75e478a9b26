//! `policy__check`, `policy__explain`, `policy__test`, `policy__show` and `policy__replay`: the rules, for those who write them.
//! Nothing here changes rules: those of the directory come into force by themselves.

mod asked;
mod cases;
mod check;
mod explain;
mod replay;
mod show;

use std::sync::Arc;

use serde_json::{Value, json};
use smcp_common::policy::{Fault, Grant, Level, Policies, Problem, Rejection, RuleFile};

use super::{Builtin, Changes, read};
use crate::app::App;
use crate::policy::rules;
use crate::refusal::Refusal;

pub(super) fn all() -> [Builtin; 5] {
    [check(), explain(), test(), show(), replay()]
}

fn check() -> Builtin {
    Builtin::new(
        "policy__check",
        "Tells which rules are in force, whether those of the server's directory are, and what is wrong with them; or what is wrong \
         with other files.",
        Changes::Nothing,
        &json!({
            "files": files("Look at these files instead, as if they were to take the place of the rules in force."),
            "allow_missing": {"type": "boolean", "default": false, "description": "Whether rules may name tools that are not there yet."},
        }),
        &[],
        |app, _, arguments| Box::pin(async move { check::run(app, arguments) }),
    )
    .for_operators()
}

fn explain() -> Builtin {
    let mut properties = asked::properties();
    properties["files"] = files("Decide by these rules instead of those in force.");
    Builtin::new(
        "policy__explain",
        "Decides about a call without making it, and tells which rules decide, what they ask for, and what would make it allowed.",
        Changes::Nothing,
        &properties,
        &["tool", "agent"],
        |app, _, arguments| Box::pin(async move { explain::run(app, arguments) }),
    )
    .for_operators()
}

fn test() -> Builtin {
    let case = json!({
        "type": "object",
        "properties": {
            "name": {"type": "string"}, "agent": {"type": "string"}, "groups": {"type": "array", "items": {"type": "string"}},
            "tool": {"type": "string"}, "args": {"type": "object"}, "at": {"type": "string"}, "via": {"type": "string"},
            "transport": {"type": "string"}, "address": {"type": "string"}, "dry_run": {"type": "boolean"},
            "expect": {"type": "string", "enum": ["allow", "approval", "deny"]},
            "rules": {"type": "array", "items": {"type": "string"}}, "obligations": {"type": "object"},
        },
        "required": ["name", "agent", "tool", "expect"],
        "additionalProperties": false,
    });
    Builtin::new(
        "policy__test",
        "Decides about a table of calls, and tells which decisions are others than expected.",
        Changes::Nothing,
        &json!({
            "cases": {"type": "array", "items": case, "minItems": 1, "maxItems": 10_000, "description":
                "Calls, each with the expected decision; with rules, these must be exactly the ones that decide; with obligations, these \
                 must be among what they ask for."},
            "files": files("Decide by these rules instead of those in force."),
        }),
        &["cases"],
        |app, _, arguments| Box::pin(async move { cases::run(app, arguments) }),
    )
    .for_operators()
}

fn show() -> Builtin {
    Builtin::new(
        "policy__show",
        "Lists the tools that some arguments and some time could allow an agent, and under which rules.",
        Changes::Nothing,
        &json!({
            "agent": {"type": "string", "description": "The agent."},
            "groups": {"type": "array", "items": {"type": "string"}, "description": "As if it were in these groups."},
            "files": files("Go by these rules instead of those in force."),
        }),
        &["agent"],
        |app, caller, arguments| Box::pin(async move { show::run(app, caller, arguments) }),
    )
    .for_operators()
}

fn replay() -> Builtin {
    Builtin::new(
        "policy__replay",
        "Decides about the calls of the audit records once more, and tells which would be decided otherwise. Agents are taken to be in \
         the groups that they are in today.",
        Changes::Nothing,
        &json!({
            "since": {"type": "string", "description": "The first records to look at: RFC 3339, such as 2026-12-01T09:00:00Z."},
            "until": {"type": "string", "description": "End before the records of that time."},
            "files": files("Decide by these rules instead of those in force."),
            "limit": {"type": "integer", "minimum": 1, "maximum": 10_000, "default": 200, "description": "Tell at most so many of each."},
        }),
        &["since"],
        |app, _, arguments| Box::pin(replay::run(app, arguments)),
    )
    .for_operators()
}

fn files(description: &str) -> Value {
    json!({
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "text": {"type": "string"}},
            "required": ["name", "text"],
            "additionalProperties": false,
        },
        "description": description,
    })
}

/// The rules to go by: those that are handed in, as far as they are rules, else those in force.
fn chosen(app: &App, files: Option<Vec<RuleFile>>) -> Result<Arc<Policies>, Refusal> {
    let Some(files) = files else {
        return rules(app);
    };
    match app.rules.check(files, true)? {
        Ok(checked) if checked.is_acceptable() => Ok(Arc::new(checked.policies)),
        Ok(checked) => Err(invalid(&checked.problems)),
        Err(Fault::Rules(problems)) => Err(invalid(&problems)),
        Err(fault @ (Fault::Internal(_) | Fault::Zone(_))) => {
            Err(Refusal::new("internal_error", format!("{fault}.")))
        }
    }
}

fn invalid(problems: &[Problem]) -> Refusal {
    let errors: Vec<_> = problems
        .iter()
        .filter(|problem| problem.level == Level::Error)
        .map(ToString::to_string)
        .collect();
    Refusal {
        code: "invalid_policy",
        message: format!("These are no rules to go by:\n{}", errors.join("\n")),
        details: Some(json!({ "problems": problems })),
    }
}

/// The word for a decision: `allow`, `approval` or `deny`.
fn word(judged: &Result<Grant, Rejection>) -> &'static str {
    judged.as_ref().map_or("deny", Grant::as_str)
}
