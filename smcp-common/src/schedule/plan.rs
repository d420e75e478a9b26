//! What is to be done about a schedule's ticks now: which are run, which are given up, and which is the next.

use std::time::Duration;

use super::{CatchUp, Cron, Spec};
use crate::clock::Timestamp;

/// A tick that is noticed later than this is missed.
pub const LATE: Duration = Duration::from_secs(10);
/// The most ticks of one plan; the rest comes with the next.
pub const MAX_TICKS: usize = 100;

/// A tick, and when it is to be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The time that the expression names.
    pub tick: Timestamp,
    /// That, and a random part of the jitter.
    pub fire_at: Timestamp,
}

impl Due {
    /// The tick with the instant at which it is run; none where it is after the end. `chance` is in `0.0..1.0`.
    pub fn of(spec: &Spec, tick: Timestamp, chance: f64) -> Option<Self> {
        if spec.end_at.is_some_and(|end| tick > end) {
            return None;
        }
        let fire_at = tick.plus(spec.jitter.mul_f64(chance.clamp(0.0, 1.0)));
        Some(Self { tick, fire_at })
    }
}

/// Missed ticks that are given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    /// The first.
    pub from: Timestamp,
    /// The last; the same where it is one.
    pub to: Timestamp,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The ticks to run, first to last; at most [`MAX_TICKS`].
    pub run: Vec<Timestamp>,
    /// The missed ticks that are not.
    pub missed: Option<Missed>,
    /// The tick after all these; it may be due already.
    pub next: Option<Due>,
}

/// The first tick of a schedule that is created, changed or resumed `now`; `after` is the last one that has been decided
/// about. `chance` is in `0.0..1.0`.
pub fn first(
    cron: &Cron,
    spec: &Spec,
    runs: u32,
    after: Option<Timestamp>,
    now: Timestamp,
    chance: f64,
) -> Option<Due> {
    if spec.is_spent(runs) {
        return None;
    }
    let started = spec.start_at.map(|start| start.minus(TICK));
    let from = [after, started].into_iter().flatten().fold(now, Ord::max);
    Due::of(spec, cron.next_after(from)?, chance)
}

/// What is to be done `now` about a schedule that has had so many runs and waits for `pending`. `chance` is in `0.0..1.0`.
pub fn plan(
    cron: &Cron,
    spec: &Spec,
    runs: u32,
    pending: Due,
    now: Timestamp,
    chance: f64,
) -> Plan {
    if spec.is_spent(runs) {
        return Plan::default();
    }
    if pending.fire_at > now {
        let next = Some(pending);
        return Plan {
            next,
            ..Plan::default()
        };
    }
    let within = |tick: Timestamp| spec.end_at.is_none_or(|end| tick <= end);
    let after = |tick| cron.next_after(tick).filter(|tick| within(*tick));
    // Within its jitter no tick is late.
    let in_time = now.minus(LATE).minus(spec.jitter);
    let is_late = |tick: Timestamp| tick < in_time;

    let mut plan = Plan::default();
    let mut next = Some(pending.tick).filter(|tick| within(*tick));
    if next.is_some_and(is_late) {
        let until = spec
            .end_at
            .map_or(in_time.minus(TICK), |end| end.min(in_time.minus(TICK)));
        let kept = caught_up(cron, spec, pending.tick, until, now);
        plan.missed = given_up(cron, pending.tick, until, &kept);
        // Where there are more than fit, the others are still missed ticks at the next plan.
        let resume = match (spec.catch_up, kept.last()) {
            (CatchUp::All, Some(last)) => *last,
            (CatchUp::All | CatchUp::None | CatchUp::One, _) => until,
        };
        plan.run = kept;
        next = after(resume.max(pending.tick));
    }
    let left = spec
        .max_runs
        .map_or(usize::MAX, |most| most.saturating_sub(runs) as usize);
    let room = left.min(MAX_TICKS);
    if plan.run.len() > room {
        // Those that are cut off are looked at again, where it turns out that there is room.
        let cut = plan.run[room];
        plan.run.truncate(room);
        next = Some(cut);
    }
    while let Some(tick) = next
        && plan.run.len() < room
        && (tick == pending.tick || tick.plus(spec.jitter) <= now)
        && !is_late(tick)
    {
        plan.run.push(tick);
        next = after(tick);
    }
    plan.next = next.and_then(|tick| Due::of(spec, tick, chance));
    plan
}

/// The resolution of ticks is a second, that of time a millisecond.
const TICK: Duration = Duration::from_millis(1);

/// The missed ticks from `first` to `until` that are run after all; the first of them where there are many.
fn caught_up(
    cron: &Cron,
    spec: &Spec,
    first: Timestamp,
    until: Timestamp,
    now: Timestamp,
) -> Vec<Timestamp> {
    let oldest = now.minus(spec.catch_up_window).max(first);
    match spec.catch_up {
        CatchUp::None => Vec::new(),
        CatchUp::One => newest(cron, oldest, until).into_iter().collect(),
        CatchUp::All => ticks(cron, oldest, until).take(MAX_TICKS).collect(),
    }
}

/// The missed ticks before the first that is run after all; of all of them only the first and the last are looked for.
fn given_up(cron: &Cron, first: Timestamp, until: Timestamp, kept: &[Timestamp]) -> Option<Missed> {
    let until = kept.first().map_or(until, |kept| kept.minus(TICK));
    let to = newest(cron, first, until)?;
    Some(Missed { from: first, to })
}

/// The ticks from `from` to `until`, both included.
fn ticks(cron: &Cron, from: Timestamp, until: Timestamp) -> impl Iterator<Item = Timestamp> {
    std::iter::successors(cron.next_after(from.minus(TICK)), |tick| {
        cron.next_after(*tick)
    })
    .take_while(move |tick| *tick <= until)
}

/// The last tick from `from` to `until`. It is looked for in steps that double, back from the end: a schedule may have
/// missed millions.
fn newest(cron: &Cron, from: Timestamp, until: Timestamp) -> Option<Timestamp> {
    let mut step = Duration::from_secs(1);
    loop {
        let start = until.minus(step).max(from);
        if let Some(last) = ticks(cron, start, until).last() {
            return Some(last);
        }
        if start <= from {
            return None;
        }
        step *= 2;
    }
}

#[cfg(test)]
mod tests;
