//! What must be true in the end. Pure: the books, the journal and what callers were told go in, findings come out.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::books::{Books, Job};
use super::journal::Line;

/// What callers were told.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The jobs that an API has acknowledged: id and key.
    pub(super) acknowledged: BTreeMap<String, String>,
    /// Submits that were tried more than once.
    pub(super) repeated: usize,
    /// Of these, those that an earlier try had recorded although nobody said so.
    pub(super) existing: usize,
}

/// Something that must be true, and how often it was not.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invariant {
    pub(super) name: &'static str,
    pub(super) checked: usize,
    pub(super) violated: usize,
    pub(super) example: Option<String>,
}

impl Invariant {
    /// One that is checked once; `wrong` says what is.
    pub(super) fn single(name: &'static str, wrong: Option<String>) -> Self {
        Self::of(name, [wrong])
    }

    fn of(name: &'static str, checks: impl IntoIterator<Item = Option<String>>) -> Self {
        let mut invariant = Self {
            name,
            checked: 0,
            violated: 0,
            example: None,
        };
        for wrong in checks {
            invariant.checked += 1;
            invariant.violated += usize::from(wrong.is_some());
            invariant.example = invariant.example.or(wrong);
        }
        invariant
    }

    pub(super) fn to_json(&self) -> Value {
        let Self {
            name,
            checked,
            violated,
            example,
        } = self;
        json!({"name": name, "checked": checked, "violated": violated, "example": example})
    }
}

/// Checks all of them.
pub(super) fn invariants(books: &Books, lines: &[Line], told: &Told) -> Vec<Invariant> {
    let runs = Runs::of(lines);
    let each = |name, is_wrong: &dyn Fn(&str, &Job) -> bool| {
        let checks = books.jobs.iter().map(|(id, job)| {
            is_wrong(id, job).then(|| {
                let runs = runs.of_job(id);
                format!("job {id}: {job:?}, runs {runs:?}")
            })
        });
        Invariant::of(name, checks)
    };
    vec![
        Invariant::of(
            "an acknowledged job is there",
            told.acknowledged.iter().map(|(id, key)| {
                let there = books.jobs.get(id).is_some_and(|job| job.key == *key);
                (!there).then(|| format!("job {id} of key '{key}'"))
            }),
        ),
        each("a job that is there was acknowledged", &|id, _| {
            !told.acknowledged.contains_key(id)
        }),
        each("every job has ended", &|_, job| {
            matches!(job.state.as_str(), "queued" | "running")
        }),
        each("every job has ended once", &|_, job| {
            job.times("event finished") != 1 || job.times("event queued") != 1
        }),
        each("a result was accepted once", &|_, job| {
            job.count("succeeded") != usize::from(job.state == "succeeded")
        }),
        each("a result is that of the last attempt", &|id, job| {
            job.state == "succeeded" && job.output != format!("{id} {}", job.attempt)
        }),
        each(
            "a once job's plugin was started once at most",
            &|id, job| {
                job.effect == "once" && (runs.of_job(id).len() > 1 || job.attempts.len() > 1)
            },
        ),
        each("attempts held against a job <= its maximum", &|_, job| {
            held_against(job) > job.max_attempts as usize
        }),
        each("a job is given up for a reason", &|_, job| {
            !has_a_reason(job)
        }),
        each("attempts are numbered without a gap", &|_, job| {
            let numbers = job.attempts.iter().map(|(n, _)| *n);
            !numbers.eq(1..=job.attempt)
        }),
        each("every attempt has ended", &|_, job| {
            job.attempts.iter().any(|(_, outcome)| outcome.is_none())
        }),
        each(
            "a run belongs to an attempt, and is the only one",
            &|id, job| {
                let is_wrong = |(attempt, run): &(u32, Run)| {
                    run.starts != 1 || run.ends > 1 || !(1..=job.attempt).contains(attempt)
                };
                runs.of_job(id).iter().any(is_wrong)
            },
        ),
        each(
            "an attempt that was accepted has run to its end",
            &|id, job| {
                let whole = |attempt| runs.of_attempt(id, attempt).ends == 1;
                let accepted = |(n, outcome): &&(u32, Option<String>)| {
                    is_accepted(outcome.as_deref()) && !whole(*n)
                };
                job.attempts.iter().any(|attempt| accepted(&attempt))
            },
        ),
        each("news and audit records are complete", &|_, job| {
            !is_recorded(job)
        }),
        Invariant::of(
            "what was accepted did not overlap in its lane",
            overlaps(books, lines),
        ),
        Invariant::single("the journal knows no other jobs", runs.strangers(books)),
    ]
}

