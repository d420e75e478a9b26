use proptest::prelude::*;
use serde_json::Map;

use super::super::{Overlap, Target};
use super::*;

fn spec(cron: &str) -> Spec {
    Spec {
        cron: cron.to_owned(),
        zone: "UTC".to_owned(),
        target: Target::Tool {
            tool: "math__add".to_owned(),
            arguments: Map::new(),
        },
        start_at: None,
        end_at: None,
        max_runs: None,
        jitter: Duration::ZERO,
        overlap: Overlap::Skip,
        catch_up: CatchUp::None,
        catch_up_window: Duration::from_secs(24 * 60 * 60),
        retry: None,
        priority: 0,
    }
}

/// Seconds after a midnight.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 / 86_400_000 * 86_400_000 + seconds * 1_000)
}

fn seconds(at: Timestamp) -> i64 {
    (at.as_millis() - self::at(0).as_millis()) / 1_000
}

/// Seconds of what is run, given up, and next.
type Outcome = (Vec<i64>, Option<(i64, i64)>, Option<i64>);

fn planned(spec: &Spec, runs: u32, pending: i64, now: i64) -> Outcome {
    let pending = Due {
        tick: at(pending),
        fire_at: at(pending),
    };
    let plan = plan(&spec.cron().unwrap(), spec, runs, pending, at(now), 0.5);
    let missed = plan
        .missed
        .map(|missed| (seconds(missed.from), seconds(missed.to)));
    let run = plan.run.into_iter().map(seconds).collect();
    (run, missed, plan.next.map(|next| seconds(next.tick)))
}

#[test]
fn a_tick_is_run_at_its_time_and_once() {
    let minutely = spec("* * * * *");
    assert_eq!(planned(&minutely, 0, 60, 59), (vec![], None, Some(60)));
    assert_eq!(planned(&minutely, 0, 60, 60), (vec![60], None, Some(120)));
    assert_eq!(planned(&minutely, 0, 60, 70), (vec![60], None, Some(120)));
    let secondly = spec("* * * * * *");
    assert_eq!(
        planned(&secondly, 0, 60, 63),
        (vec![60, 61, 62, 63], None, Some(64))
    );
}

#[test]
fn missed_ticks_are_caught_up_with_as_wanted() {
    let hour = 3_600;
    let day = 24 * hour;
    let rows: &[(CatchUp, i64, Outcome)] = &[
        (CatchUp::None, 71, (vec![], Some((60, 60)), Some(120))),
        (CatchUp::None, 200, (vec![], Some((60, 180)), Some(240))),
        (CatchUp::None, 185, (vec![180], Some((60, 120)), Some(240))),
        (CatchUp::One, 71, (vec![60], None, Some(120))),
        (CatchUp::One, 200, (vec![180], Some((60, 120)), Some(240))),
        (
            CatchUp::One,
            185,
            (vec![120, 180], Some((60, 60)), Some(240)),
        ),
        (
            CatchUp::One,
            30 * day + 30,
            (
                vec![30 * day],
                Some((60, 30 * day - 60)),
                Some(30 * day + 60),
            ),
        ),
        (CatchUp::All, 200, (vec![60, 120, 180], None, Some(240))),
        (CatchUp::All, 185, (vec![60, 120, 180], None, Some(240))),
        (
            CatchUp::All,
            30 * day + 30,
            (
                (0..100).map(|n| 29 * day + 60 + n * 60).collect(),
                Some((60, 29 * day)),
                Some(29 * day + 101 * 60),
            ),
        ),
    ];
    for (catch_up, now, expected) in rows {
        let minutely = Spec {
            catch_up: *catch_up,
            ..spec("* * * * *")
        };
        assert_eq!(
            planned(&minutely, 0, 60, *now),
            *expected,
            "{catch_up:?} at {now}"
        );
    }
}

#[test]
fn nothing_older_than_the_window_is_caught_up_with() {
    for catch_up in [CatchUp::One, CatchUp::All] {
        let daily = Spec {
            catch_up,
            catch_up_window: Duration::from_secs(3_600),
            ..spec("0 0 * * *")
        };
        assert_eq!(planned(&daily, 0, 0, 3_600), (vec![0], None, Some(86_400)));
        assert_eq!(
            planned(&daily, 0, 0, 3_601),
            (vec![], Some((0, 0)), Some(86_400))
        );
    }
}

#[test]
fn months_of_missed_seconds_cost_no_more_than_a_few() {
    let year = 365 * 86_400;
    let secondly = Spec {
        catch_up: CatchUp::One,
        ..spec("* * * * * *")
    };
    let (run, missed, next) = planned(&secondly, 0, 0, year);
    assert_eq!(
        (run[0], missed, next),
        (year - 11, Some((0, year - 12)), Some(year + 1))
    );
}

