//! When a schedule's tool runs: its expression in its zone, what it says in words, and which of its times are run, given
//! up or waited for. Pure: the time and chance are handed in, and nothing is stored.

mod cron;
mod plan;
mod reading;
mod record;
mod run;

pub use cron::{Cron, CronError, LocalTime, MAX_CRON_CHARS};
pub use plan::{Due, LATE, MAX_TICKS, Missed, Plan, first, plan};
pub use record::{
    CatchUp, MAX_WAITING, Overlap, Paused, Schedule, Spec, Standing, Step, Target, Tick, TickKind,
    TickOutcome,
};
pub use run::Run;
