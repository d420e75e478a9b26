use std::fmt::Write;

use proptest::prelude::*;

use super::*;

const EVENTS: [Event; 8] = [
    Event::Claimed,
    Event::Succeeded,
    Event::Failed,
    Event::Stopped,
    Event::Released,
    Event::Interrupted,
    Event::WorkerLost,
    Event::CancelRequested,
];

fn show(state: State) -> String {
    match state {
        State::Queued { attempt, failures } => {
            format!("queued after {attempt} ({failures} failed)")
        }
        State::Running {
            attempt,
            failures,
            cancelling,
        } => {
            format!(
                "running #{attempt} ({failures} failed{})",
                if cancelling { ", cancelling" } else { "" }
            )
        }
        ended => ended.name().to_string(),
    }
}

#[test]
fn every_state_and_event() {
    let states = [
        State::Queued {
            attempt: 0,
            failures: 0,
        },
        State::Queued {
            attempt: 2,
            failures: 1,
        },
        State::Running {
            attempt: 1,
            failures: 0,
            cancelling: false,
        },
        State::Running {
            attempt: 1,
            failures: 0,
            cancelling: true,
        },
        State::Running {
            attempt: 3,
            failures: 2,
            cancelling: false,
        },
        State::Succeeded,
        State::Failed,
        State::Cancelled,
        State::OutcomeUnknown,
    ];
    let repeatable = Policy {
        effect: Effect::Idempotent,
        max_attempts: 3,
    };
    let mut table = String::new();
    for state in states {
        for event in EVENTS {
            let after = next(state, event, repeatable).map_or("-".to_owned(), show);
            writeln!(
                table,
                "{:36} {:16} {after}",
                show(state),
                format!("{event:?}")
            )
            .unwrap();
        }
    }
    insta::assert_snapshot!(table, @"
    queued after 0 (0 failed)            Claimed          running #1 (0 failed)
    queued after 0 (0 failed)            Succeeded        -
    queued after 0 (0 failed)            Failed           -
    queued after 0 (0 failed)            Stopped          -
    queued after 0 (0 failed)            Released         -
    queued after 0 (0 failed)            Interrupted      -
    queued after 0 (0 failed)            WorkerLost       -
    queued after 0 (0 failed)            CancelRequested  cancelled
    queued after 2 (1 failed)            Claimed          running #3 (1 failed)
    queued after 2 (1 failed)            Succeeded        -
    queued after 2 (1 failed)            Failed           -
    queued after 2 (1 failed)            Stopped          -
    queued after 2 (1 failed)            Released         -
    queued after 2 (1 failed)            Interrupted      -
    queued after 2 (1 failed)            WorkerLost       -
    queued after 2 (1 failed)            CancelRequested  cancelled
    running #1 (0 failed)                Claimed          -
    running #1 (0 failed)                Succeeded        succeeded
    running #1 (0 failed)                Failed           failed
    running #1 (0 failed)                Stopped          cancelled
    running #1 (0 failed)                Released         queued after 1 (0 failed)
    running #1 (0 failed)                Interrupted      queued after 1 (0 failed)
    running #1 (0 failed)                WorkerLost       queued after 1 (1 failed)
    running #1 (0 failed)                CancelRequested  running #1 (0 failed, cancelling)
    running #1 (0 failed, cancelling)    Claimed          -
    running #1 (0 failed, cancelling)    Succeeded        succeeded
    running #1 (0 failed, cancelling)    Failed           failed
    running #1 (0 failed, cancelling)    Stopped          cancelled
    running #1 (0 failed, cancelling)    Released         cancelled
    running #1 (0 failed, cancelling)    Interrupted      cancelled
    running #1 (0 failed, cancelling)    WorkerLost       cancelled
    running #1 (0 failed, cancelling)    CancelRequested  running #1 (0 failed, cancelling)
    running #3 (2 failed)                Claimed          -
    running #3 (2 failed)                Succeeded        succeeded
    running #3 (2 failed)                Failed           failed
    running #3 (2 failed)                Stopped          cancelled
    running #3 (2 failed)                Released         queued after 3 (2 failed)
    running #3 (2 failed)                Interrupted      queued after 3 (2 failed)
    running #3 (2 failed)                WorkerLost       failed
    running #3 (2 failed)                CancelRequested  running #3 (2 failed, cancelling)
    succeeded                            Claimed          -
    succeeded                            Succeeded        -
    succeeded                            Failed           -
    succeeded                            Stopped          -
    succeeded                            Released         -
    succeeded                            Interrupted      -
    succeeded                            WorkerLost       -
    succeeded                            CancelRequested  succeeded
    failed                               Claimed          -
    failed                               Succeeded        -
    failed                               Failed           -
    failed                               Stopped          -
    failed                               Released         -
    failed                               Interrupted      -
    failed                               WorkerLost       -
    failed                               CancelRequested  failed
    cancelled                            Claimed          -
    cancelled                            Succeeded        -
    cancelled                            Failed           -
    cancelled                            Stopped          -
    cancelled                            Released         -
    cancelled                            Interrupted      -
    cancelled                            WorkerLost       -
    cancelled                            CancelRequested  cancelled
    outcome_unknown                      Claimed          -
    outcome_unknown                      Succeeded        -
    outcome_unknown                      Failed           -
    outcome_unknown                      Stopped          -
    outcome_unknown                      Released         -
    outcome_unknown                      Interrupted      -
    outcome_unknown                      WorkerLost       -
    outcome_unknown                      CancelRequested  outcome_unknown
    ");
}

#[test]
fn what_must_not_repeat_is_never_queued_again_after_a_loss() {
    let once = Policy {
        effect: Effect::Once,
        max_attempts: 100,
    };
    for cancelling in [false, true] {
        let running = State::Running {
            attempt: 1,
            failures: 0,
            cancelling,
        };
        assert_eq!(
            next(running, Event::WorkerLost, once),
            Ok(State::OutcomeUnknown)
        );
        assert_eq!(
            next(running, Event::Interrupted, once),
            Ok(State::OutcomeUnknown)
        );
    }
}

/// Long lives on purpose: with evenly drawn events nearly every history ends before a second attempt.
fn history() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        8 => Just(Event::Claimed),
        6 => Just(Event::WorkerLost),
        3 => Just(Event::Released),
        3 => Just(Event::Interrupted),
        1 => Just(Event::Succeeded),
        1 => Just(Event::Failed),
        1 => Just(Event::Stopped),
        1 => Just(Event::CancelRequested),
    ];
    prop::collection::vec(event, 0..60)
}

fn policy() -> impl Strategy<Value = Policy> {
    let effect = prop_oneof![
        Just(Effect::ReadOnly),
        Just(Effect::Idempotent),
        Just(Effect::Once)
    ];
    (effect, 1..6_u32).prop_map(|(effect, max_attempts)| Policy {
        effect,
        max_attempts,
    })
}

proptest! {
    #[test]
    fn a_history_keeps_its_promises(events in history(), policy in policy()) {
        let mut state = State::Queued { attempt: 0, failures: 0 };
        let (mut claims, mut losses) = (0, 0);
        for event in events {
            let Ok(after) = next(state, event, policy) else { continue };
            claims += u32::from(event == Event::Claimed);
            losses += u32::from(event == Event::WorkerLost);
            if state.name().is_final() {
                prop_assert_eq!(after, state, "an end is final");
            }
            if let State::Queued { attempt, failures } | State::Running { attempt, failures, .. } = after {
                prop_assert_eq!(attempt, claims, "every claim has its own number");
                prop_assert_eq!(failures, losses, "only losses are held against it");
                prop_assert!(failures < policy.max_attempts);
                prop_assert!(policy.effect.may_repeat() || losses == 0, "what must not repeat does not");
            }
            state = after;
        }
    }
}
