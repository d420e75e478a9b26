//! What the tool does.

use serde::Deserialize;
use serde_json::{Value, json};
use smcp_common::policy::{Fault, Level, Problem, RuleFile};

use super::read;
use crate::app::App;
use crate::policy::rules;
use crate::refusal::Refusal;
use crate::rules::RulesError;

#[derive(Deserialize)]
struct Check {
    files: Option<Vec<RuleFile>>,
    #[serde(default)]
    allow_missing: bool,
}

pub(super) fn run(app: &App, arguments: Value) -> Result<Value, Refusal> {
    let Check {
        files,
        allow_missing,
    } = read(arguments)?;
    let mut told = match files {
        Some(files) => candidates(app, files, allow_missing)?,
        None => in_force(app)?,
    };
    let accepted = app.queue.policies()?;
    told["in_force"] = json!({
        "version": accepted.version,
        "hash": accepted.hash,
        "zone": accepted.zone,
        "files": accepted.files.iter().map(|file| &file.name).collect::<Vec<_>>(),
        "at": accepted.at,
        "by": accepted.by,
    });
    told["directory"] = json!(app.rules.directory());
    Ok(told)
}

/// Files that are to take the place of the rules in force.
fn candidates(app: &App, files: Vec<RuleFile>, allow_missing: bool) -> Result<Value, Refusal> {
    let (problems, hash) = match app.rules.check(files, allow_missing)? {
        Ok(checked) => (checked.problems, Some(checked.policies.hash().to_owned())),
        Err(Fault::Rules(problems)) => (problems, None),
        Err(fault @ (Fault::Internal(_) | Fault::Zone(_))) => {
            return Err(Refusal::new("internal_error", format!("{fault}.")));
        }
    };
    Ok(json!({"ok": is_fine(&problems), "hash": hash, "problems": problems, "error": null}))
}

/// The rules in force, and what keeps those of the directory from it.
fn in_force(app: &App) -> Result<Value, Refusal> {
    let refused = app.rules.refused();
    let (problems, error) = match refused {
        Some(RulesError::Refused { problems, .. }) => (problems, None),
        Some(error @ (RulesError::Directory(_) | RulesError::Queue(_) | RulesError::Fault(_))) => {
            (Vec::new(), Some(format!("{error}.")))
        }
        None => {
            let policies = rules(app)?;
            (policies.problems(&app.rules.names()?), None)
        }
    };
    let ok = error.is_none() && is_fine(&problems);
    Ok(json!({"ok": ok, "problems": problems, "error": error}))
}

fn is_fine(problems: &[Problem]) -> bool {
    problems.iter().all(|problem| problem.level != Level::Error)
}
