use std::fmt::Write;

use proptest::prelude::*;

use super::*;
use crate::job::Retry;

const EVENTS: [Event; 16] = [
    Event::Approved,
    Event::Denied,
    Event::ApprovalExpired,
    Event::ApprovalVoided,
    Event::Claimed,
    Event::Succeeded,
    Event::Failed(Again::ByPolicy(RetryOn::Error)),
    Event::Failed(Again::ByPolicy(RetryOn::Timeout)),
    Event::Failed(Again::Wanted),
    Event::Failed(Again::Pointless),
    Event::Snoozed,
    Event::Stopped,
    Event::Released,
    Event::Interrupted,
    Event::WorkerLost,
    Event::CancelRequested,
];

fn show(state: State) -> String {
    match state {
        State::AwaitingApproval { attempt, failures } => {
            format!("awaiting after {attempt} ({failures} failed)")
        }
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
        State::Succeeded
        | State::Failed
        | State::Cancelled
        | State::OutcomeUnknown
        | State::Denied
        | State::Expired => state.name().to_string(),
    }
}

#[test]
fn every_state_and_event() {
    let states = [
        State::AwaitingApproval {
            attempt: 1,
            failures: 0,
        },
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
        State::Denied,
        State::Expired,
    ];
    let repeatable = Policy {
        effect: Effect::Idempotent,
        max_attempts: 3,
        retry_on: causes(&[RetryOn::Error]),
    };
    let mut table = String::new();
    for state in states {
        for event in EVENTS {
            let after = next(state, event, repeatable).map_or("-".to_owned(), show);
            writeln!(
                table,
                "{:36} {:26} {after}",
                show(state),
                format!("{event:?}")
            )
            .unwrap();
        }
    }
    insta::assert_snapshot!(table, @"
    awaiting after 1 (0 failed)          Approved                   queued after 1 (0 failed)
    awaiting after 1 (0 failed)          Denied                     denied
    awaiting after 1 (0 failed)          ApprovalExpired            expired
    awaiting after 1 (0 failed)          ApprovalVoided             -
    awaiting after 1 (0 failed)          Claimed                    -
    awaiting after 1 (0 failed)          Succeeded                  -
    awaiting after 1 (0 failed)          Failed(ByPolicy(Error))    -
    awaiting after 1 (0 failed)          Failed(ByPolicy(Timeout))  -
    awaiting after 1 (0 failed)          Failed(Wanted)             -
    awaiting after 1 (0 failed)          Failed(Pointless)          -
    awaiting after 1 (0 failed)          Snoozed                    -
    awaiting after 1 (0 failed)          Stopped                    -
    awaiting after 1 (0 failed)          Released                   -
    awaiting after 1 (0 failed)          Interrupted                -
    awaiting after 1 (0 failed)          WorkerLost                 -
    awaiting after 1 (0 failed)          CancelRequested            cancelled
    queued after 0 (0 failed)            Approved                   -
    queued after 0 (0 failed)            Denied                     -
    queued after 0 (0 failed)            ApprovalExpired            -
    queued after 0 (0 failed)            ApprovalVoided             -
    queued after 0 (0 failed)            Claimed                    running #1 (0 failed)
    queued after 0 (0 failed)            Succeeded                  -
    queued after 0 (0 failed)            Failed(ByPolicy(Error))    -
    queued after 0 (0 failed)            Failed(ByPolicy(Timeout))  -
    queued after 0 (0 failed)            Failed(Wanted)             -
    queued after 0 (0 failed)            Failed(Pointless)          -
    queued after 0 (0 failed)            Snoozed                    -
    queued after 0 (0 failed)            Stopped                    -
    queued after 0 (0 failed)            Released                   -
    queued after 0 (0 failed)            Interrupted                -
    queued after 0 (0 failed)            WorkerLost                 -
    queued after 0 (0 failed)            CancelRequested            cancelled
    queued after 2 (1 failed)            Approved                   -
    queued after 2 (1 failed)            Denied                     -
    queued after 2 (1 failed)            ApprovalExpired            -
    queued after 2 (1 failed)            ApprovalVoided             -
    queued after 2 (1 failed)            Claimed                    running #3 (1 failed)
    queued after 2 (1 failed)            Succeeded                  -
    queued after 2 (1 failed)            Failed(ByPolicy(Error))    -
    queued after 2 (1 failed)            Failed(ByPolicy(Timeout))  -
    queued after 2 (1 failed)            Failed(Wanted)             -
    queued after 2 (1 failed)            Failed(Pointless)          -
    queued after 2 (1 failed)            Snoozed                    -
    queued after 2 (1 failed)            Stopped                    -
    queued after 2 (1 failed)            Released                   -
    queued after 2 (1 failed)            Interrupted                -
    queued after 2 (1 failed)            WorkerLost                 -
    queued after 2 (1 failed)            CancelRequested            cancelled
    running #1 (0 failed)                Approved                   -
    running #1 (0 failed)                Denied                     -
    running #1 (0 failed)                ApprovalExpired            -
    running #1 (0 failed)                ApprovalVoided             awaiting after 1 (0 failed)
    running #1 (0 failed)                Claimed                    -
    running #1 (0 failed)                Succeeded                  succeeded
    running #1 (0 failed)                Failed(ByPolicy(Error))    queued after 1 (1 failed)
    running #1 (0 failed)                Failed(ByPolicy(Timeout))  failed
    running #1 (0 failed)                Failed(Wanted)             queued after 1 (1 failed)
    running #1 (0 failed)                Failed(Pointless)          failed
    running #1 (0 failed)                Snoozed                    queued after 1 (0 failed)
    running #1 (0 failed)                Stopped                    cancelled
    running #1 (0 failed)                Released                   queued after 1 (0 failed)
    running #1 (0 failed)                Interrupted                queued after 1 (0 failed)
    running #1 (0 failed)                WorkerLost                 queued after 1 (1 failed)
    running #1 (0 failed)                CancelRequested            running #1 (0 failed, cancelling)
    running #1 (0 failed, cancelling)    Approved                   -
    running #1 (0 failed, cancelling)    Denied                     -
    running #1 (0 failed, cancelling)    ApprovalExpired            -
    running #1 (0 failed, cancelling)    ApprovalVoided             cancelled
    running #1 (0 failed, cancelling)    Claimed                    -
    running #1 (0 failed, cancelling)    Succeeded                  succeeded
    running #1 (0 failed, cancelling)    Failed(ByPolicy(Error))    failed
    running #1 (0 failed, cancelling)    Failed(ByPolicy(Timeout))  failed
    running #1 (0 failed, cancelling)    Failed(Wanted)             failed
    running #1 (0 failed, cancelling)    Failed(Pointless)          failed
    running #1 (0 failed, cancelling)    Snoozed                    cancelled
    running #1 (0 failed, cancelling)    Stopped                    cancelled
    running #1 (0 failed, cancelling)    Released                   cancelled
    running #1 (0 failed, cancelling)    Interrupted                cancelled
    running #1 (0 failed, cancelling)    WorkerLost                 cancelled
    running #1 (0 failed, cancelling)    CancelRequested            running #1 (0 failed, cancelling)
    running #3 (2 failed)                Approved                   -
    running #3 (2 failed)                Denied                     -
    running #3 (2 failed)                ApprovalExpired            -
    running #3 (2 failed)                ApprovalVoided             awaiting after 3 (2 failed)
    running #3 (2 failed)                Claimed                    -
    running #3 (2 failed)                Succeeded                  succeeded
    running #3 (2 failed)                Failed(ByPolicy(Error))    failed
    running #3 (2 failed)                Failed(ByPolicy(Timeout))  failed
    running #3 (2 failed)                Failed(Wanted)             failed
    running #3 (2 failed)                Failed(Pointless)          failed
    running #3 (2 failed)                Snoozed                    queued after 3 (2 failed)
    running #3 (2 failed)                Stopped                    cancelled
    running #3 (2 failed)                Released                   queued after 3 (2 failed)
    running #3 (2 failed)                Interrupted                queued after 3 (2 failed)
    running #3 (2 failed)                WorkerLost                 failed
    running #3 (2 failed)                CancelRequested            running #3 (2 failed, cancelling)
    succeeded                            Approved                   -
    succeeded                            Denied                     -
    succeeded                            ApprovalExpired            -
    succeeded                            ApprovalVoided             -
    succeeded                            Claimed                    -
    succeeded                            Succeeded                  -
    succeeded                            Failed(ByPolicy(Error))    -
    succeeded                            Failed(ByPolicy(Timeout))  -
    succeeded                            Failed(Wanted)             -
    succeeded                            Failed(Pointless)          -
    succeeded                            Snoozed                    -
    succeeded                            Stopped                    -
    succeeded                            Released                   -
    succeeded                            Interrupted                -
    succeeded                            WorkerLost                 -
    succeeded                            CancelRequested            succeeded
    failed                               Approved                   -
    failed                               Denied                     -
    failed                               ApprovalExpired            -
    failed                               ApprovalVoided             -
    failed                               Claimed                    -
    failed                               Succeeded                  -
    failed                               Failed(ByPolicy(Error))    -
    failed                               Failed(ByPolicy(Timeout))  -
    failed                               Failed(Wanted)             -
    failed                               Failed(Pointless)          -
    failed                               Snoozed                    -
    failed                               Stopped                    -
    failed                               Released                   -
    failed                               Interrupted                -
    failed                               WorkerLost                 -
    failed                               CancelRequested            failed
    cancelled                            Approved                   -
    cancelled                            Denied                     -
    cancelled                            ApprovalExpired            -
    cancelled                            ApprovalVoided             -
    cancelled                            Claimed                    -
    cancelled                            Succeeded                  -
    cancelled                            Failed(ByPolicy(Error))    -
    cancelled                            Failed(ByPolicy(Timeout))  -
    cancelled                            Failed(Wanted)             -
    cancelled                            Failed(Pointless)          -
    cancelled                            Snoozed                    -
    cancelled                            Stopped                    -
    cancelled                            Released                   -
    cancelled                            Interrupted                -
    cancelled                            WorkerLost                 -
    cancelled                            CancelRequested            cancelled
    outcome_unknown                      Approved                   -
    outcome_unknown                      Denied                     -
    outcome_unknown                      ApprovalExpired            -
    outcome_unknown                      ApprovalVoided             -
    outcome_unknown                      Claimed                    -
    outcome_unknown                      Succeeded                  -
    outcome_unknown                      Failed(ByPolicy(Error))    -
    outcome_unknown                      Failed(ByPolicy(Timeout))  -
    outcome_unknown                      Failed(Wanted)             -
    outcome_unknown                      Failed(Pointless)          -
    outcome_unknown                      Snoozed                    -
    outcome_unknown                      Stopped                    -
    outcome_unknown                      Released                   -
    outcome_unknown                      Interrupted                -
    outcome_unknown                      WorkerLost                 -
    outcome_unknown                      CancelRequested            outcome_unknown
    denied                               Approved                   -
    denied                               Denied                     -
    denied                               ApprovalExpired            -
    denied                               ApprovalVoided             -
    denied                               Claimed                    -
    denied                               Succeeded                  -
    denied                               Failed(ByPolicy(Error))    -
    denied                               Failed(ByPolicy(Timeout))  -
    denied                               Failed(Wanted)             -
    denied                               Failed(Pointless)          -
    denied                               Snoozed                    -
    denied                               Stopped                    -
    denied                               Released                   -
    denied                               Interrupted                -
    denied                               WorkerLost                 -
    denied                               CancelRequested            denied
    expired                              Approved                   -
    expired                              Denied                     -
    expired                              ApprovalExpired            -
    expired                              ApprovalVoided             -
    expired                              Claimed                    -
    expired                              Succeeded                  -
    expired                              Failed(ByPolicy(Error))    -
    expired                              Failed(ByPolicy(Timeout))  -
    expired                              Failed(Wanted)             -
    expired                              Failed(Pointless)          -
    expired                              Snoozed                    -
    expired                              Stopped                    -
    expired                              Released                   -
    expired                              Interrupted                -
    expired                              WorkerLost                 -
    expired                              CancelRequested            expired
    ");
}

#[test]
fn what_must_not_repeat_is_never_queued_again_after_a_loss() {
    let once = Policy {
        effect: Effect::Once,
        max_attempts: 100,
        retry_on: causes(&[RetryOn::Error, RetryOn::Timeout]),
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

#[test]
fn what_must_not_repeat_does_where_it_is_asked_for_in_as_many_words() {
    let running = State::Running {
        attempt: 1,
        failures: 0,
        cancelling: false,
    };
    let asked = Policy {
        effect: Effect::Once,
        max_attempts: 2,
        retry_on: causes(&[RetryOn::WorkerLost]),
    };
    let queued = State::Queued {
        attempt: 1,
        failures: 1,
    };
    assert_eq!(next(running, Event::WorkerLost, asked), Ok(queued));
}

#[test]
fn an_ended_job_is_run_again_unless_it_succeeded() {
    for state in StateName::ALL {
        let again = State::Queued {
            attempt: 4,
            failures: 0,
        };
        let asked_again = State::AwaitingApproval {
            attempt: 4,
            failures: 0,
        };
        let may = state.is_final() && state != StateName::Succeeded;
        assert_eq!(revived(state, 4, false), may.then_some(again), "{state:?}");
        assert_eq!(
            revived(state, 4, true),
            may.then_some(asked_again),
            "{state:?}"
        );
    }
}

fn causes(causes: &[RetryOn]) -> Causes {
    let retry_on = causes.to_vec();
    Retry {
        retry_on,
        ..Retry::default()
    }
    .causes()
}

/// Long lives on purpose: with evenly drawn events nearly every history ends before a second attempt.
fn history() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        8 => Just(Event::Claimed),
        6 => Just(Event::WorkerLost),
        3 => Just(Event::Released),
        3 => Just(Event::Interrupted),
        1 => Just(Event::Succeeded),
        1 => Just(Event::Failed(Again::ByPolicy(RetryOn::Timeout))),
        6 => Just(Event::Failed(Again::ByPolicy(RetryOn::Error))),
        1 => Just(Event::Failed(Again::Wanted)),
        1 => Just(Event::Failed(Again::Pointless)),
        2 => Just(Event::Snoozed),
        1 => Just(Event::Stopped),
        1 => Just(Event::CancelRequested),
        4 => Just(Event::Approved),
        1 => Just(Event::Denied),
        1 => Just(Event::ApprovalExpired),
        3 => Just(Event::ApprovalVoided),
    ];
    prop::collection::vec(event, 0..60)
}

fn policy() -> impl Strategy<Value = Policy> {
    let effect = prop_oneof![
        Just(Effect::ReadOnly),
        Just(Effect::Idempotent),
        Just(Effect::Once)
    ];
    let retry_on = prop::sample::subsequence(RetryOn::ALL.to_vec(), 0..=3);
    (effect, 1..6_u32, retry_on).prop_map(|(effect, max_attempts, retry_on)| Policy {
        effect,
        max_attempts,
        retry_on: causes(&retry_on),
    })
}

proptest! {
    #[test]
    fn a_history_keeps_its_promises(events in history(), policy in policy()) {
        let mut state = State::Queued { attempt: 0, failures: 0 };
        let (mut claims, mut losses, mut held_against) = (0, 0, 0);
        for event in events {
            let Ok(after) = next(state, event, policy) else { continue };
            claims += u32::from(event == Event::Claimed);
            losses += u32::from(event == Event::WorkerLost);
            held_against += u32::from(matches!(event, Event::WorkerLost | Event::Failed(_)));
            if state.name().is_final() {
                prop_assert_eq!(after, state, "an end is final");
            }
            if let State::Queued { attempt, failures } | State::Running { attempt, failures, .. } = after {
                prop_assert_eq!(attempt, claims, "every claim has its own number");
                prop_assert_eq!(failures, held_against, "only failures and losses are held against it");
                prop_assert!(failures < policy.max_attempts);
                let may_repeat = policy.effect.may_repeat() || policy.retry_on.has(RetryOn::WorkerLost);
                prop_assert!(may_repeat || losses == 0, "what must not repeat does not");
            }
            state = after;
        }
    }
}
