//! `plugins__list` and `plugins__reload`: what the workers found in the plugin directories.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Builtin, Changes, read};
use crate::app::App;
use crate::caller::Caller;
use crate::refusal::Refusal;

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
            "timeout_s": {"type": "number", "minimum": 1, "maximum": 120, "default": 30,
                          "description": "Seconds to wait for a worker at most."},
        }),
        &[],
        |app, caller, arguments| Box::pin(run_reload(app, caller, arguments)),
    )
}

fn catalogue(app: &App) -> Result<Value, Refusal> {
    let catalogue = app.queue.catalogue()?;
    let served = app.tools.current(&app.queue)?;
    let plugins: Vec<_> = catalogue
        .plugins
        .iter()
        .map(|plugin| {
            let tools: Vec<_> = plugin.tools.iter().map(|tool| tool.name.as_str()).collect();
            let declared = plugin.problems.iter().chain(&plugin.withheld);
            let declared = declared.map(ToString::to_string);
            let of_schemas = served.problems(&plugin.name).map(str::to_owned);
            let problems: Vec<_> = declared.chain(of_schemas).collect();
            json!({
                "name": plugin.name,
                "directory": plugin.directory,
                "entry": plugin.entry,
                "interpreter": plugin.interpreter,
                "digest": plugin.digest,
                "description": plugin.description,
                "secrets": plugin.secrets,
                "tools": tools,
                "problems": problems,
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
    let mut news = app.queue.news();
    let before = app.queue.catalogue_version()?;
    let wanted = app.queue.want_scan(&caller.agent).await?;
    let scanned = async {
        loop {
            news.mark_unchanged();
            if app.queue.catalogue()?.scanned >= wanted {
                return Ok::<_, Refusal>(());
            }
            // The sender lives as long as the queue.
            drop(news.changed().await);
        }
    };
    let timeout = Duration::try_from_secs_f64(timeout_s).unwrap_or_default();
    if let Ok(done) = tokio::time::timeout(timeout, scanned).await {
        done?;
    } else {
        let message = format!(
            "No worker has looked through the plugin directories within {timeout_s} s. Is one running? It will when one is."
        );
        return Err(Refusal::new("no_worker", message));
    }
    let mut answer = catalogue(app)?;
    answer["changed"] = (app.queue.catalogue_version()? != before).into();
    Ok(answer)
}
