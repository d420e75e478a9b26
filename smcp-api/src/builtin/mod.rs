//! The tools that SMCP itself offers. They run in the API, at once; the command line and REST call the same ones.

mod agents;
mod approvals;
mod audit;
mod flush;
mod health;
mod jobs;
mod output;
mod plugins;
mod policy;
mod priority;
mod queues;
mod recorded;
mod retry;
mod sanctum;
mod sandbox;
mod schedules;
mod secrets;
mod selection;
mod settings;
mod submit;
mod tool;
mod workers;
mod workflows;

pub(crate) use self::jobs::find as find_job;
pub use self::tool::Builtin;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use rmcp::model::{Tool, ToolAnnotations};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use smcp_common::config::ConfigError;
use smcp_common::plugin::ToolName;
use smcp_common::policy::{Action, BUILTIN_PLUGIN, FOLLOW, Question};

use self::tool::Changes;
use crate::app::App;
use crate::caller::Caller;
use crate::denial::Denied;
use crate::policy::{rules, session};
use crate::refusal::Refusal;
use crate::tools::{problems, unfit};

/// All of them, by name.
static BUILTINS: LazyLock<Vec<Builtin>> = LazyLock::new(|| {
    let mut all = vec![
        approvals::list(),
        approvals::approve(),
        approvals::deny(),
        approvals::link(),
        flush::flush(),
        health::health(),
        plugins::accept(),
        plugins::diff(),
        plugins::list(),
        plugins::reload(),
        priority::priority(),
        queues::list(),
        queues::pause(),
        queues::resume(),
        retry::requeue_dead(),
        retry::retry(),
        sanctum::tools(),
        settings::get(),
        settings::set(),
        submit::submit(),
        workers::list(),
        workers::scale_to(),
        workers::drain(),
    ];
    all.extend([
        jobs::list(),
        jobs::get(),
        jobs::wait(),
        jobs::cancel(),
        output::output(),
        output::events(),
    ]);
    all.extend(agents::all());
    all.extend(audit::all());
    all.extend(policy::all());
    all.extend(schedules::all());
    all.extend(secrets::all());
    all.extend(workflows::all());
    all.sort_by_key(|tool| tool.name);
    all
});

/// The built-in tool of that name.
pub fn find(name: &str) -> Option<&'static Builtin> {
    BUILTINS.iter().find(|tool| tool.name == name)
}

/// Makes sure that no alias takes or renames a built-in tool.
///
/// # Errors
/// [`ConfigError::Alias`] for the first one that does.
pub fn check_aliases(aliases: &BTreeMap<String, ToolName>) -> Result<(), ConfigError> {
    for (alias, tool) in aliases {
        let problem = if find(alias).is_some() {
            "must not be the name of a built-in tool".to_owned()
        } else if find(tool.as_str()).is_some() {
            format!("must name a plugin's tool, but {tool} is a built-in one")
        } else {
            continue;
        };
        return Err(ConfigError::Alias {
            alias: alias.clone(),
            problem,
        });
    }
    Ok(())
}

/// What `tools/list` says of the built-in tools among `listed`.
///
/// # Errors
/// Database errors.
pub fn definitions(app: &App, listed: &BTreeSet<String>) -> Result<Vec<Tool>, Refusal> {
    BUILTINS
        .iter()
        .filter(|tool| listed.contains(tool.name))
        .map(|tool| definition(app, tool))
        .collect()
}

fn definition(app: &App, tool: &Builtin) -> Result<Tool, Refusal> {
    let mut schema = tool.input_schema.clone();
    if tool.name == sanctum::NAME {
        sanctum::complete(app, &mut schema);
    }
    let Value::Object(schema) = schema else {
        return Err(Refusal::new(
            "internal_error",
            "a built-in schema is no object",
        ));
    };
    let mut listed = Tool::new(tool.name, tool.description, Arc::new(schema));
    let mut annotations = ToolAnnotations::new();
    annotations.read_only_hint = Some(tool.changes == Changes::Nothing);
    annotations.destructive_hint = Some(false);
    annotations.idempotent_hint = Some(tool.changes != Changes::Each);
    annotations.open_world_hint = Some(false);
    listed.annotations = Some(annotations);
    Ok(listed)
}

