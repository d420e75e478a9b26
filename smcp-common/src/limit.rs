//! How much of what it may do an agent may do within a time. What has been used is in the queue.
//!
//! All kinds ask the same of the past: when was the n-th last use, n being what is allowed? As long as that one counts,
//! no other is admitted. So the last n uses are all that is to be known.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// The most calls that a limit can count.
pub const MAX_CALLS: u32 = 100_000;
/// The longest time of a limit, in milliseconds: 366 days.
pub const MAX_PERIOD_MS: u64 = 366 * DAY_MS;

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// A limit that a rule sets; it counts for each agent by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// The id of the rule.
    pub rule: String,
    /// What is limited.
    pub kind: LimitKind,
}

/// What a limit limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitKind {
    /// `@rate("10/1h")`: so many within any such time, as it passes.
    Rate(Rate),
    /// `@quota("200/1d")`: so many from one multiple of such a time, counted from midnight UTC of 1 January 1970, to the next.
    Quota(Rate),
    /// `@cooldown("30s")`: so long after the one before, in milliseconds.
    Cooldown(u64),
}

/// So many within a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// How many; at least 1.
    pub calls: u32,
    /// Within how many milliseconds; at least 1.
    pub per_ms: u64,
}

/// A limit that admits nothing more for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exceeded {
    /// The limit.
    pub limit: Limit,
    /// When it admits the next call.
    pub frees_at: Timestamp,
    /// How long that is from now.
    pub wait: Duration,
}

/// How much of a limit is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The limit.
    pub limit: Limit,
    /// The calls that count against it now.
    pub used: u32,
    /// The calls that it allows.
    pub allowed: u32,
    /// When it admits the next call; `None` where it does now.
    pub frees_at: Option<Timestamp>,
}

/// A text that is no limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// Something else than a number, a slash and a time.
    #[error("'{0}' is not a number of calls and a time, such as 10/1h")]
    Rate(String),
    /// Too few, or too many to be counted.
    #[error("'{0}' must allow between 1 and {MAX_CALLS} calls")]
    Calls(String),
    /// Something else than a number and a unit.
    #[error("'{0}' is not a time: a whole number and s, m, h or d, such as 30s or 1h")]
    Period(String),
    /// Too short, or too long.
    #[error("'{0}' must be a time between 1s and 366d")]
    Range(String),
}

impl Rate {
    /// Reads `10/1h`: at most 10 within an hour. Units are `s`, `m`, `h` and `d`.
    ///
    /// # Errors
    /// [`LimitError`], which says what is wrong.
    pub fn parse(text: &str) -> Result<Self, LimitError> {
        let (calls, per) = text
            .split_once('/')
            .filter(|(calls, _)| is_number(calls))
            .ok_or_else(|| LimitError::Rate(text.to_owned()))?;
        let calls = calls.parse().unwrap_or(u32::MAX);
        if !(1..=MAX_CALLS).contains(&calls) {
            return Err(LimitError::Calls(text.to_owned()));
        }
        let per_ms = period_ms(per)?;
        Ok(Self { calls, per_ms })
    }
}

/// Reads a time such as `30s`, in milliseconds. Units are `s`, `m`, `h` and `d`.
///
/// # Errors
/// [`LimitError`], which says what is wrong.
pub fn period_ms(text: &str) -> Result<u64, LimitError> {
    let units = [
        ('s', SECOND_MS),
        ('m', MINUTE_MS),
        ('h', HOUR_MS),
        ('d', DAY_MS),
    ];
    let (number, unit_ms) = units
        .into_iter()
        .find_map(|(unit, ms)| Some((text.strip_suffix(unit)?, ms)))
        .filter(|(number, _)| is_number(number))
        .ok_or_else(|| LimitError::Period(text.to_owned()))?;
    let ms = number.parse::<u64>().ok();
    ms.and_then(|number| number.checked_mul(unit_ms))
        .filter(|ms| (1..=MAX_PERIOD_MS).contains(ms))
        .ok_or_else(|| LimitError::Range(text.to_owned()))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl LimitKind {
    /// How many calls it allows; at least 1.
    pub const fn allowed(self) -> u32 {
        match self {
            Self::Rate(Rate { calls, .. }) | Self::Quota(Rate { calls, .. }) => calls,
            Self::Cooldown(_) => 1,
        }
    }

    /// When it admits another call, where that is not `now`. `nth_last` is the last use but `allowed() - 1`, if there have been
    /// so many.
    pub fn frees_at(self, nth_last: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
        nth_last
            .filter(|at| self.counts(*at, now))
            .map(|at| self.forgets_at(at))
    }

    /// Whether a use at `at` counts at `now`. One of a future that this limit does not reach does not: the clock was wrong then,
    /// and nobody shall wait for it to become right.
    pub fn counts(self, at: Timestamp, now: Timestamp) -> bool {
        match self {
            Self::Rate(Rate { per_ms, .. }) | Self::Cooldown(per_ms) => {
                let per = Duration::from_millis(per_ms);
                now.since(at) < per && at.since(now) < per
            }
            Self::Quota(Rate { per_ms, .. }) => window(at, per_ms) == window(now, per_ms),
        }
    }

    /// When a use at `at` counts no more.
    pub fn forgets_at(self, at: Timestamp) -> Timestamp {
        match self {
            Self::Rate(Rate { per_ms, .. }) | Self::Cooldown(per_ms) => {
                at.plus(Duration::from_millis(per_ms))
            }
            Self::Quota(Rate { per_ms, .. }) => {
                let next = window(at, per_ms).saturating_add(1);
                Timestamp::from_millis(next.saturating_mul(signed(per_ms)))
            }
        }
    }
}

/// Which multiple of a time an instant is in.
fn window(at: Timestamp, per_ms: u64) -> i64 {
    at.as_millis().div_euclid(signed(per_ms))
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms.max(1)).unwrap_or(i64::MAX)
}

impl fmt::Display for LimitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = |calls: u32| if calls == 1 { "call" } else { "calls" };
        match self {
            Self::Rate(Rate { calls: n, per_ms }) => {
                write!(f, "{n} {} within {}", calls(*n), period(*per_ms))
            }
            Self::Quota(Rate { calls: n, per_ms }) => {
                write!(f, "{n} {} every {}", calls(*n), period(*per_ms))
            }
            Self::Cooldown(ms) => write!(f, "a call {} after the one before", period(*ms)),
        }
    }
}

/// A time in the largest unit of which it is a multiple.
pub(crate) fn period(ms: u64) -> String {
    let units = [
        (DAY_MS, "d"),
        (HOUR_MS, "h"),
        (MINUTE_MS, "min"),
        (SECOND_MS, "s"),
        (1, "ms"),
    ];
    let (unit_ms, unit) = units
        .into_iter()
        .find(|(unit_ms, _)| ms.is_multiple_of(*unit_ms))
        .unwrap_or((1, "ms"));
    format!("{} {unit}", ms / unit_ms)
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            limit: Limit { rule, kind },
            frees_at,
            ..
        } = self;
        let seconds = self.wait_s();
        write!(
            f,
            "rule '{rule}' allows {kind}; the next is possible at {frees_at}, in {seconds} s"
        )
    }
}

impl Exceeded {
    /// How long to wait, in seconds, rounded up.
    pub fn wait_s(&self) -> u64 {
        self.wait.as_secs() + u64::from(self.wait.subsec_millis() > 0)
    }
}

#[cfg(test)]
mod tests;
