//! `jobs__flush`: queued jobs are cancelled, ended ones deleted, many at once.

use serde::Deserialize;
use serde_json::{Value, json};
use smcp_common::job::StateName;

use super::selection::{Which, consent, merged, parameters};
use super::{Builtin, Changes, read};
use crate::app::App;
use crate::caller::Caller;
use crate::refusal::Refusal;

const NAME: &str = "jobs__flush";

pub(super) fn flush() -> Builtin {
    let states: Vec<_> = StateName::ALL
        .into_iter()
        .filter(|state| *state != StateName::Running)
        .collect();
    let own = json!({
        "state": {"type": "string", "enum": states, "default": "queued",
                  "description": "Queued jobs are cancelled; ended ones are deleted with their output."},
        "reason": {"type": "string", "maxLength": 500, "description": "Why, for the record."},
    });
    Builtin::new(
        NAME,
        "Cancels queued jobs, or deletes ended ones, by tool, lane, plugin and age. Needs confirm; dry_run tells what would be done.",
        Changes::Each,
        &merged([own, parameters(), consent()]),
        &[],
        |app, caller, arguments| Box::pin(run(app, caller, arguments)),
    )
    .for_operators()
}

#[derive(Deserialize)]
struct Flush {
    #[serde(default = "queued")]
    state: StateName,
    reason: Option<String>,
    #[serde(flatten)]
    which: Which,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    confirm: bool,
}

const fn queued() -> StateName {
    StateName::Queued
}

async fn run(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let Flush {
        state,
        reason,
        which,
        dry_run,
        confirm,
    } = read(arguments)?;
    let (verb, done) = if state.is_waiting() {
        ("cancel", "cancelled")
    } else {
        ("delete", "deleted")
    };
    let found = which.find(app, state).await?;
    if dry_run {
        let mut plan = found.plan();
        (plan["dry_run"], plan["would"]) = (true.into(), verb.into());
        return Ok(plan);
    }
    if !confirm {
        return Err(found.unconfirmed(NAME, verb, state.as_str()));
    }
    let each = app
        .queue
        .flush(&found.ids(), state, &caller.agent, reason.as_deref())
        .await?;
    Ok(found.outcome(done, each, Vec::new()))
}