/// Calls a built-in tool.
///
/// # Errors
/// The refusal to tell the caller.
pub async fn call(
    app: &App,
    caller: &Caller,
    tool: &'static Builtin,
    mut arguments: Map<String, Value>,
) -> Result<Value, Refusal> {
    arguments.retain(|_, value| !value.is_null());
    if tool.name == sanctum::NAME {
        sanctum::normalise(&mut arguments);
    }
    let arguments = Value::Object(arguments);
    let Some(validator) = &*tool.validator else {
        return Err(Refusal::new(
            "internal_error",
            format!("the schema of {} cannot be used", tool.name),
        ));
    };
    let problems = problems(validator, &arguments, "argument");
    if !problems.is_empty() {
        let properties = tool.input_schema["properties"].as_object();
        let known: Vec<_> = properties
            .into_iter()
            .flat_map(Map::keys)
            .map(String::as_str)
            .collect();
        return Err(unfit(tool.name, &problems, &known));
    }
    authorise(app, caller, tool, &arguments).await?;
    (tool.run)(app, caller, arguments).await
}

/// Decides about a call of a built-in tool, and records what has to be recorded: each denial, and before it is carried out, what
/// an administrator does. What concerns the caller's own things alone is not, as that would cost more than the call.
async fn authorise(
    app: &App,
    caller: &Caller,
    tool: &Builtin,
    arguments: &Value,
) -> Result<(), Refusal> {
    let given = arguments.as_object().cloned().unwrap_or_default();
    let granted = rules(app)?
        .grant(&Question {
            subject: &app.queue.subject(&caller.agent)?,
            plugin: BUILTIN_PLUGIN,
            tool: tool.name,
            arguments: &tool.with_defaults(given.clone()),
            session: &session(app, caller),
        })
        // It answers at once: there is no job that could wait.
        .and_then(|grant| grant.without_approval(tool.name));
    match granted {
        // A look changes nothing. Were it recorded, whoever follows the records would follow his own looks for ever.
        Ok(_) if tool.group == FOLLOW || tool.changes == Changes::Nothing => Ok(()),
        Ok(grant) => {
            let decided = tool.decided(app, caller, given, grant.rules, grant.policy)?;
            Ok(app.queue.record_allowance(decided).await?)
        }
        Err(rejection) => {
            let (rules, policy) = (rejection.rules.clone(), rejection.policy.clone());
            let decided = tool.decided(app, caller, given, rules, policy)?;
            app.queue.record_denial(decided, rejection.code).await?;
            Err(<Box<Denied>>::from(rejection).refusal)
        }
    }
}

/// The built-in tools as rules see them.
pub(crate) fn actions() -> Vec<Action> {
    BUILTINS
        .iter()
        .map(|tool| Action::builtin(tool.name, tool.group, tool.input_schema.clone()))
        .collect()
}

/// Arguments that have passed the schema, as a type.
fn read<T: DeserializeOwned>(arguments: Value) -> Result<T, Refusal> {
    serde_json::from_value(arguments)
        .map_err(|error| Refusal::invalid_arguments(format!("Invalid arguments: {error}.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_arguments_are_kept_nowhere() {
        let takes = BUILTINS.iter().filter(|tool| tool.takes_secrets());
        let names: Vec<_> = takes.map(Builtin::name).collect();
        assert_eq!(names, ["secrets__set"]);
    }

    #[test]
    fn built_in_tools_keep_their_names() {
        let checked = |alias: &str, tool: &str| {
            check_aliases(&BTreeMap::from([(alias.to_owned(), tool.parse().unwrap())]))
                .map_err(|error| error.to_string())
        };
        assert_eq!(checked("jobs", "jobs_of__mine"), Ok(()));
        assert_eq!(
            checked("health", "people__health"),
            Err(r#"aliases."health" must not be the name of a built-in tool"#.to_owned())
        );
        assert_eq!(
            checked("work", "jobs__list"),
            Err(
                r#"aliases."work" must name a plugin's tool, but jobs__list is a built-in one"#
                    .to_owned()
            )
        );
    }

    #[test]
    fn every_schema_can_be_used_and_every_parameter_is_described() {
        for tool in BUILTINS.iter() {
            assert!(tool.validator.is_some(), "{}", tool.name);
            for (name, property) in tool.input_schema["properties"].as_object().unwrap() {
                assert!(
                    property["description"].is_string(),
                    "{} of {}",
                    name,
                    tool.name
                );
            }
        }
    }
}
