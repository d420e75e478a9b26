//! How far the verification of a step is: what follows from its checks and the time.

use super::definition::Verify;
use super::progress::{Check, code};
use crate::clock::Timestamp;
use crate::job::{Failure, JobId, StateName};

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// Enough checks have succeeded.
    Succeeded {
        /// When the last of them had.
        at: Timestamp,
    },
    /// Enough of them cannot succeed any more.
    Failed {
        /// Since when.
        at: Timestamp,
        /// Why.
        failure: Failure,
        /// The check that runs in vain.
        running: Option<JobId>,
    },
    /// The next check begins.
    Check,
    /// There is something to do at that instant, apart from news.
    Wait(Timestamp),
}

/// What follows `now` for a step whose job ended at `from`.
pub(super) fn next(verify: &Verify, from: Timestamp, checks: &[Check], now: Timestamp) -> Next {
    let deadline = from.plus(verify.patience());
    // What ended too late is not counted, however late anybody looks.
    let in_time = |check: &&Check| check.end.is_some_and(|(at, _)| at <= deadline);
    let ended: Vec<_> = checks.iter().filter(in_time).collect();
    let succeeded = |check: &&&Check| {
        check
            .end
            .is_some_and(|(_, state)| state == StateName::Succeeded)
    };
    let good = count(ended.iter().filter(succeeded).count());
    let bad = count(ended.len()) - good;
    let last = ended
        .iter()
        .filter_map(|check| check.end)
        .map(|(at, _)| at)
        .max();
    if good >= verify.need {
        return Next::Succeeded {
            at: last.unwrap_or(from),
        };
    }
    let running = checks.iter().find(|check| check.end.is_none());
    if verify.need > verify.of.saturating_sub(bad) {
        let message = format!(
            "{bad} of at most {} checks with {} failed, so that {} cannot succeed.",
            verify.of, verify.tool, verify.need
        );
        return Next::Failed {
            at: last.unwrap_or(from),
            failure: Failure::new(code::VERIFICATION_FAILED, message),
            running: running.map(|check| check.job.clone()),
        };
    }
    if now >= deadline {
        let message = format!(
            "After {} s, {good} checks with {} had succeeded and {bad} failed; {} of {} were needed.",
            verify.deadline, verify.tool, verify.need, verify.of
        );
        return Next::Failed {
            at: deadline,
            failure: Failure::new(code::VERIFICATION_FAILED, message),
            running: running.map(|check| check.job.clone()),
        };
    }
    let due = match checks.last() {
        Some(Check { end: None, .. }) => return Next::Wait(deadline),
        Some(last) => last.begun_at.plus(verify.interval()),
        None => from,
    };
    if due <= now {
        Next::Check
    } else {
        Next::Wait(due.min(deadline))
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    const T: Timestamp = Timestamp::from_millis(1_000_000);

    fn at(s: i64) -> Timestamp {
        Timestamp::from_millis(T.as_millis() + s * 1_000)
    }

    /// A check that began and ended at those seconds: `+` well, `-` not, `?` not yet.
    fn check(begun: i64, ended: i64, how: char) -> Check {
        let state = match how {
            '+' => Some(StateName::Succeeded),
            '-' => Some(StateName::Failed),
            _ => None,
        };
        Check {
            job: JobId::random(),
            begun_at: at(begun),
            end: state.map(|state| (at(ended), state)),
        }
    }

    #[test]
    fn three_of_five_within_two_minutes() {
        let verify = Verify {
            tool: "shop__health".into(),
            arguments: Map::new(),
            every: 20.0,
            need: 3,
            of: 5,
            deadline: 120.0,
        };
        let next = |checks: &[Check], now: i64| match super::next(&verify, T, checks, at(now)) {
            Next::Succeeded { at } => format!("succeeded at {}", at.since(T).as_secs()),
            Next::Failed {
                at,
                failure,
                running,
            } => format!(
                "failed at {}: {}{}",
                at.since(T).as_secs(),
                failure.message,
                if running.is_some() { " (stop)" } else { "" }
            ),
            Next::Check => "check".to_owned(),
            Next::Wait(until) => format!("wait until {}", until.since(T).as_secs()),
        };
        let late = "failed at 120: After 120 s, 1 checks with shop__health had succeeded and 1 failed; 3 of 5 were needed.";
        let rows: [(&[Check], i64, &str); 9] = [
            (&[], 0, "check"),
            (&[check(0, 0, '?')], 50, "wait until 120"),
            (&[check(0, 1, '-')], 1, "wait until 20"),
            (&[check(0, 30, '-')], 30, "check"),
            (
                &[
                    check(0, 1, '+'),
                    check(20, 21, '-'),
                    check(40, 41, '+'),
                    check(60, 61, '+'),
                ],
                61,
                "succeeded at 61",
            ),
            (
                &[
                    check(0, 1, '-'),
                    check(20, 21, '+'),
                    check(40, 41, '-'),
                    check(60, 61, '-'),
                ],
                61,
                "failed at 61: 3 of at most 5 checks with shop__health failed, so that 3 cannot succeed.",
            ),
            (
                &[check(0, 1, '+'), check(110, 111, '-')],
                112,
                "wait until 120",
            ),
            (
                &[check(0, 1, '+'), check(20, 21, '-'), check(40, 0, '?')],
                121,
                &format!("{late} (stop)"),
            ),
            // It succeeded, but too late.
            (
                &[check(0, 1, '+'), check(20, 21, '-'), check(40, 125, '+')],
                126,
                late,
            ),
        ];
        for (checks, now, expected) in rows {
            assert_eq!(next(checks, now), expected, "{checks:?}");
        }
    }
}
