//! `jobs__priority`: another place in the line for jobs that wait.

use serde::Deserialize;
use serde_json::{Value, json};
use smcp_common::job::StateName;

use super::jobs::find;
use super::selection::{Skip, Which, merged, parameters};
use super::{Builtin, Changes, read};
use crate::app::App;
use crate::caller::Caller;
use crate::refusal::Refusal;

pub(super) fn priority() -> Builtin {
    let own = json!({
        "id": {"type": "string", "description": "One job, in the place of tool, lane and plugin."},
        "priority": {"type": "integer", "minimum": -100, "maximum": 100, "description": "Higher runs first; 0 is usual."},
    });
    Builtin::new(
        "jobs__priority",
        "Gives queued jobs another priority: one, or those of a tool, a lane or a plugin.",
        Changes::Once,
        &merged([own, parameters()]),
        &["priority"],
        |app, caller, arguments| Box::pin(run(app, caller, arguments)),
    )
    .for_operators()
}

#[derive(Deserialize)]
struct Wanted {
    id: Option<String>,
    priority: i32,
    #[serde(flatten)]
    which: Which,
}

async fn run(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let Wanted {
        id,
        priority,
        which,
    } = read(arguments)?;
    let queue = &app.queue;
    match (id, which.is_everything()) {
        (Some(id), true) => {
            let job = find(app, caller, &id)?;
            let ids = std::slice::from_ref(&job.id);
            let each = queue.prioritise(ids, priority, &caller.agent).await?;
            for (id, became) in each {
                became.map_err(|obstacle| {
                    Skip::from(obstacle).refuse(&id, "given another priority")
                })?;
            }
            Ok(json!({"id": job.id, "priority": priority}))
        }
        (None, false) => {
            let found = which.find(app, StateName::Queued).await?;
            let each = queue
                .prioritise(&found.ids(), priority, &caller.agent)
                .await?;
            let mut answer = found.outcome("changed", each, Vec::new());
            answer["priority"] = priority.into();
            Ok(answer)
        }
        (Some(_), false) | (None, true) => Err(Refusal::invalid_arguments(
            "Say which job, by 'id', or which jobs, by 'tool', 'lane' or 'plugin'.",
        )),
    }
}
