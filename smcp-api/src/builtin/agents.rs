//! `agents__add`, `agents__list`, `agents__set`, `agents__rotate`, `agents__revoke` and `agents__groups`: who calls, by which
//! key, in which groups.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use smcp_common::agent::{BUILT_IN, LEGACY, LOCAL, check_group, check_name};
use smcp_common::clock::Timestamp;
use smcp_common::queue::{GroupChange, NewAgent, NewKey};

use super::{Builtin, Changes, read};
use crate::app::App;
use crate::auth::digest;
use crate::caller::Caller;
use crate::operator_key;
use crate::refusal::Refusal;

/// How long replaced keys are good where nobody says otherwise.
const OVERLAP_S: u64 = 24 * 60 * 60;
/// The longest life of a key that ends by itself: ten years.
const LIFETIME_S: u64 = 3650 * 24 * 60 * 60;
/// Characters of a key that lists show.
const PREFIX: usize = 9;

pub(super) fn all() -> [Builtin; 6] {
    [add(), list(), set(), rotate(), revoke(), groups()].map(Builtin::for_operators)
}

fn add() -> Builtin {
    Builtin::new(
        "agents__add",
        "Adds an agent and makes its key, which this answer alone shows. An agent that was revoked comes back by this.",
        Changes::Each,
        &json!({
            "name": name(),
            "groups": group_list("The groups that it is in; none where this is not given."),
            "expires_in_s": lifetime(),
            "max_running": max_running(1, "The most jobs of it that run at a time."),
        }),
        &["name"],
        |app, caller, arguments| Box::pin(run_add(app, caller, arguments)),
    )
    .told_once()
}

fn list() -> Builtin {
    Builtin::new(
        "agents__list",
        "Lists agents with their groups and keys, those that were revoked included. Of a key it shows the id and the first characters.",
        Changes::Nothing,
        &json!({}),
        &[],
        |app, _, _| Box::pin(async { Ok(json!({"agents": app.queue.agents()?})) }),
    )
}

fn set() -> Builtin {
    Builtin::new(
        "agents__set",
        "Changes how many jobs of an agent run at a time. It counts at once; what runs already goes on.",
        Changes::Once,
        &json!({
            "name": name(),
            "max_running": max_running(0, "The most jobs of it that run at a time; 0 lifts the limit."),
        }),
        &["name", "max_running"],
        |app, caller, arguments| Box::pin(run_set(app, caller, arguments)),
    )
}

fn rotate() -> Builtin {
    Builtin::new(
        "agents__rotate",
        "Makes a new key for an agent, which this answer alone shows. Its other keys are good for overlap_s more.",
        Changes::Each,
        &json!({
            "name": name(),
            "overlap_s": {"type": "integer", "minimum": 0, "maximum": LIFETIME_S, "default": OVERLAP_S,
                          "description": "Seconds for which the other keys are still good; 0 ends them at once."},
            "expires_in_s": lifetime(),
        }),
        &["name"],
        |app, caller, arguments| Box::pin(run_rotate(app, caller, arguments)),
    )
    .told_once()
}

fn revoke() -> Builtin {
    Builtin::new(
        "agents__revoke",
        "Revokes an agent: its keys and sessions end at once, its waiting jobs are cancelled, its schedules paused. With key, revokes that key alone.",
        Changes::Each,
        &json!({
            "name": name(),
            "key": {"type": "string", "description": "Only this key, by its id as agents__list shows it."},
            "stop": {"type": "boolean", "default": false, "description": "Stop its running jobs, too."},
        }),
        &["name"],
        |app, caller, arguments| Box::pin(run_revoke(app, caller, arguments)),
    )
}

fn groups() -> Builtin {
    Builtin::new(
        "agents__groups",
        "Changes the groups of an agent: to exactly those of set, or by add and remove.",
        Changes::Once,
        &json!({
            "name": name(),
            "set": group_list("Exactly these groups."),
            "add": group_list("Groups that it comes into."),
            "remove": group_list("Groups that it leaves."),
        }),
        &["name"],
        |app, caller, arguments| Box::pin(run_groups(app, caller, arguments)),
    )
}

fn name() -> Value {
    json!({"type": "string", "description": "The agent."})
}

fn max_running(least: u32, description: &str) -> Value {
    json!({"type": "integer", "minimum": least, "maximum": 1_000_000, "description": description})
}

fn group_list(description: &str) -> Value {
    json!({"type": "array", "items": {"type": "string"}, "maxItems": 100, "description": description})
}

fn lifetime() -> Value {
    json!({"type": "integer", "minimum": 1, "maximum": LIFETIME_S,
           "description": "Seconds after which the key ends by itself; without, it is good until it is revoked."})
}

#[derive(Deserialize)]
struct Add {
    name: String,
    #[serde(default)]
    groups: BTreeSet<String>,
    expires_in_s: Option<u64>,
    max_running: Option<u32>,
}

async fn run_add(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let Add {
        name,
        groups,
        expires_in_s,
        max_running,
    } = read(arguments)?;
    check_name(&name).map_err(|error| Refusal::invalid_arguments(format!("{error}.")))?;
    check_groups(&groups)?;
    let (key, stored) = make_key(expires_in_s);
    let id = stored.id.clone();
    let agent = NewAgent {
        name: name.clone(),
        groups: groups.clone(),
        max_running,
    };
    let expires_at = app.queue.add_agent(agent, stored, &caller.agent).await?;
    let mut added = told_key(&name, &key, &id, expires_at);
    added["groups"] = json!(groups);
    added["max_running"] = json!(max_running);
    Ok(added)
}