/// Attempts that count against a job.
fn held_against(job: &Job) -> usize {
    job.count("failed") + job.count("worker_lost")
}

fn is_accepted(outcome: Option<&str>) -> bool {
    matches!(outcome, Some("succeeded" | "failed"))
}

/// Each attempt but the last is followed by another one only where it may be, and the last one says what the job says.
fn has_a_reason(job: &Job) -> bool {
    let held_against = held_against(job);
    let last = job
        .attempts
        .last()
        .and_then(|(_, outcome)| outcome.as_deref());
    let all_used = held_against == job.max_attempts as usize;
    match (job.effect.as_str(), job.state.as_str(), last) {
        ("once", "outcome_unknown", Some("worker_lost")) => true,
        ("once" | "read_only", "failed", Some("failed")) => job.count("failed") == 1,
        ("read_only" | "idempotent", "failed", Some("worker_lost"))
        | ("idempotent", "failed", Some("failed")) => all_used,
        (_, "succeeded", Some("succeeded")) => held_against + 1 == job.attempts.len(),
        _ => false,
    }
}

fn is_recorded(job: &Job) -> bool {
    let attempts = u32::try_from(job.attempts.len()).unwrap_or(u32::MAX);
    job.times("audit job.queued") == 1
        && job.times("audit job.claimed") == attempts
        && job.times("audit job.attempted") == attempts
        && job.times("event started") == attempts
        && job.times("event requeued") == attempts.saturating_sub(1)
}

/// One check for each run that was accepted: nothing else of its lane that was accepted starts before it ends.
fn overlaps(books: &Books, lines: &[Line]) -> Vec<Option<String>> {
    let mut busy: BTreeMap<&str, &Line> = BTreeMap::new();
    let mut checks = Vec::new();
    for line in lines {
        let Some(job) = books.jobs.get(&line.job) else {
            continue;
        };
        let outcome = job.attempts.iter().find(|(n, _)| *n == line.attempt);
        if !is_accepted(outcome.and_then(|(_, outcome)| outcome.as_deref())) {
            continue;
        }
        if line.starts {
            let other = busy.insert(&job.lane, line);
            checks.push(other.map(|other| format!("{other:?} and {line:?}")));
        } else {
            busy.remove(job.lane.as_str());
        }
    }
    checks
}

/// What the journal says of one attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Run {
    starts: u32,
    ends: u32,
}

/// The journal by job and attempt.
struct Runs<'l>(BTreeMap<&'l str, BTreeMap<u32, Run>>);

impl<'l> Runs<'l> {
    fn of(lines: &'l [Line]) -> Self {
        let mut runs: BTreeMap<&str, BTreeMap<u32, Run>> = BTreeMap::new();
        for line in lines {
            let run = runs
                .entry(&line.job)
                .or_default()
                .entry(line.attempt)
                .or_default();
            run.starts += u32::from(line.starts);
            run.ends += u32::from(!line.starts);
        }
        Self(runs)
    }

    fn of_job(&self, id: &str) -> Vec<(u32, Run)> {
        let runs = self.0.get(id).into_iter().flatten();
        runs.map(|(attempt, run)| (*attempt, *run)).collect()
    }

    fn of_attempt(&self, id: &str, attempt: u32) -> Run {
        let runs = self.0.get(id).and_then(|runs| runs.get(&attempt));
        runs.copied().unwrap_or_default()
    }

    fn strangers(&self, books: &Books) -> Option<String> {
        let known: BTreeSet<&str> = books.jobs.keys().map(String::as_str).collect();
        let stranger = self.0.keys().find(|id| !known.contains(*id));
        stranger.map(|id| format!("job {id}"))
    }
}

#[cfg(test)]
#[path = "invariants/tests.rs"]
mod tests;
