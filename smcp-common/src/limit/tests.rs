use proptest::prelude::*;

use super::*;

const fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

const fn rate(calls: u32, per_ms: u64) -> Rate {
    Rate { calls, per_ms }
}

#[test]
fn texts_are_read_or_refused_with_what_is_wrong() {
    let read = [
        ("10/1h", rate(10, 3_600_000)),
        ("1/1s", rate(1, 1_000)),
        ("100000/366d", rate(100_000, MAX_PERIOD_MS)),
        ("007/90m", rate(7, 5_400_000)),
    ];
    for (text, expected) in read {
        assert_eq!(Rate::parse(text), Ok(expected), "{text}");
    }
    let refused = [
        ("", "'' is not a number of calls and a time, such as 10/1h"),
        (
            "10",
            "'10' is not a number of calls and a time, such as 10/1h",
        ),
        (
            "-1/1h",
            "'-1/1h' is not a number of calls and a time, such as 10/1h",
        ),
        (
            "1 /1h",
            "'1 /1h' is not a number of calls and a time, such as 10/1h",
        ),
        ("0/1h", "'0/1h' must allow between 1 and 100000 calls"),
        (
            "99999999999/1h",
            "'99999999999/1h' must allow between 1 and 100000 calls",
        ),
        (
            "1/h",
            "'h' is not a time: a whole number and s, m, h or d, such as 30s or 1h",
        ),
        (
            "1/1 h",
            "'1 h' is not a time: a whole number and s, m, h or d, such as 30s or 1h",
        ),
        (
            "1/1.5h",
            "'1.5h' is not a time: a whole number and s, m, h or d, such as 30s or 1h",
        ),
        (
            "1/1ms",
            "'1ms' is not a time: a whole number and s, m, h or d, such as 30s or 1h",
        ),
        (
            "1/1ä",
            "'1ä' is not a time: a whole number and s, m, h or d, such as 30s or 1h",
        ),
        ("1/0s", "'0s' must be a time between 1s and 366d"),
        ("1/367d", "'367d' must be a time between 1s and 366d"),
        (
            "1/99999999999999999999d",
            "'99999999999999999999d' must be a time between 1s and 366d",
        ),
    ];
    for (text, expected) in refused {
        assert_eq!(Rate::parse(text).unwrap_err().to_string(), expected);
    }
    assert_eq!(period_ms("30s"), Ok(30_000));
}

#[test]
fn a_limit_is_told_in_words() {
    let told = [
        (LimitKind::Rate(rate(10, HOUR_MS)), "10 calls within 1 h"),
        (LimitKind::Quota(rate(1, 2 * DAY_MS)), "1 call every 2 d"),
        (
            LimitKind::Cooldown(90_000),
            "a call 90 s after the one before",
        ),
    ];
    for (kind, expected) in told {
        assert_eq!(kind.to_string(), expected);
    }
}

#[test]
fn each_kind_forgets_in_its_own_way() {
    let quota = LimitKind::Quota(rate(1, 1_000));
    // (kind, a use, now, when it admits another)
    let table = [
        (LimitKind::Rate(rate(1, 1_000)), 500, 1_499, Some(1_500)),
        (LimitKind::Rate(rate(1, 1_000)), 500, 1_500, None),
        (LimitKind::Cooldown(1_000), 500, 501, Some(1_500)),
        (quota, 999, 999, Some(1_000)),
        (quota, 999, 1_000, None),
        (quota, 0, 999, Some(1_000)),
        (quota, -1, -1, Some(0)),
        // The clock has been set back, a little or from far away.
        (LimitKind::Rate(rate(1, 1_000)), 500, -499, Some(1_500)),
        (LimitKind::Rate(rate(1, 1_000)), 500, -500, None),
        (quota, 1_000, 999, None),
    ];
    for (kind, used, now, expected) in table {
        assert_eq!(
            kind.frees_at(Some(at(used)), at(now)),
            expected.map(at),
            "{kind:?} used at {used}, asked at {now}"
        );
        assert_eq!(kind.frees_at(None, at(now)), None);
    }
}

/// A limit in use: what it admits of calls at those times, asked as the queue asks.
fn admitted(kind: LimitKind, times: &[i64]) -> Vec<Timestamp> {
    let mut uses = Vec::new();
    for now in times.iter().copied().map(at) {
        let nth_last = uses.iter().rev().nth(kind.allowed() as usize - 1).copied();
        match kind.frees_at(nth_last, now) {
            None => uses.push(now),
            Some(frees_at) => {
                assert!(frees_at > now, "it would be free now");
                assert_eq!(kind.frees_at(nth_last, frees_at), None, "it is free then");
                let before = at(frees_at.as_millis() - 1);
                assert!(kind.frees_at(nth_last, before).is_some(), "and not before");
            }
        }
    }
    uses
}

proptest! {
    #[test]
    fn no_window_of_a_rate_has_too_many_and_none_is_refused_without_need(
        calls in 1..6_u32,
        per_ms in 1..50_u64,
        steps in prop::collection::vec(0..20_i64, 1..80),
    ) {
        let times = added_up(&steps);
        let uses = admitted(LimitKind::Rate(rate(calls, per_ms)), &times);
        let within = |now: Timestamp| {
            let counted = uses.iter().filter(|at| **at <= now && now.since(**at).as_millis() < u128::from(per_ms));
            counted.count()
        };
        for now in times.iter().copied().map(at) {
            prop_assert!(within(now) <= calls as usize);
            prop_assert!(uses.contains(&now) || within(now) == calls as usize);
        }
    }

    #[test]
    fn each_window_of_a_quota_admits_just_as_many(
        calls in 1..6_u32,
        per_ms in 1..50_i64,
        steps in prop::collection::vec(0..20_i64, 1..80),
    ) {
        let times = added_up(&steps);
        let uses = admitted(LimitKind::Quota(rate(calls, per_ms.unsigned_abs())), &times);
        for window in times.iter().map(|time| time / per_ms) {
            let asked = times.iter().filter(|time| *time / per_ms == window).count();
            let had = uses.iter().filter(|at| at.as_millis() / per_ms == window).count();
            prop_assert_eq!(had, asked.min(calls as usize));
        }
    }

    #[test]
    fn a_clock_that_was_wrong_makes_nobody_wait_for_it(
        calls in 1..6_u32,
        per_ms in 1..50_u64,
        times in prop::collection::vec(-1_000..1_000_i64, 1..40),
    ) {
        for kind in [LimitKind::Rate(rate(calls, per_ms)), LimitKind::Quota(rate(calls, per_ms)), LimitKind::Cooldown(per_ms)] {
            for (used, now) in times.iter().zip(times.iter().rev()) {
                if let Some(frees_at) = kind.frees_at(Some(at(*used)), at(*now)) {
                    prop_assert!(frees_at.since(at(*now)).as_millis() <= 2 * u128::from(per_ms));
                }
            }
        }
    }
}

fn added_up(steps: &[i64]) -> Vec<i64> {
    let sum = |sum: &mut i64, step: &i64| {
        *sum += step;
        Some(*sum)
    };
    steps.iter().scan(0, sum).collect()
}
