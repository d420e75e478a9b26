//! ② From a definition to a workflow that may be recorded: everything that can be known before it runs is looked at,
//! and all that is wrong is told together, each with its place.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use smcp_common::clock::Timestamp;
use smcp_common::plugin::{Tool, misfits, normalise};
use smcp_common::policy::{Session, Via};
use smcp_common::queue::AllowedBy;
use smcp_common::workflow::{Definition, Problem, check, has_references, literal};

use crate::app::App;
use crate::caller::Caller;
use crate::denial;
use crate::policy::{decide, decide_roughly};
use crate::refusal::Refusal;
use crate::submit::missing;
use crate::tools::Tools;

/// A definition that can run.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// The definition, with every tool under its own name.
    pub definition: Definition,
    /// The rules that allow each of its tools.
    pub rules: AllowedBy,
}

/// Looks at a definition: its form, its references, its tools, their arguments as far as these are known, and whether the
/// caller may call them so `at` the time when it is to run. What is denied is recorded; nothing else is. Each step is decided once
/// more when it begins.
///
/// # Errors
/// `invalid_workflow` with every problem and its place, in words and as `problems`; the code of a denial where nothing
/// else is wrong; database errors.
pub async fn prepare(
    app: &App,
    caller: &Caller,
    mut definition: Definition,
    at: Timestamp,
) -> Result<Prepared, Refusal> {
    let mut problems = check(&definition);
    let (mut denials, mut denied) = (BTreeMap::new(), 0);
    let mut rules = AllowedBy::new();
    let session = Session::unattended(Via::Workflow, at);
    let tools = app.tools.current(&app.queue)?;
    for (place, tool, arguments) in calls(&mut definition) {
        let Some(found) = tools.find(tool) else {
            let unknown = unknown(app, &tools, tool)?;
            problems.push(Problem::new(format!("{place}tool"), unknown));
            continue;
        };
        found.tool.name.as_str().clone_into(tool);
        let known =
            if arguments.values().any(has_references) {
                let known = normalise(&found.tool, arguments.clone());
                let misfits = misfits(&found.tool, &known, has_references);
                problems.extend(misfits.into_iter().map(|(name, problem)| {
                    Problem::new(format!("{place}arguments.{name}"), problem)
                }));
                None
            } else {
                let fitting = found.arguments(literal(arguments));
                fitting
                    .map_err(|refusal| {
                        let problem = refusal.message.trim_end_matches('.');
                        problems.push(Problem::new(format!("{place}arguments"), problem));
                    })
                    .ok()
            };
        let decided = match &known {
            Some(known) => decide(app, caller, found, known, &session).map(|grant| grant.rules),
            None => decide_roughly(app, caller, found).map(|()| Vec::new()),
        };
        match decided {
            Ok(allowing) => {
                rules.entry(tool.clone()).or_default().extend(allowing);
            }
            Err(denial) => {
                problems.push(Problem::new(
                    format!("{place}tool"),
                    denial.refusal.message.trim_end_matches('.'),
                ));
                let known = known.unwrap_or_else(|| normalise(&found.tool, arguments.clone()));
                denials.insert(tool.clone(), (denial, found, known));
                denied += 1;
            }
        }
        for name in literal_secrets(&found.tool, arguments) {
            problems.push(Problem::new(format!("{place}arguments.{name}"), KEPT));
        }
    }
    for allowing in rules.values_mut() {
        allowing.sort_unstable();
        allowing.dedup();
    }
    let mut first = None;
    for (denied, found, arguments) in denials.into_values() {
        let told = denial::record(app, caller, Via::Workflow, &found.tool, arguments, denied);
        first.get_or_insert(told.await?);
    }
    if problems.is_empty() {
        return Ok(Prepared { definition, rules });
    }
    if denied == problems.len()
        && let Some(refusal) = first
    {
        return Err(refusal);
    }
    Err(invalid(&problems))
}

/// What is wrong with a secret in something that is kept as it was given.
pub(crate) const KEPT: &str = "it is secret, and would be kept here as it is given; let the plugin declare a secret instead, which \
     smcp secrets set stores encrypted";

/// The arguments that a tool declares secret, and that are given as such: not by a reference to another step.
pub(crate) fn literal_secrets<'a>(
    tool: &'a Tool,
    arguments: &'a Map<String, Value>,
) -> impl Iterator<Item = &'a str> {
    let given = arguments
        .iter()
        .filter(|(_, value)| !value.is_null() && !has_references(value));
    let declared = given.filter_map(|(name, _)| tool.parameter(name));
    declared
        .filter(|parameter| parameter.secret)
        .map(|parameter| parameter.name.as_str())
}

/// The refusal that names every problem.
pub fn invalid(problems: &[Problem]) -> Refusal {
    let told: Vec<_> = problems
        .iter()
        .map(|problem| format!("{problem}{}", stop(&problem.message)))
        .collect();
    Refusal {
        code: "invalid_workflow",
        message: format!(
            "The workflow cannot run, and has not been recorded. {}",
            told.join(" ")
        ),
        details: Some(json!({ "problems": problems })),
    }
}

/// What ends the sentence.
fn stop(message: &str) -> &'static str {
    if message.ends_with(['.', '?', '!']) {
        ""
    } else {
        "."
    }
}

/// Every call that a definition may make: where it stands, with a dot at its end, its tool and its arguments.
fn calls(
    definition: &mut Definition,
) -> impl Iterator<Item = (String, &mut String, &Map<String, Value>)> {
    definition
        .steps
        .iter_mut()
        .enumerate()
        .flat_map(|(n, step)| {
            let of_step = (format!("steps[{n}]."), &mut step.tool, &step.arguments);
            let of_check = step.verify.as_mut().map(|verify| {
                (
                    format!("steps[{n}].verify."),
                    &mut verify.tool,
                    &verify.arguments,
                )
            });
            std::iter::once(of_step).chain(of_check)
        })
}

/// What to say of a tool that there is not, or that cannot be a step.
fn unknown(app: &App, tools: &Tools, name: &str) -> Result<String, Refusal> {
    Ok(if crate::builtin::find(name).is_some() {
        format!(
            "{name} is a built-in tool, which answers at once; only tools of plugins can be steps"
        )
    } else {
        missing(app, tools, name)?
            .message
            .trim_end_matches('.')
            .to_owned()
    })
}
