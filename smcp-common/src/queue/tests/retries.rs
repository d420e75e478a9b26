//! What follows a failed attempt, as it is stored: the delay, the count of failures, and the history.

use super::*;
use crate::job::{Advice, RetryOn};

conformance!(
    a_failure_that_is_not_to_be_retried_is_final,
    a_failure_is_retried_after_a_growing_delay_and_given_up,
    a_policy_names_the_ends_that_it_is_for,
    the_plugin_has_the_last_word_on_another_attempt,
    a_plugin_says_when_to_come_back,
    a_snooze_costs_no_attempt,
    a_job_that_waits_for_another_attempt_is_cancelled_at_once,
    a_lost_worker_is_a_failure_where_the_policy_says_so,
);

const MINUTE: Duration = Duration::from_mins(1);

fn retried(retry: Retry) -> NewJob {
    NewJob {
        retry: Some(retry),
        effect: Effect::Once,
        ..job()
    }
}

/// Delays of up to one minute, then up to three, then up to five.
fn minutes() -> Retry {
    Retry {
        max_attempts: 4,
        initial_ms: 60_000,
        factor: 3.0,
        max_ms: 300_000,
        retry_on: vec![RetryOn::Error],
    }
}

fn advised(retryable: Option<bool>, after_ms: Option<u64>) -> Outcome {
    Outcome::Failed {
        failure: Failure::new("plugin_error", "it did not work"),
        advice: Advice {
            retryable,
            after_ms,
        },
    }
}

impl World {
    /// Lets the next attempt end so, and answers when another one may begin; `None` where there is none.
    async fn attempt(&self, id: &JobId, outcome: Outcome) -> Option<Timestamp> {
        let hold = self.claim_as_hold("w").await;
        assert_eq!(&hold.job, id);
        self.finish(&hold, outcome).await.unwrap();
        let job = self.job(id);
        (job.state == StateName::Queued).then_some(job.run_at)
    }

    fn now(&self) -> Timestamp {
        crate::clock::Clock::now(&*self.clock)
    }
}

async fn a_failure_that_is_not_to_be_retried_is_final(world: World) {
    let id = world.submit(job()).await;
    assert_eq!(world.attempt(&id, failed()).await, None);
    assert_eq!(world.job(&id).state, StateName::Failed);
}

async fn a_failure_is_retried_after_a_growing_delay_and_given_up(world: World) {
    let id = world.submit(retried(minutes())).await;
    for longest in [1, 3, 5] {
        let before = world.now();
        let run_at = world.attempt(&id, failed()).await.expect("another attempt");
        assert!(
            run_at >= before && run_at <= before.plus(MINUTE * longest),
            "{run_at}"
        );
        if run_at > before {
            assert_eq!(world.claim("w").await, None, "its time has not come");
            let Work::None { next_due } = world.queue.claim("w").await.unwrap() else {
                panic!("nothing can be claimed")
            };
            assert_eq!(next_due, Some(run_at));
        }
        world.clock.advance(run_at.since(before));
    }
    assert!(world.now() > START, "chance is not always zero");
    assert_eq!(world.attempt(&id, failed()).await, None);
    let job = world.job(&id);
    assert_eq!(
        (job.state, job.error.unwrap().code.as_str()),
        (StateName::Failed, "plugin_error")
    );
    let history: Vec<_> = job
        .attempts
        .iter()
        .map(|attempt| {
            let error = attempt.error.as_ref().map(|error| error.code.as_str());
            (attempt.n, attempt.outcome.as_deref(), error)
        })
        .collect();
    let failure = |n| (n, Some("failed"), Some("plugin_error"));
    assert_eq!(history, [1, 2, 3, 4].map(failure));
    assert_eq!(world.broken_audit(), None);
}

async fn a_policy_names_the_ends_that_it_is_for(world: World) {
    let timed_out = || Outcome::failed(Failure::new("timeout", "too slow"));
    let id = world.submit(retried(minutes())).await;
    assert_eq!(world.attempt(&id, timed_out()).await, None);

    let retry_on = vec![RetryOn::Timeout];
    let id = world
        .submit(retried(Retry {
            retry_on,
            ..minutes()
        }))
        .await;
    assert!(world.attempt(&id, timed_out()).await.is_some());
    world.clock.advance(MINUTE);
    assert_eq!(world.attempt(&id, failed()).await, None);
}

async fn the_plugin_has_the_last_word_on_another_attempt(world: World) {
    let id = world.submit(retried(minutes())).await;
    assert_eq!(world.attempt(&id, advised(Some(false), None)).await, None);

    let undeclared = NewJob {
        effect: Effect::Once,
        ..job()
    };
    let id = world.submit(undeclared).await;
    for _ in 0..2 {
        let run_at = world.attempt(&id, advised(Some(true), None)).await;
        world
            .clock
            .advance(run_at.expect("another attempt").since(world.now()));
    }
    let last = world.attempt(&id, advised(Some(true), None)).await;
    assert_eq!(last, None, "three attempts, where nobody says more");
}

async fn a_plugin_says_when_to_come_back(world: World) {
    let id = world.submit(retried(minutes())).await;
    let wanted = world.now().plus(MINUTE * 42);
    let after_ms = Some(42 * 60_000);
    assert_eq!(
        world.attempt(&id, advised(Some(true), after_ms)).await,
        Some(wanted)
    );
    let event = world.queue.newest_event(&id).unwrap().unwrap();
    assert_eq!(event.kind, EventKind::Requeued);
    assert_eq!(
        event.data,
        json!({"attempt": 1, "reason": "failed", "run_at": wanted})
    );
}

async fn a_snooze_costs_no_attempt(world: World) {
    let retry = Retry {
        max_attempts: 1,
        ..Retry::default()
    };
    let id = world.submit(retried(retry)).await;
    for _ in 0..5 {
        let wanted = world.now().plus(MINUTE);
        let snoozed = Outcome::Snoozed { after_ms: 60_000 };
        assert_eq!(world.attempt(&id, snoozed).await, Some(wanted));
        world.clock.advance(MINUTE);
    }
    assert_eq!(world.attempt(&id, Outcome::Succeeded).await, None);
    let job = world.job(&id);
    assert_eq!((job.state, job.attempts.len()), (StateName::Succeeded, 6));
    assert_eq!(job.attempts[0].outcome.as_deref(), Some("snoozed"));
}

async fn a_job_that_waits_for_another_attempt_is_cancelled_at_once(world: World) {
    let id = world.submit(retried(minutes())).await;
    world.attempt(&id, failed()).await.expect("another attempt");
    let state = world.queue.cancel(&id, "ada", None).await.unwrap();
    assert_eq!(state, StateName::Cancelled);
    world.clock.advance(MINUTE * 5);
    assert_eq!(world.claim("w").await, None);
}

async fn a_lost_worker_is_a_failure_where_the_policy_says_so(world: World) {
    let retry_on = vec![RetryOn::WorkerLost];
    let id = world
        .submit(retried(Retry {
            retry_on,
            max_attempts: 2,
            ..minutes()
        }))
        .await;
    world.claim_as_hold("w1").await;
    world.queue.lose_worker("w1").await.unwrap();
    let job = world.job(&id);
    assert_eq!(job.state, StateName::Queued, "though it is once");
    assert!(job.run_at <= world.now().plus(MINUTE));
    world.clock.advance(MINUTE);
    world.claim_as_hold("w2").await;
    world.queue.lose_worker("w2").await.unwrap();
    assert_eq!(world.job(&id).error.unwrap().code, "worker_lost");
}
