//! What a caller wants of a schedule, checked before anything is stored.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use smcp_common::clock::Timestamp;
use smcp_common::schedule::{CatchUp, Cron, CronError, Overlap, Schedule, Spec, Target, first};

use super::target::Wanted;
use crate::app::App;
use crate::caller::Caller;
use crate::refusal::Refusal;
use crate::retry_policy;

/// The window of who says nothing: a day.
const WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// What a schedule can do without.
pub(super) const CLEARABLE: [&str; 4] = ["start_at", "end_at", "max_runs", "retry"];

/// The arguments of `schedules__create` and `schedules__update`, which have passed their schema.
#[derive(Deserialize)]
pub(super) struct Given {
    name: Option<String>,
    cron: Option<String>,
    tz: Option<String>,
    tool: Option<String>,
    arguments: Option<Map<String, Value>>,
    workflow: Option<Value>,
    start_at: Option<String>,
    end_at: Option<String>,
    max_runs: Option<u32>,
    jitter_s: Option<f64>,
    overlap: Option<Overlap>,
    catch_up: Option<CatchUp>,
    catch_up_window_s: Option<f64>,
    retry: Option<Value>,
    priority: Option<i32>,
    #[serde(default)]
    clear: Vec<String>,
}

impl Given {
    /// The name and the spec that follow, for a new schedule of `owner` or for one as it was `before`.
    ///
    /// # Errors
    /// The refusal that names the argument; nothing has been stored.
    pub(super) async fn check(
        self,
        app: &App,
        owner: &Caller,
        before: Option<&Schedule>,
    ) -> Result<(String, Spec), Refusal> {
        let now = app.queue.clock().now();
        let known = before.map(|before| &before.spec);
        let clears = |what: &str| self.clear.iter().any(|cleared| cleared == what);
        let cron = self.cron.or_else(|| Some(known?.cron.clone()));
        let zone = self.tz.or_else(|| Some(known?.zone.clone()));
        let (cron, zone) = (
            cron.unwrap_or_default(),
            zone.unwrap_or_else(|| "UTC".to_owned()),
        );
        let parsed = Cron::parse(&cron, &zone, now).map_err(|error| refuse(&error))?;
        let start_at = instant("start_at", self.start_at.as_deref())?
            .or_else(|| known?.start_at.filter(|_| !clears("start_at")));
        let end_at = instant("end_at", self.end_at.as_deref())?
            .or_else(|| known?.end_at.filter(|_| !clears("end_at")));
        if let (Some(start), Some(end)) = (start_at, end_at)
            && end <= start
        {
            return Err(unfit(
                "end_at",
                &format!("{end} is not after start_at, which is {start}"),
            ));
        }
        let retry = self.retry.map(retry_policy::read).transpose()?;
        retry_policy::check(app, retry.as_ref())?;
        let max_runs = self
            .max_runs
            .or_else(|| known?.max_runs.filter(|_| !clears("max_runs")));
        let runs = before.map_or(0, |before| before.runs);
        if self.max_runs.is_some_and(|most| most <= runs) {
            return Err(unfit(
                "max_runs",
                &format!("the schedule has run {runs} times already"),
            ));
        }
        let wanted = Wanted {
            tool: self.tool,
            arguments: self.arguments,
            workflow: self.workflow,
        };
        let from = start_at.map_or(now, |start| start.max(now));
        let at = parsed.upcoming(from, 1).into_iter().next().unwrap_or(now);
        let target = wanted
            .check(app, owner, known.map(|known| &known.target), at)
            .await?;
        if matches!(target, Target::Workflow { .. }) && (retry.is_some() || self.priority.is_some())
        {
            return Err(unfit(
                "workflow",
                "its steps are retried as their tools declare, and have no priority of their own, so that retry and priority \
                 cannot be given with it",
            ));
        }
        let spec = Spec {
            cron,
            zone,
            target,
            start_at,
            end_at,
            max_runs,
            jitter: seconds(self.jitter_s)
                .or_else(|| Some(known?.jitter))
                .unwrap_or_default(),
            overlap: self
                .overlap
                .or_else(|| Some(known?.overlap))
                .unwrap_or_default(),
            catch_up: self
                .catch_up
                .or_else(|| Some(known?.catch_up))
                .unwrap_or_default(),
            catch_up_window: seconds(self.catch_up_window_s)
                .or_else(|| Some(known?.catch_up_window))
                .unwrap_or(WINDOW),
            retry: retry.or_else(|| known?.retry.clone().filter(|_| !clears("retry"))),
            priority: self
                .priority
                .or_else(|| Some(known?.priority))
                .unwrap_or_default(),
        };
        // A schedule that has ended may be changed in what does not matter for its times, and stays as it is.
        let is_new = known.is_none_or(|known| !spec.has_ticks_of(known));
        if is_new && first(&parsed, &spec, 0, None, now, 0.0).is_none() {
            return Err(unfit(
                "end_at",
                "the schedule would never run: its first time is after that",
            ));
        }
        let name = self.name.or_else(|| Some(before?.name.clone()));
        Ok((name.unwrap_or_default(), spec))
    }
}

/// The refusal of an expression or a zone, with the argument's name.
pub(super) fn refuse(error: &CronError) -> Refusal {
    let argument = match error {
        CronError::Zone { .. } => "tz",
        CronError::Long(_)
        | CronError::Fields(_)
        | CronError::Field { .. }
        | CronError::Never(_) => "cron",
    };
    unfit(argument, &error.to_string())
}

/// The refusal of an argument.
pub(super) fn unfit(argument: &str, why: &str) -> Refusal {
    let stop = if why.ends_with('?') { "" } else { "." };
    Refusal::invalid_arguments(format!(
        "Invalid arguments: argument '{argument}': {why}{stop}"
    ))
}

fn instant(argument: &str, text: Option<&str>) -> Result<Option<Timestamp>, Refusal> {
    let Some(text) = text else {
        return Ok(None);
    };
    let instant = Timestamp::parse(text).ok_or_else(|| {
        let text: String = text.chars().take(80).collect();
        unfit(
            argument,
            &format!("'{text}' is not an RFC 3339 instant such as 2026-12-01T09:00:00Z"),
        )
    })?;
    Ok(Some(instant))
}

fn seconds(given: Option<f64>) -> Option<Duration> {
    Duration::try_from_secs_f64(given?).ok()
}
