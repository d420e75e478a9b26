use super::*;

conformance!(
    a_session_is_there_for_every_process_until_it_is_closed,
    a_request_finds_its_job_again,
    a_request_finds_its_answer_again,
    a_session_that_has_ended_takes_no_notes,
    silent_sessions_are_forgotten,
    where_there_are_too_many_a_silent_session_gives_way,
);

fn session(agent: &str) -> Session {
    Session {
        agent: agent.into(),
        parameters: "{}".into(),
    }
}

fn call(session: &str, request: &str) -> SessionCall {
    SessionCall {
        session: session.into(),
        request: request.into(),
    }
}

async fn open(world: &World, id: &str) -> bool {
    let opened = world.queue.open_session(id, session("ada"), 2).await;
    opened.unwrap()
}

async fn a_session_is_there_for_every_process_until_it_is_closed(world: World) {
    assert!(open(&world, "s").await);
    let other = world.second();
    assert_eq!(other.session("s").unwrap(), Some(session("ada")));
    assert_eq!(other.session("t").unwrap(), None);
    other.close_session("s").await.unwrap();
    assert_eq!(world.queue.session("s").unwrap(), None);
}

async fn a_request_finds_its_job_again(world: World) {
    open(&world, "s").await;
    let submitted = world.queue.submit_for(job(), call("s", "1")).await.unwrap();
    let other = world.second();
    let became = |request| other.became(&call("s", request)).unwrap();
    assert_eq!(became("1"), Some(Became::Job(submitted.id.clone())));
    assert_eq!(became("\"1\""), None, "a number is no string");
    let running = vec![(submitted.id.clone(), job().tool)];
    assert_eq!(other.unfinished("s").unwrap(), running);
    other.cancel(&submitted.id, "ada", None).await.unwrap();
    assert_eq!(other.unfinished("s").unwrap(), []);

    // A repeated call with the same key is another request for the same job.
    let keyed = || NewJob {
        idempotency_key: Some("k".into()),
        ..job()
    };
    let first = world.submit(keyed()).await;
    let again = other.submit_for(keyed(), call("s", "2")).await.unwrap();
    assert!(again.existing);
    assert_eq!(became("2"), Some(Became::Job(first)));
}

async fn a_request_finds_its_answer_again(world: World) {
    open(&world, "s").await;
    let answer = "{\"id\":1}".to_owned();
    let kept = world.queue.keep_answer(call("s", "1"), answer.clone());
    kept.await.unwrap();
    let became = world.second().became(&call("s", "1")).unwrap();
    assert_eq!(became, Some(Became::Answer(answer)));
}

async fn a_session_that_has_ended_takes_no_notes(world: World) {
    let submitted = world.queue.submit_for(job(), call("gone", "1")).await;
    let id = submitted.unwrap().id;
    assert_eq!(world.job(&id).state, StateName::Queued, "the job counts");
    assert_eq!(world.queue.became(&call("gone", "1")).unwrap(), None);
}

async fn silent_sessions_are_forgotten(world: World) {
    let day = Duration::from_hours(24);
    open(&world, "silent").await;
    open(&world, "seen").await;
    let kept = world.queue.keep_answer(call("silent", "1"), "{}".into());
    kept.await.unwrap();
    world.clock.advance(day);
    let seen = world.queue.see_sessions(vec!["seen".into(), "gone".into()]);
    seen.await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.queue.forget_sessions(day).await.unwrap(), 1);
    assert_eq!(world.queue.session("silent").unwrap(), None);
    assert_eq!(world.queue.became(&call("silent", "1")).unwrap(), None);
    assert!(world.queue.session("seen").unwrap().is_some());
}

async fn where_there_are_too_many_a_silent_session_gives_way(world: World) {
    assert!(open(&world, "a").await);
    world.clock.advance(Duration::from_secs(1));
    assert!(open(&world, "b").await);
    let full = |world: &World| world.queue.sessions_are_full(2).unwrap();
    assert!(full(&world));
    assert!(!open(&world, "c").await, "both have just been opened");
    world.clock.advance(Duration::from_mins(11));
    world.queue.see_sessions(vec!["a".into()]).await.unwrap();
    assert!(!full(&world));
    assert!(open(&world, "c").await);
    assert_eq!(world.queue.session("b").unwrap(), None);
    assert!(world.queue.session("a").unwrap().is_some());
}
