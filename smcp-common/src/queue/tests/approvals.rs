//! Approvals: asked for, given, refused, expired, and asked for anew.

use super::*;
use crate::approval::{self, Obstacle, Request, Voice, digest};
use crate::policy::Approval;

conformance!(
    what_needs_an_approval_waits_for_it_and_runs_then,
    nobody_approves_of_their_own_call,
    two_of_a_group_and_one_of_each,
    one_word_against_it_ends_it,
    whoever_has_approved_may_think_better_of_it,
    whoever_is_revoked_has_approved_of_nothing,
    nobody_in_time_ends_it,
    a_cancelled_request_cannot_be_approved_of,
    a_changed_request_is_asked_for_anew,
    what_was_approved_of_is_looked_at_again_before_it_runs,
    an_approval_is_for_one_time,
    a_request_survives_a_restart,
    every_word_is_recorded,
);

const HOUR: Duration = Duration::from_secs(3_600);

fn request(groups: &[&str], approvals: u32, policy: &str) -> Request {
    Request {
        of: Approval {
            groups: groups.iter().map(ToString::to_string).collect(),
            approvals,
        },
        digest: digest("local", "math__add", &job().arguments, "plugin", policy),
        rules: vec!["ask".into()],
        expires_at: START.plus(HOUR),
    }
}

fn needs(groups: &[&str], approvals: u32) -> NewJob {
    NewJob {
        approval: Some(request(groups, approvals, "v1")),
        ..job()
    }
}

impl World {
    /// The word of an agent that is in these groups.
    fn vote(&self, job: &JobId, voice: Voice, agent: &str, groups: &[&str]) -> Vote {
        let sql = "INSERT OR REPLACE INTO agents (name, groups, created_at, created_by) VALUES (?1, ?2, 0, 'operator')";
        let groups = json!(groups).to_string();
        self.sql().execute(sql, params![agent, groups]).unwrap();
        Vote {
            job: job.clone(),
            voter: agent.into(),
            voice,
            reason: None,
            seen: None,
            seen_at: None,
            changed: None,
            via: "tool",
        }
    }

    async fn say(&self, vote: Vote) -> Result<StateName, Obstacle> {
        self.queue.vote(vote).await.unwrap()
    }

    async fn approve(
        &self,
        job: &JobId,
        agent: &str,
        groups: &[&str],
    ) -> Result<StateName, Obstacle> {
        self.say(self.vote(job, Voice::Approve, agent, groups))
            .await
    }
}

async fn what_needs_an_approval_waits_for_it_and_runs_then(world: World) {
    let id = world.submit(needs(&["ops"], 1)).await;
    assert_eq!(world.job(&id).state, StateName::AwaitingApproval);
    assert_eq!(world.claim("w").await, None, "it is not in the queue");
    let why = world.queue.waiting(&id).await.unwrap().unwrap();
    assert!(why[0].message(START).contains("approval of ops"), "{why:?}");
    let open = world.queue.open_requests().await.unwrap();
    assert_eq!((open.len(), &open[0].job), (1, &id));
    assert_eq!(open[0].arguments, job().arguments);

    world.clock.advance(HOUR / 2);
    assert_eq!(
        world.approve(&id, "ann", &["dev", "ops"]).await,
        Ok(StateName::Queued)
    );
    assert_eq!(world.queue.open_request(&id).unwrap(), None);
    let claimed = world.claim("w").await.unwrap();
    assert_eq!(claimed.id, id);
    assert_eq!(claimed.approved, Some(request(&["ops"], 1, "v1").digest));
    assert_eq!(
        world.kinds(&id),
        [
            EventKind::Queued,
            EventKind::ApprovalRequested,
            EventKind::ApprovalVoted,
            EventKind::Started
        ]
    );
    assert_eq!(
        world.approve(&id, "bob", &["ops"]).await,
        Err(Obstacle::NotPending(id.to_string()))
    );
}

async fn nobody_approves_of_their_own_call(world: World) {
    let id = world.submit(needs(&["ops"], 1)).await;
    assert_eq!(
        world.approve(&id, "local", &["ops"]).await,
        Err(Obstacle::Own)
    );
    let stranger = world.approve(&id, "eve", &["users"]).await;
    assert_eq!(stranger, Err(Obstacle::NotMember(vec!["ops".into()])));
    assert_eq!(world.job(&id).state, StateName::AwaitingApproval);
}