#[test]
fn no_tick_is_before_the_start_or_after_the_end() {
    let bounded = Spec {
        start_at: Some(at(120)),
        end_at: Some(at(180)),
        ..spec("* * * * *")
    };
    let cron = bounded.cron().unwrap();
    let tick = |now| first(&cron, &bounded, 0, None, at(now), 0.5).map(|due| seconds(due.tick));
    assert_eq!(tick(0), Some(120));
    assert_eq!(tick(120), Some(180));
    assert_eq!(tick(180), None);
    assert_eq!(planned(&bounded, 0, 180, 180), (vec![180], None, None));
    assert_eq!(
        planned(&bounded, 0, 180, 300),
        (vec![], Some((180, 180)), None)
    );
}

#[test]
fn no_more_ticks_are_run_than_wanted() {
    let three = Spec {
        max_runs: Some(3),
        ..spec("* * * * * *")
    };
    assert_eq!(
        planned(&three, 0, 60, 65),
        (vec![60, 61, 62], None, Some(63))
    );
    assert_eq!(planned(&three, 2, 60, 65), (vec![60], None, Some(61)));
    assert_eq!(planned(&three, 3, 60, 65), (vec![], None, None));
    assert_eq!(
        first(&three.cron().unwrap(), &three, 3, None, at(0), 0.5),
        None
    );
}

#[test]
fn jitter_delays_a_tick_and_does_not_make_it_late() {
    let jittery = Spec {
        jitter: Duration::from_secs(40),
        ..spec("* * * * *")
    };
    let cron = jittery.cron().unwrap();
    let pending = first(&cron, &jittery, 0, None, at(0), 0.5).unwrap();
    assert_eq!((seconds(pending.tick), seconds(pending.fire_at)), (60, 80));
    let run = |now| plan(&cron, &jittery, 0, pending, at(now), 0.5).run.len();
    assert_eq!([79, 80, 110, 111].map(run), [0, 1, 1, 0]);
}

#[test]
fn a_tick_that_has_been_decided_about_never_comes_again() {
    let minutely = spec("* * * * *");
    let cron = minutely.cron().unwrap();
    let set_back = first(&cron, &minutely, 1, Some(at(600)), at(60), 0.5).unwrap();
    assert_eq!(seconds(set_back.tick), 660);
}

proptest! {
    #[test]
    fn ticks_follow_one_another_within_their_bounds(
        cron in prop::sample::select(vec!["* * * * * *", "*/7 * * * * *", "* * * * *", "30 2 * * *", "0 0 L * *"]),
        zone in prop::sample::select(vec!["UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe"]),
        catch_up in prop::sample::select(CatchUp::ALL.to_vec()),
        start in prop::option::of(0..10_000_i64),
        length in prop::option::of(1..5_000_000_i64),
        max_runs in prop::option::of(1..20_u32),
        jitter in 0..100_u64,
        chance in 0.0..1.0,
        waits in prop::collection::vec(prop_oneof![0..3_i64, 0..100_i64, 0..100_000_i64, 0..5_000_000_i64], 1..20),
    ) {
        let start_at = start.map(at);
        let spec = Spec {
            zone: zone.to_owned(),
            catch_up,
            start_at,
            end_at: length.map(|length| at(start.unwrap_or(0) + length)),
            max_runs,
            jitter: Duration::from_secs(jitter),
            ..spec(cron)
        };
        let cron = spec.cron().unwrap();
        let mut now = at(0);
        let mut pending = first(&cron, &spec, 0, None, now, chance);
        let mut ran: Vec<Timestamp> = Vec::new();
        for wait in waits {
            now = now.plus(Duration::from_secs(u64::try_from(wait).unwrap()));
            let Some(due) = pending else { break };
            let runs = u32::try_from(ran.len()).unwrap();
            let plan = plan(&cron, &spec, runs, due, now, chance);
            let last = plan.run.last().copied();
            prop_assert!(plan.run.len() <= MAX_TICKS);
            prop_assert!(plan.run.iter().all(|tick| *tick <= now));
            if let Some(missed) = plan.missed {
                prop_assert!(missed.from <= missed.to && due.tick <= missed.from);
                prop_assert!(plan.run.iter().all(|tick| *tick > missed.to));
            }
            if let Some(next) = plan.next {
                prop_assert!(next.fire_at >= next.tick && last.is_none_or(|last| last < next.tick));
            }
            ran.extend(plan.run);
            pending = plan.next;
        }
        prop_assert!(ran.is_sorted_by(|a, b| a < b));
        prop_assert!(spec.max_runs.is_none_or(|most| ran.len() <= most as usize));
        prop_assert!(ran.iter().all(|tick| spec.start_at.is_none_or(|start| *tick >= start)));
        prop_assert!(ran.iter().all(|tick| spec.end_at.is_none_or(|end| *tick <= end)));
        prop_assert!(ran.iter().all(|tick| cron.next_after(tick.minus(TICK)) == Some(*tick)));
    }
}