#[derive(Deserialize)]
struct Set {
    name: String,
    max_running: u32,
}

async fn run_set(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let Set { name, max_running } = read(arguments)?;
    let max_running = Some(max_running).filter(|most| *most > 0);
    let queue = &app.queue;
    queue
        .limit_running(&name, max_running, &caller.agent)
        .await?;
    Ok(json!({"name": name, "max_running": max_running}))
}

#[derive(Deserialize)]
struct Rotate {
    name: String,
    overlap_s: Option<u64>,
    expires_in_s: Option<u64>,
}

async fn run_rotate(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let Rotate {
        name,
        overlap_s,
        expires_in_s,
    } = read(arguments)?;
    refuse_built_in(&name)?;
    let (key, stored) = make_key(expires_in_s);
    let id = stored.id.clone();
    let overlap = Duration::from_secs(overlap_s.unwrap_or(OVERLAP_S));
    let queue = &app.queue;
    let rotated = queue.rotate_key(&name, stored, overlap, &caller.agent);
    let rotated = rotated.await?;
    let mut told = told_key(&name, &key, &id, rotated.expires_at);
    told["replaced"] = json!(rotated.replaced);
    told["replaced_until"] = json!(rotated.replaced_until);
    Ok(told)
}

#[derive(Deserialize)]
struct Revoke {
    name: String,
    key: Option<String>,
    #[serde(default)]
    stop: bool,
}

async fn run_revoke(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let Revoke { name, key, stop } = read(arguments)?;
    refuse_built_in(&name)?;
    match key {
        Some(_) if stop => Err(Refusal::invalid_arguments(
            "'stop' belongs to an agent as a whole: leave out 'key' or 'stop'.",
        )),
        Some(key) => {
            let was_live = app.queue.revoke_key(&name, &key, &caller.agent).await?;
            Ok(json!({"name": name, "key": key, "was_revoked_before": !was_live}))
        }
        None => {
            let revoked = app.queue.revoke_agent(&name, stop, &caller.agent).await?;
            let mut told = json!(revoked);
            told["name"] = json!(name);
            Ok(told)
        }
    }
}

#[derive(Deserialize)]
struct Groups {
    name: String,
    set: Option<BTreeSet<String>>,
    #[serde(default)]
    add: BTreeSet<String>,
    #[serde(default)]
    remove: BTreeSet<String>,
}

async fn run_groups(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let Groups {
        name,
        set,
        add,
        remove,
    } = read(arguments)?;
    for groups in [set.as_ref(), Some(&add), Some(&remove)]
        .into_iter()
        .flatten()
    {
        check_groups(groups)?;
    }
    if let Some(both) = add.intersection(&remove).next() {
        let message = format!("Group '{both}' is both in 'add' and in 'remove'.");
        return Err(Refusal::invalid_arguments(message));
    }
    let change = match set {
        Some(set) if add.is_empty() && remove.is_empty() => GroupChange::Set(set),
        None if !(add.is_empty() && remove.is_empty()) => GroupChange::Change { add, remove },
        Some(_) | None => {
            return Err(Refusal::invalid_arguments(
                "Give either 'set', or 'add' and 'remove' or one of them.",
            ));
        }
    };
    let groups = app
        .queue
        .change_groups(&name, change, &caller.agent)
        .await?;
    Ok(json!({"name": name, "groups": groups}))
}

/// A new key, and what is stored of it.
fn make_key(expires_in_s: Option<u64>) -> (String, NewKey) {
    let key = operator_key::make();
    let stored = NewKey {
        id: format!("{:012x}", rand::random::<u64>() >> 16),
        digest: digest(&key),
        prefix: key.chars().take(PREFIX).collect(),
        lifetime: expires_in_s.map(Duration::from_secs),
    };
    (key, stored)
}

/// The one answer that shows the key.
fn told_key(agent: &str, key: &str, id: &str, expires_at: Option<Timestamp>) -> Value {
    json!({"name": agent, "key": key, "key_id": id, "expires_at": expires_at})
}

fn check_groups(groups: &BTreeSet<String>) -> Result<(), Refusal> {
    groups
        .iter()
        .try_for_each(|group| check_group(group))
        .map_err(|error| Refusal::invalid_arguments(format!("{error}.")))
}

/// Agents that are always there have no keys here.
fn refuse_built_in(name: &str) -> Result<(), Refusal> {
    if !BUILT_IN.contains(&name) {
        return Ok(());
    }
    let instead = match name {
        LOCAL => {
            "to ask callers on this machine for a key, set MCP_AUTH_ALLOW_LOOPBACK=0 and restart"
        }
        LEGACY => "its keys are in MCP_API_KEY and MCP_API_KEYS: change them there, and restart",
        _ => {
            "its key is the file operator.key in the data directory: remove it, and the next start makes another"
        }
    };
    Err(Refusal::new(
        "built_in_agent",
        format!("Agent '{name}' has no key in the database: {instead}."),
    ))
}
