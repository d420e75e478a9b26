//! `sanctum__tools`: an agent chooses which tools it keeps attached, as in the original, but for itself alone and
//! across restarts. An agent that never chose has all of them.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Builtin, Changes, read};
use crate::app::App;
use crate::caller::Caller;
use crate::policy::{Attached, rules};
use crate::refusal::Refusal;

pub(super) const NAME: &str = "sanctum__tools";

pub(super) fn tools() -> Builtin {
    Builtin::new(
        NAME,
        "Chooses which tools you see: list-available, list-attached, attach, detach, attach-profile, help.",
        Changes::Once,
        &json!({
            "action": {"type": "string", "description": "What to do.",
                       "enum": ["help", "list-available", "list-attached", "attach", "detach", "attach-profile"]},
            "tool": {"type": "string", "description": "A tool to attach or detach."},
            "tools": {"type": "array", "items": {"type": "string"}, "description": "Tools to attach or detach."},
            "profile": {"type": "string", "description": "The profile to attach."},
            "intent": {"type": "string", "description": "What you want to do, for help."},
        }),
        &["action"],
        |app, caller, arguments| Box::pin(run(app, caller, arguments)),
    )
}

/// Writes into the listed schema what is only known while running.
pub(super) fn complete(app: &App, schema: &mut Value) {
    schema["properties"]["profile"]["enum"] = app.profiles.names().collect();
}

/// `list_attached` means `list-attached`.
pub(super) fn normalise(arguments: &mut Map<String, Value>) {
    if let Some(Value::String(action)) = arguments.get_mut("action") {
        *action = action.replace('_', "-");
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Action {
    Help,
    ListAvailable,
    ListAttached,
    Attach,
    Detach,
    AttachProfile,
}

#[derive(Deserialize)]
struct Arguments {
    action: Action,
    tool: Option<String>,
    #[serde(default)]
    tools: Vec<String>,
    profile: Option<String>,
    #[serde(default)]
    intent: String,
}

async fn run(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let Arguments {
        action,
        tool,
        tools,
        profile,
        intent,
    } = read(arguments)?;
    let available = app.tools.current(&app.queue)?;
    // What no rule could ever permit is not there for this agent, whatever it attaches.
    let permitted = rules(app)?.listed(&app.queue.subject(&caller.agent)?);
    let names: BTreeSet<_> = available
        .names()
        .filter(|tool| permitted.contains(*tool))
        .collect();
    let attached = Attached::of(app, caller)?;
    let mut attached: BTreeSet<_> = names
        .iter()
        .copied()
        .filter(|tool| attached.has(tool))
        .map(ToOwned::to_owned)
        .collect();
    // Agents are shown aliases, so they may name those.
    let named = tool
        .into_iter()
        .chain(tools)
        .map(|name| available.own_name(name));
    match action {
        Action::Help => Ok(help(app, &intent)),
        Action::ListAvailable => Ok(json!({"tools": names})),
        Action::ListAttached => Ok(json!({"tools": with_governor(attached)})),
        Action::Attach => {
            let known: Vec<_> = named.filter(|name| names.contains(name.as_str())).collect();
            attached.extend(known.iter().cloned());
            app.queue.attach(&caller.agent, attached.clone()).await?;
            Ok(json!({"attached": known, "attached_set": with_governor(attached)}))
        }
        Action::Detach => {
            let known: Vec<_> = named.filter(|name| attached.remove(name)).collect();
            app.queue.attach(&caller.agent, attached.clone()).await?;
            Ok(json!({"detached": known, "attached_set": with_governor(attached)}))
        }
        Action::AttachProfile => {
            let profile = profile.unwrap_or_else(|| app.profiles.default_name().to_owned());
            if !app
                .profiles
                .names()
                .any(|name| name == profile.to_lowercase())
            {
                let names = app.profiles.names().collect::<Vec<_>>().join(", ");
                let message = format!("There is no profile '{profile}'; there are: {names}.");
                return Err(Refusal::invalid_arguments(message));
            }
            let selected = names.into_iter();
            let selected = selected.filter(|tool| app.profiles.has(&profile, tool));
            let selected: BTreeSet<_> = selected.map(ToOwned::to_owned).collect();
            app.queue.attach(&caller.agent, selected.clone()).await?;
            Ok(json!({"profile": profile, "attached": with_governor(selected)}))
        }
    }
}

fn help(app: &App, intent: &str) -> Value {
    let names = app.profiles.names().collect::<Vec<_>>().join(", ");
    json!({
        "matches": app.profiles.hints(intent),
        "note": format!("Detached tools return attach hint on call. Use attach-profile with one of: {names}"),
    })
}

/// The governor itself is always attached.
fn with_governor(mut tools: BTreeSet<String>) -> BTreeSet<String> {
    tools.insert(NAME.to_owned());
    tools
}
