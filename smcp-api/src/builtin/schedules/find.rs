//! A schedule by its id or its name.

use smcp_common::schedule::Schedule;

use crate::app::App;
use crate::caller::Caller;
use crate::policy::{is_operator, may_follow};
use crate::refusal::Refusal;

/// Owners that are named where a name is not enough.
const CANDIDATES: u32 = 10;

/// The schedule, if there is one that the caller may reach; to others it does not exist. By name an agent means its own,
/// and so does an operator, unless there is none: then any other's, if it is the only one.
pub(super) async fn find(app: &App, caller: &Caller, reference: &str) -> Result<Schedule, Refusal> {
    // Ids are kept in lower case.
    let by_id = app.queue.schedule(&reference.to_lowercase())?;
    if let Some(schedule) = by_id.filter(|schedule| may_follow(app, caller, &schedule.agent)) {
        return Ok(schedule);
    }
    let named = async |agent, limit| {
        let name = Some(reference.to_owned());
        app.queue.schedules(agent, name, limit).await
    };
    let mut found = named(Some(caller.agent.clone()), 1).await?;
    if found.is_empty() && is_operator(app, caller) {
        found = named(None, CANDIDATES).await?;
    }
    match found.len() {
        0 => Err(no_such_schedule(reference)),
        1 => Ok(found.remove(0)),
        several => {
            let candidates: Vec<_> = found
                .iter()
                .map(|schedule| format!("{} of {}", schedule.id, schedule.agent))
                .collect();
            let message = format!(
                "There are {several} schedules '{reference}'; give the id of one: {}.",
                candidates.join(", ")
            );
            Err(Refusal::new("ambiguous_name", message))
        }
    }
}

pub(super) fn no_such_schedule(reference: &str) -> Refusal {
    let reference: String = reference.chars().take(80).collect();
    Refusal::new(
        "no_such_schedule",
        format!("There is no schedule '{reference}'; schedules__list names those that there are."),
    )
}