async fn two_of_a_group_and_one_of_each(world: World) {
    let two = world.submit(needs(&["ops"], 2)).await;
    let waits = Ok(StateName::AwaitingApproval);
    assert_eq!(world.approve(&two, "ann", &["ops"]).await, waits);
    assert_eq!(
        world.approve(&two, "ann", &["ops"]).await,
        Err(Obstacle::Repeated)
    );
    assert_eq!(world.claim("w").await, None);
    assert_eq!(
        world.approve(&two, "bob", &["ops"]).await,
        Ok(StateName::Queued)
    );

    let each = world.submit(needs(&["dev", "ops"], 1)).await;
    assert_eq!(world.approve(&each, "ann", &["ops"]).await, waits);
    assert_eq!(world.approve(&each, "bob", &["ops"]).await, waits);
    assert_eq!(
        world.approve(&each, "eve", &["dev"]).await,
        Ok(StateName::Queued)
    );
}

async fn one_word_against_it_ends_it(world: World) {
    let id = world.submit(needs(&["ops"], 2)).await;
    world.approve(&id, "ann", &["ops"]).await.unwrap();
    let against = Vote {
        reason: Some("not on a Friday".into()),
        ..world.vote(&id, Voice::Deny, "bob", &["ops"])
    };
    assert_eq!(world.say(against).await, Ok(StateName::Denied));
    let error = world.job(&id).error.unwrap();
    assert_eq!(error.code, "approval_denied");
    assert_eq!(
        error.message,
        "bob did not approve of the job: not on a Friday"
    );
    assert!(world.job(&id).finished_at.is_some());
    assert_eq!(world.claim("w").await, None);
    assert_eq!(
        world.approve(&id, "eve", &["ops"]).await,
        Err(Obstacle::NotPending(id.to_string()))
    );
}

async fn whoever_has_approved_may_think_better_of_it(world: World) {
    let id = world.submit(needs(&["ops"], 2)).await;
    world.approve(&id, "ann", &["ops"]).await.unwrap();
    let against = world.vote(&id, Voice::Deny, "ann", &["ops"]);
    assert_eq!(world.say(against).await, Ok(StateName::Denied));
    assert_eq!(world.audited("approval.voted").len(), 2);
}

async fn whoever_is_revoked_has_approved_of_nothing(world: World) {
    let (id, done) = (
        world.submit(needs(&["ops"], 2)).await,
        world.submit(needs(&["ops"], 1)).await,
    );
    for id in [&id, &done] {
        world.approve(id, "ann", &["ops"]).await.unwrap();
    }
    let late = world.vote(&id, Voice::Approve, "ann", &["ops"]);
    world
        .queue
        .revoke_agent("ann", false, "operator")
        .await
        .unwrap();
    let open = world.queue.open_request(&id).unwrap().unwrap();
    assert_eq!(open.given, Vec::new());
    assert_eq!(
        world.say(late).await,
        Err(Obstacle::NotMember(vec!["ops".into()])),
        "although it was let in before"
    );
    let waits = Ok(StateName::AwaitingApproval);
    assert_eq!(world.approve(&id, "bob", &["ops"]).await, waits);
    let again = world.approve(&id, "ann", &["ops"]).await;
    assert_eq!(again, Ok(StateName::Queued), "somebody else of that name");
    assert_eq!(
        world.job(&done).state,
        StateName::Queued,
        "what was decided stays so"
    );
}

async fn nobody_in_time_ends_it(world: World) {
    let id = world.submit(needs(&["ops"], 1)).await;
    let due = world.queue.expire_approvals().await.unwrap();
    assert_eq!(due, Some(START.plus(HOUR)));
    world.clock.advance(HOUR);
    assert_eq!(
        world.approve(&id, "ann", &["ops"]).await,
        Err(Obstacle::Expired(START.plus(HOUR))),
        "whether or not anybody has looked"
    );
    assert_eq!(world.queue.expire_approvals().await.unwrap(), None);
    let job = world.job(&id);
    assert_eq!(
        (job.state, job.error.unwrap().code.as_str()),
        (StateName::Expired, "approval_expired")
    );
    assert_eq!(world.claim("w").await, None);
}

async fn a_cancelled_request_cannot_be_approved_of(world: World) {
    let id = world.submit(needs(&["ops"], 1)).await;
    let cancelled = world.queue.cancel(&id, "local", None).await.unwrap();
    assert_eq!(cancelled, StateName::Cancelled);
    assert_eq!(
        world.approve(&id, "ann", &["ops"]).await,
        Err(Obstacle::NotPending(id.to_string()))
    );
    assert_eq!(world.queue.expire_approvals().await.unwrap(), None);
}

