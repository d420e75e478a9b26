//! `plugins__diff` and `plugins__accept`: looking at a plugin that has changed, and accepting what was looked at.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use smcp_common::plugin::Plugin;
use smcp_common::queue::Acceptance;

use super::difference::Difference;
use super::{default_timeout_s, no_worker, scanned, timeout_s};
use crate::app::App;
use crate::builtin::{Builtin, Changes, read};
use crate::caller::Caller;
use crate::refusal::Refusal;

pub(in crate::builtin) fn diff() -> Builtin {
    Builtin::new(
        "plugins__diff",
        "Shows what a plugin offers and asks for now, and what it did when it was accepted. A quarantined one is run for that, in a \
         sandbox without network, to describe itself, and for nothing else.",
        Changes::Once,
        &json!({"plugin": plugin_name(), "timeout_s": timeout_s()}),
        &["plugin"],
        |app, caller, arguments| Box::pin(run_diff(app, caller, arguments)),
    )
    .for_operators()
}

pub(in crate::builtin) fn accept() -> Builtin {
    Builtin::new(
        "plugins__accept",
        "Accepts a plugin that is new or has changed, so that it is served: plugins__diff shows what is accepted by that. The next \
         change of its files needs another acceptance.",
        Changes::Once,
        &json!({
            "plugin": plugin_name(),
            "digest": {"type": "string", "pattern": "^[0-9a-f]{64}$",
                       "description": "The digest that plugins__diff has shown; where the plugin has another by now, nothing is accepted."},
            "timeout_s": timeout_s(),
        }),
        &["plugin", "digest"],
        |app, caller, arguments| Box::pin(run_accept(app, caller, arguments)),
    )
    .for_operators()
}

fn plugin_name() -> Value {
    json!({"type": "string", "description": "The name of the plugin."})
}

#[derive(Deserialize)]
struct Diff {
    plugin: String,
    #[serde(default = "default_timeout_s")]
    timeout_s: f64,
}

async fn run_diff(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let Diff { plugin, timeout_s } = read(arguments)?;
    let described = described(app, caller, &plugin, None, timeout_s).await?;
    show(app, &described)
}

#[derive(Deserialize)]
struct Accept {
    plugin: String,
    digest: String,
    #[serde(default = "default_timeout_s")]
    timeout_s: f64,
}

async fn run_accept(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let Accept {
        plugin,
        digest,
        timeout_s,
    } = read(arguments)?;
    let described = described(app, caller, &plugin, Some(&digest), timeout_s).await?;
    let mut answer = show(app, &described)?;
    let accepted = app.queue.accept_plugin(&plugin, &digest, &caller.agent);
    let (replaced, served) = match accepted.await? {
        Acceptance::Accepted { replaced, scan } => {
            let served = is_scanned(app, scan, timeout_s).await?;
            (replaced, served)
        }
        Acceptance::AlreadyAccepted => (Some(digest), true),
        Acceptance::DigestChanged(found) => return Err(digest_changed(&plugin, &found)),
        // What has been described a moment ago is no longer what counts.
        Acceptance::NotReviewed => return Err(digest_changed(&plugin, &digest)),
        Acceptance::NoSuchPlugin => return Err(no_such_plugin(&plugin)),
    };
    answer["replaced"] = json!(replaced);
    // False where no worker has looked at it since; one will when one runs.
    answer["served"] = json!(served);
    answer["integrity"] = json!(find(app, &plugin)?.integrity);
    Ok(answer)
}

/// The plugin as it describes itself now: as it is served, or, where it is quarantined, as it has told a worker for the
/// purpose. With `digest`, no other than that is run.
async fn described(
    app: &App,
    caller: &Caller,
    name: &str,
    digest: Option<&str>,
    timeout_s: f64,
) -> Result<Plugin, Refusal> {
    let looked = async {
        loop {
            let plugin = find(app, name)?;
            if plugin.digest.is_empty() {
                return Err(unreadable(&plugin));
            }
            if digest.is_some_and(|digest| plugin.digest != digest) {
                return Err(digest_changed(name, &plugin.digest));
            }
            if !plugin.is_quarantined() {
                return Ok(plugin);
            }
            if let Some(described) = app.queue.review(name, &plugin.digest)? {
                return Ok(Plugin {
                    integrity: plugin.integrity,
                    ..described
                });
            }
            let asked = app
                .queue
                .ask_review(name, &plugin.digest, &caller.agent)
                .await?;
            // Where it has changed by then, it is asked for anew.
            scanned(app, asked).await?;
        }
    };
    let timeout = Duration::try_from_secs_f64(timeout_s).unwrap_or_default();
    let looked = tokio::time::timeout(timeout, looked).await;
    looked.unwrap_or_else(|_| Err(no_worker(timeout_s)))
}

async fn is_scanned(app: &App, scan: i64, timeout_s: f64) -> Result<bool, Refusal> {
    let timeout = Duration::try_from_secs_f64(timeout_s).unwrap_or_default();
    match tokio::time::timeout(timeout, scanned(app, scan)).await {
        Ok(done) => done.map(|()| true),
        Err(_) => Ok(false),
    }
}

fn find(app: &App, name: &str) -> Result<Plugin, Refusal> {
    let mut plugins = app.queue.catalogue()?.plugins.into_iter();
    plugins
        .find(|plugin| plugin.name == name)
        .ok_or_else(|| no_such_plugin(name))
}

fn show(app: &App, plugin: &Plugin) -> Result<Value, Refusal> {
    let pin = app.queue.pin(&plugin.name)?;
    let before = pin.as_ref().and_then(|pin| pin.described.as_ref());
    let mut answer = json!(Difference::between(before, plugin));
    answer["plugin"] = json!(plugin.name);
    answer["directory"] = json!(plugin.directory);
    answer["files"] = json!(plugin.files);
    answer["digest"] = json!(plugin.digest);
    answer["integrity"] = json!(plugin.integrity);
    let problems: Vec<_> = plugin.problems.iter().map(ToString::to_string).collect();
    answer["problems"] = json!(problems);
    answer["accepted"] =
        json!(pin.map(|pin| json!({"digest": pin.digest, "at": pin.at, "by": pin.by})));
    Ok(answer)
}

fn no_such_plugin(name: &str) -> Refusal {
    let name: String = name.chars().take(80).collect();
    let message = format!("There is no plugin '{name}'; plugins__list names those that there are.");
    Refusal::new("no_such_plugin", message)
}

fn unreadable(plugin: &Plugin) -> Refusal {
    let why: Vec<_> = plugin.problems.iter().map(ToString::to_string).collect();
    let message = format!(
        "Plugin {} cannot be accepted, as it cannot be run at all: {}.",
        plugin.name,
        why.join("; ")
    );
    Refusal::new("plugin_unusable", message)
}

fn digest_changed(name: &str, digest: &str) -> Refusal {
    Refusal {
        code: "digest_changed",
        message: format!(
            "Plugin {name} is not what was looked at: its digest is {digest} now. Nothing has been accepted. Look at it again: \
             plugins__diff, or smcp plugins diff {name}."
        ),
        details: Some(json!({"plugin": name, "digest": digest})),
    }
}
