//! `secrets__list`, `secrets__set`, `secrets__remove` and `secrets__rotate_key`: what only plugins see. No tool ever tells
//! a value.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use smcp_common::secret::{InvalidSecret, Plain, check_name, check_value};

use super::{Builtin, Changes, read};
use crate::app::App;
use crate::caller::Caller;
use crate::refusal::Refusal;

pub(super) fn all() -> [Builtin; 4] {
    [list(), set(), remove(), rotate_key()]
}

fn list() -> Builtin {
    Builtin::new(
        "secrets__list",
        "Lists the stored secrets: for whom each is, who set it and when, and which tools get it; never a value. Also those \
         that plugins need and nobody has set.",
        Changes::Nothing,
        &json!({}),
        &[],
        |app, _, _| Box::pin(async move { run_list(app) }),
    )
    .for_operators()
}

fn set() -> Builtin {
    Builtin::new(
        "secrets__set",
        "Stores a secret, encrypted, in the place of an earlier one. Calls of the tools that declare it get it from now on.",
        Changes::Once,
        &json!({
            "name": name(),
            "agent": agent("Only the calls of this agent get it, before one for everybody. Without it all do."),
            "value": {"type": "string", "writeOnly": true, "description": "The secret itself: text of 4 bytes to 64 KiB."},
        }),
        &["name", "value"],
        |app, caller, arguments| Box::pin(run_set(app, caller, arguments)),
    )
    .for_operators()
}

fn remove() -> Builtin {
    Builtin::new(
        "secrets__remove",
        "Removes a secret. Calls that have begun keep it.",
        Changes::Once,
        &json!({
            "name": name(),
            "agent": agent("The one of this agent. Without it the one for everybody."),
        }),
        &["name"],
        |app, caller, arguments| Box::pin(run_remove(app, caller, arguments)),
    )
    .for_operators()
}

fn rotate_key() -> Builtin {
    Builtin::new(
        "secrets__rotate_key",
        "Replaces the key under which secrets are stored by a new one, and encrypts all of them anew.",
        Changes::Each,
        &json!({}),
        &[],
        |app, caller, _| {
            Box::pin(async move {
                let rotated = app.queue.rotate_secrets_key(&caller.agent).await?;
                Ok(json!(rotated))
            })
        },
    )
    .for_operators()
}

fn name() -> Value {
    json!({"type": "string", "description": "The secret's name: letters, digits and _."})
}

fn agent(description: &str) -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": 128, "description": description})
}

fn run_list(app: &App) -> Result<Value, Refusal> {
    let stored = app.queue.secrets()?;
    let catalogue = app.queue.catalogue()?;
    let mut tools = BTreeMap::<&str, Vec<&str>>::new();
    let mut needed = BTreeMap::<&str, bool>::new();
    for plugin in &catalogue.plugins {
        for tool in &plugin.tools {
            for wish in plugin.secrets_of(tool) {
                tools
                    .entry(&wish.name)
                    .or_default()
                    .push(tool.name.as_str());
                *needed.entry(&wish.name).or_default() |= wish.required;
            }
        }
    }
    for names in tools.values_mut() {
        names.sort_unstable();
    }
    let of = |name: &str| tools.get(name).cloned().unwrap_or_default();
    let secrets: Vec<_> = stored
        .iter()
        .map(|secret| {
            let mut shown = json!(secret);
            shown["tools"] = json!(of(&secret.name));
            shown
        })
        .collect();
    let missing: Vec<_> = needed
        .iter()
        .filter(|(name, _)| !stored.iter().any(|secret| secret.name == **name))
        .map(|(name, required)| json!({"name": name, "required": required, "tools": of(name)}))
        .collect();
    Ok(json!({"secrets": secrets, "missing": missing}))
}

#[derive(Deserialize)]
struct Set {
    name: String,
    agent: Option<String>,
    value: String,
}

async fn run_set(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let Set { name, agent, value } = read(arguments)?;
    check_name(&name)
        .and_then(|()| check_value(&value))
        .map_err(|error| refuse(&error))?;
    let agent = agent.as_deref();
    let value = Plain::new(value);
    let is_new = app
        .queue
        .set_secret(&name, agent, value, &caller.agent)
        .await?;
    Ok(json!({"name": name, "agent": agent, "new": is_new}))
}

fn refuse(error: &InvalidSecret) -> Refusal {
    let argument = match error {
        InvalidSecret::Name(_) => "name",
        InvalidSecret::Short(_) | InvalidSecret::Long(_) | InvalidSecret::ZeroByte => "value",
    };
    Refusal::invalid_arguments(format!(
        "Invalid arguments: argument '{argument}': {error}."
    ))
}

#[derive(Deserialize)]
struct Remove {
    name: String,
    agent: Option<String>,
}

async fn run_remove(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let Remove { name, agent } = read(arguments)?;
    let agent = agent.as_deref();
    if app.queue.remove_secret(&name, agent, &caller.agent).await? {
        return Ok(json!({"name": name, "agent": agent}));
    }
    let name: String = name.chars().take(128).collect();
    let whose = agent.map_or_else(
        || "for everybody".to_owned(),
        |agent| format!("for the agent {agent}"),
    );
    Err(Refusal::new(
        "no_such_secret",
        format!("There is no secret {name} {whose}; secrets__list names those that there are."),
    ))
}