async fn a_changed_request_is_asked_for_anew(world: World) {
    let id = world.submit(needs(&["ops"], 1)).await;
    let vote = |seen, changed| {
        world.say(Vote {
            seen,
            changed,
            ..world.vote(&id, Voice::Approve, "ann", &["ops"])
        })
    };
    let old = request(&["ops"], 1, "v1");
    let other = vote(Some([9; 32]), None).await;
    assert_eq!(other, Err(Obstacle::Changed), "not what is asked for");

    let new = request(&["dev"], 1, "v2");
    let changed = vote(Some(old.digest), Some(new.clone())).await;
    assert_eq!(changed, Err(Obstacle::Changed));
    let open = world.queue.open_request(&id).unwrap().unwrap();
    assert_eq!((open.request, open.given), (new.clone(), Vec::new()));
    let found_the_same = Vote {
        changed: Some(new),
        ..world.vote(&id, Voice::Approve, "eve", &["dev"])
    };
    assert_eq!(
        world.say(found_the_same).await,
        Ok(StateName::Queued),
        "it is asked for already"
    );
}

async fn what_was_approved_of_is_looked_at_again_before_it_runs(world: World) {
    let id = world.submit(needs(&["ops"], 1)).await;
    world.approve(&id, "ann", &["ops"]).await.unwrap();
    let hold = world.claim_as_hold("w").await;
    let new = request(&["ops"], 1, "v2");
    let voided = Outcome::ApprovalVoided(Box::new(new.clone()));
    world.finish(&hold, voided).await.unwrap();
    let job = world.job(&id);
    assert_eq!(job.state, StateName::AwaitingApproval);
    assert_eq!(job.attempts[0].outcome.as_deref(), Some("approval_voided"));
    assert_eq!(world.claim("w").await, None);
    let open = world.queue.open_request(&id).unwrap().unwrap();
    assert_eq!((open.request, open.given), (new.clone(), Vec::new()));
    assert_eq!(
        world.approve(&id, "ann", &["ops"]).await,
        Ok(StateName::Queued)
    );
    assert_eq!(world.claim("w").await.unwrap().approved, Some(new.digest));
    assert_eq!(world.broken_audit(), None);
}

async fn an_approval_is_for_one_time(world: World) {
    let id = world.submit(needs(&["ops"], 1)).await;
    world.approve(&id, "ann", &["ops"]).await.unwrap();
    let hold = world.claim_as_hold("w").await;
    world.finish(&hold, failed()).await.unwrap();
    assert_eq!(world.job(&id).state, StateName::Failed);
    world.clock.advance(2 * HOUR);
    world
        .queue
        .revive(std::slice::from_ref(&id), "local", None)
        .await
        .unwrap();
    assert_eq!(world.job(&id).state, StateName::AwaitingApproval);
    assert_eq!(world.claim("w").await, None);
    let open = world.queue.open_request(&id).unwrap().unwrap();
    assert_eq!(
        open.request.expires_at,
        START.plus(3 * HOUR),
        "as long as the one before"
    );
    let of_before = Vote {
        seen: Some(open.request.digest),
        seen_at: Some(START),
        ..world.vote(&id, Voice::Approve, "ann", &["ops"])
    };
    assert_eq!(world.say(of_before.clone()).await, Err(Obstacle::Changed));
    let of_now = Vote {
        seen_at: Some(open.requested_at),
        ..of_before
    };
    assert_eq!(world.say(of_now).await, Ok(StateName::Queued));
    assert!(world.claim("w").await.is_some());
}

async fn a_request_survives_a_restart(world: World) {
    let id = world.submit(needs(&["ops"], 2)).await;
    world.approve(&id, "ann", &["ops"]).await.unwrap();
    let again = world.second();
    let open = again.open_request(&id).unwrap().unwrap();
    assert_eq!(open.given.len(), 1);
    let vote = world.vote(&id, Voice::Approve, "bob", &["ops"]);
    assert_eq!(again.vote(vote).await.unwrap(), Ok(StateName::Queued));
}

async fn every_word_is_recorded(world: World) {
    let id = world.submit(needs(&["ops"], 1)).await;
    world.approve(&id, "local", &["ops"]).await.unwrap_err();
    world.approve(&id, "ann", &["ops"]).await.unwrap();
    assert_eq!(world.audited("approval.requested").len(), 1);
    assert_eq!(
        world.audited("approval.refused"),
        [r#"local {"code":"approval_own_request","via":"tool","voice":"approve"}"#]
    );
    assert!(world.audited("approval.voted")[0].starts_with("ann {"));
    let approved = world.audited("job.approved");
    let digest = crate::canonical::hex(&request(&["ops"], 1, "v1").digest);
    assert_eq!(
        approved,
        [format!(r#"queue {{"by":["ann"],"digest":"{digest}"}}"#)]
    );
    assert_eq!(world.broken_audit(), None);
    assert_eq!(approval::list(&["a".into(), "b".into()]), "a and b");
}
