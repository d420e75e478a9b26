//! Schedules: whatever is due becomes jobs, of the tools as they are then.

use std::time::Duration;

use smcp_common::clock::Timestamp;
use smcp_common::queue::{Firing, Queue, QueueError};
use smcp_common::schedule::{MAX_TICKS, Plan, Run, Schedule, plan};

use super::tools::{KnownTools, Tools};

/// Schedules that are looked at together.
const BATCH: u32 = 50;
/// What else the scheduler does has its turn after so many batches.
const ROUNDS: usize = 20;

/// Fires schedules.
#[derive(Debug)]
pub(super) struct Schedules {
    default_timeout: Option<Duration>,
    /// The worker, as audit records name it.
    by: String,
}

impl Schedules {
    /// `default_timeout` is for tools that declare none.
    pub(super) fn new(worker: &str, default_timeout: Option<Duration>) -> Self {
        Self {
            default_timeout,
            by: format!("worker:{worker}"),
        }
    }

    /// Fires what is due; answers when the next tick of any schedule is. Only reads where nothing is.
    pub(super) async fn perform(
        &self,
        queue: &Queue,
        known: &mut KnownTools,
    ) -> Result<Option<Timestamp>, QueueError> {
        for _ in 0..ROUNDS {
            let now = queue.clock().now();
            let due = queue.due_schedules(now, BATCH)?;
            let waiting = queue.waiting_ticks(BATCH)?;
            if due.is_empty() && waiting.is_empty() {
                break;
            }
            let tools = known.current(queue)?;
            self.fire(queue, &tools, &due, now).await?;
            self.fire_waiting(queue, &tools, &waiting).await?;
        }
        queue.next_due()
    }

    /// Fires schedules in one transaction, as many as it can hold.
    async fn fire(
        &self,
        queue: &Queue,
        tools: &Tools,
        due: &[Schedule],
        now: Timestamp,
    ) -> Result<(), QueueError> {
        let (mut firings, mut ticks) = (Vec::new(), 0);
        for schedule in due {
            let firing = self.firing(tools, schedule, now);
            ticks += firing.ticks.len();
            // The others are still due in the next round.
            if ticks > MAX_TICKS && !firings.is_empty() {
                break;
            }
            firings.push(firing);
        }
        if firings.is_empty() {
            return Ok(());
        }
        let fired = queue.fire_schedules(firings, &self.by).await?;
        tracing::debug!(
            jobs = fired.submitted,
            skipped = fired.skipped,
            refused = fired.refused,
            "schedules fired"
        );
        Ok(())
    }

    /// What is to be done about a schedule.
    fn firing(&self, tools: &Tools, schedule: &Schedule, now: Timestamp) -> Firing {
        let planned = match (schedule.spec.cron(), schedule.next) {
            (Ok(cron), Some(next)) => {
                let chance = rand::random();
                Ok(plan(
                    &cron,
                    &schedule.spec,
                    schedule.runs,
                    next,
                    now,
                    chance,
                ))
            }
            (Ok(_), None) => Ok(Plan::default()),
            // It was fine when it was stored, by another version of this program.
            (Err(error), _) => {
                let message: &dyn std::error::Error = &error;
                tracing::error!(
                    schedule.name,
                    schedule.agent,
                    error = message,
                    "a schedule cannot go on; update its expression or zone"
                );
                Err(error.to_string())
            }
        };
        let (plan, unusable) = match planned {
            Ok(plan) => (plan, None),
            Err(reason) => (Plan::default(), Some(reason)),
        };
        let ticks = plan.run.into_iter();
        Firing {
            schedule: schedule.id.clone(),
            version: schedule.version,
            ticks: ticks
                .map(|tick| (tick, self.run(tools, schedule)))
                .collect(),
            missed: plan.missed,
            next: plan.next,
            unusable,
        }
    }

    /// Runs ticks whose schedules' runs before have ended.
    async fn fire_waiting(
        &self,
        queue: &Queue,
        tools: &Tools,
        waiting: &[(String, Timestamp)],
    ) -> Result<(), QueueError> {
        for (id, tick) in waiting {
            if let Some(schedule) = queue.schedule(id)? {
                let job = self.run(tools, &schedule);
                queue.fire_waiting(id, *tick, job, &self.by).await?;
            }
        }
        Ok(())
    }

    /// What a tick becomes, or why that is nothing.
    fn run(&self, tools: &Tools, schedule: &Schedule) -> Result<Run, String> {
        schedule.run(|name| tools.get(name), self.default_timeout)
    }
}
