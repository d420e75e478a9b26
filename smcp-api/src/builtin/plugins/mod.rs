//! `plugins__list` and `plugins__reload`: what the workers found in the plugin directories. `plugins__diff` and
//! `plugins__accept`: what is to be run of it.

mod accept;
mod difference;

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use smcp_common::plugin::{Integrity, Plugin};

use super::{Builtin, Changes, read};
use crate::app::App;
use crate::caller::Caller;
use crate::refusal::Refusal;

pub(super) use self::accept::{accept, diff};

pub(super) fn list() -> Builtin {
    Builtin::new(
        "plugins__list",
        "Lists the plugins: where they are, how they are run, their tools, and what is wrong with them.",
        Changes::Nothing,
        &json!({}),
        &[],
        |app, _, _| Box::pin(async move { catalogue(app) }),
    )
}

pub(super) fn reload() -> Builtin {
    Builtin::new(
        "plugins__reload",
        "Has a worker look through the plugin directories now, and lists what it found. Where they can be watched, changes are \
         noticed without it.",
        Changes::Once,
        &json!({
            "timeout_s": timeout_s(),
        }),
        &[],
        |app, caller, arguments| Box::pin(run_reload(app, caller, arguments)),
    )
}

/// The names of the plugins that are not what has been accepted, for `health`.
pub(super) fn differing(plugins: &[Plugin]) -> Value {
    let names = |is: fn(&Integrity) -> bool| -> Vec<_> {
        let differing = plugins
            .iter()
            .filter(|plugin| plugin.integrity.as_ref().is_some_and(is));
        differing.map(|plugin| plugin.name.as_str()).collect()
    };
    json!({
        "changed": names(|integrity| matches!(integrity, Integrity::Changed { .. })),
        "quarantined": names(|integrity| matches!(integrity, Integrity::Quarantined { .. })),
    })
}

fn difference(plugin: &Plugin) -> Option<String> {
    let name = &plugin.name;
    let look = format!("look at it with plugins__diff, or smcp plugins accept {name}");
    match &plugin.integrity {
        None | Some(Integrity::Accepted) => None,
        Some(Integrity::Changed { .. }) => Some(format!(
            "it has changed since it was accepted, and is served all the same; {look}"
        )),
        Some(Integrity::Quarantined { accepted: Some(_) }) => Some(format!(
            "it is quarantined: it has changed since it was accepted; {look}"
        )),
        Some(Integrity::Quarantined { accepted: None }) => Some(format!(
            "it is quarantined: it is new and has not been accepted; {look}"
        )),
    }
}

fn catalogue(app: &App) -> Result<Value, Refusal> {
    let catalogue = app.queue.catalogue()?;
    let served = app.tools.current(&app.queue)?;
    let plugins: Vec<_> = catalogue
        .plugins
        .iter()
        .map(|plugin| {
            let tools: Vec<_> = plugin.tools.iter().map(|tool| tool.name.as_str()).collect();
            let withheld = plugin.withheld.iter().map(ToString::to_string);
            let withheld: Vec<_> = withheld.collect();
            let declared = plugin.problems.iter().map(ToString::to_string);
            let of_schemas = served.problems(&plugin.name).map(str::to_owned);
            let problems: Vec<_> = difference(plugin)
                .into_iter()
                .chain(declared)
                .chain(withheld.iter().cloned())
                .chain(of_schemas)
                .collect();
            json!({
                "name": plugin.name,
                "directory": plugin.directory,
                "entry": plugin.entry,
                "interpreter": plugin.interpreter,
                "digest": plugin.digest,
                "integrity": plugin.integrity,
                "description": plugin.description,
                "files": plugin.files,
                "secrets": plugin.secrets,
                "tools": tools,
                "problems": problems,
                "withheld": withheld,
            })
        })
        .collect();
    Ok(json!({
        "plugins": plugins,
        "catalogue": {
            "version": catalogue.version,
            "wanted": catalogue.wanted,
            "scanned": catalogue.scanned,
            "scanned_at": catalogue.scanned_at,
            "problems": catalogue.problems,
        },
    }))
}

#[derive(Deserialize)]
struct Reload {
    #[serde(default = "default_timeout_s")]
    timeout_s: f64,
}

const fn default_timeout_s() -> f64 {
    30.0
}

async fn run_reload(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let Reload { timeout_s } = read(arguments)?;
    let before = app.queue.catalogue_version()?;
    let wanted = app.queue.want_scan(&caller.agent).await?;
    let timeout = Duration::try_from_secs_f64(timeout_s).unwrap_or_default();
    match tokio::time::timeout(timeout, scanned(app, wanted)).await {
        Ok(done) => done?,
        Err(_) => return Err(no_worker(timeout_s)),
    }
    let mut answer = catalogue(app)?;
    answer["changed"] = (app.queue.catalogue_version()? != before).into();
    Ok(answer)
}

/// Waits until a worker has done that scan.
async fn scanned(app: &App, wanted: i64) -> Result<(), Refusal> {
    let mut news = app.queue.news();
    loop {
        news.mark_unchanged();
        if app.queue.newest_done_scan()? >= wanted {
            return Ok(());
        }
        // The sender lives as long as the queue.
        drop(news.changed().await);
    }
}

fn timeout_s() -> Value {
    json!({"type": "number", "minimum": 1, "maximum": 120, "default": 30,
           "description": "Seconds to wait for a worker at most."})
}

fn no_worker(timeout_s: f64) -> Refusal {
    let message = format!(
        "No worker has looked through the plugin directories within {timeout_s} s. Is one running? It will when one is."
    );
    Refusal::new("no_worker", message)
}
