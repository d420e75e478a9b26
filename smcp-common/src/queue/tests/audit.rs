//! What is recorded, how it is signed, and that whatever is done to it is found.

use super::*;
use crate::audit::{
    Checkpoint, Problem, Signer, Tip, Verified, cef_line, record_line, verify_export,
};
use crate::canonical;
use crate::job::Entrance;
use crate::policy::Via;
use crate::setting::Setting;

conformance!(
    a_call_is_recorded_with_its_arguments_and_no_secret,
    a_denied_call_is_recorded_as_one_that_was_not,
    a_digest_tells_calls_apart_and_nothing_else,
    workers_that_come_and_go_are_recorded,
    a_checkpoint_is_made_after_so_many_records,
    a_checkpoint_is_made_after_so_long,
    processes_that_sign_at_once_make_one_checkpoint,
    chains_that_several_processes_write_and_sign_hold,
    whatever_is_done_to_the_database_is_found,
    an_export_can_be_verified,
    records_are_searched_in_pages,
    an_anchor_is_owed_the_newest_checkpoint,
    without_a_record_nothing_happens,
);

const NO_PATIENCE: Duration = Duration::ZERO;

impl World {
    /// Signs what there is, as if its time had come.
    async fn sign(&self) {
        self.clock.advance(Duration::from_mins(2));
        assert_eq!(self.sign_if_due().await, None);
    }

    /// Signs if it is due, as a worker does; answers when it will be.
    async fn sign_if_due(&self) -> Option<Timestamp> {
        self.queue.sign_audit(&signer(), NO_PATIENCE).await.unwrap()
    }

    fn signed(&self) -> i64 {
        self.queue.audit_state().unwrap().signed
    }

    async fn set_number(&self, setting: Setting, value: i64) {
        let set = self.queue.set_setting(setting, Some(value), "ada");
        set.await.unwrap();
    }

    fn verified(&self) -> Result<Verified, Finding> {
        let trust = Trust {
            keys: vec![signer().public().clone()],
            anchors: Vec::new(),
        };
        verify_audit(&self.path(), trust).unwrap()
    }
}

fn signer() -> Signer {
    Signer::new(&Key::new([9; 32]))
}

fn from_elsewhere() -> Entrance {
    Entrance {
        transport: "streamable_http",
        address: Some([192, 0, 2, 7].into()),
    }
}

async fn a_call_is_recorded_with_its_arguments_and_no_secret(world: World) {
    let called = NewJob {
        arguments: arguments(json!({"pin": 1234, "b": {"z": 1, "a": 2}})),
        secret: vec!["pin".into()],
        entrance: Some(from_elsewhere()),
        ..job()
    };
    world.submit(called.clone()).await;
    let large = arguments(json!({"text": "x".repeat(5_000)}));
    world
        .submit(NewJob {
            arguments: large,
            ..job()
        })
        .await;
    let [first, second] = world.audited("job.queued").try_into().unwrap();
    let digest = DigestKey::new(&Key::new([7; 32]))
        .digest(&canonical::call(&called.tool, &called.arguments));
    assert_eq!(
        first,
        format!(
            r#"local {{"address":"192.0.2.7","approval":false,"arguments":{{"b":{{"a":2,"z":1}},"pin":"[redacted]"}},"arguments_digest":"{}","lane":"math","policy":"","rules":["builtin"],"run_at":null,"source":"call","tool":"math__add","transport":"streamable_http","via":"call"}}"#,
            canonical::hex(&digest)
        )
    );
    assert!(
        second.contains(r#""arguments":{"omitted_bytes":5011}"#),
        "{second}"
    );
    assert_eq!(world.broken_audit(), None);
}

async fn a_denied_call_is_recorded_as_one_that_was_not(world: World) {
    let decided = Decided {
        agent: "ci".into(),
        tool: "math__add".into(),
        rules: vec!["r".into()],
        policy: Some("hash".into()),
        via: Via::Schedule,
        entrance: None,
        arguments: arguments(json!({"a": 1, "pin": 1234})),
        secret: vec!["pin".into()],
    };
    world
        .queue
        .record_denial(decided, "not_allowed")
        .await
        .unwrap();
    let [said] = world.audited("call.denied").try_into().unwrap();
    assert!(
        said.starts_with(
            r#"ci {"address":null,"arguments":{"a":1,"pin":"[redacted]"},"arguments_digest":""#
        ),
        "{said}"
    );
    assert!(
        said.ends_with(
            r#","code":"not_allowed","policy":"hash","rules":["r"],"tool":"math__add","transport":null,"via":"schedule"}"#
        ),
        "{said}"
    );
    assert_eq!(world.broken_audit(), None);
}

async fn a_digest_tells_calls_apart_and_nothing_else(world: World) {
    for pin in [1, 1, 2] {
        let arguments = arguments(json!({ "pin": pin }));
        world.submit(NewJob { arguments, ..job() }).await;
    }
    let digests: Vec<_> = world
        .audited("job.queued")
        .iter()
        .map(|said| {
            let (_, data) = said.split_once(' ').unwrap();
            serde_json::from_str::<Value>(data).unwrap()["arguments_digest"].clone()
        })
        .collect();
    assert!(digests[0] == digests[1] && digests[1] != digests[2]);
    // What can be made without the key, such as the digest that finds a job again, does not say it.
    let guessed = canonical::hex(&canonical::digest(
        "math__add",
        &arguments(json!({"pin": 1})),
    ));
    assert_ne!(digests[0], json!(guessed));
}

async fn workers_that_come_and_go_are_recorded(world: World) {
    world.register("w").await;
    world.submit(job()).await;
    world.claim("w").await;
    world.queue.release_all("w").await.unwrap();
    world.queue.release_all("w").await.unwrap();
    assert_eq!(
        world.audited("worker.started"),
        [r#"worker:w {"host":"host","managed":true,"version":"1.0"}"#]
    );
    assert_eq!(
        world.audited("worker.stopped"),
        [r#"worker:w {"jobs":1,"lost":false}"#]
    );
    assert_eq!(world.broken_audit(), None);
}

async fn a_checkpoint_is_made_after_so_many_records(world: World) {
    world.set_number(Setting::AuditCheckpointRecords, 3).await;
    world.submit(job()).await;
    let due = Some(START.plus(Duration::from_mins(1)));
    assert_eq!((world.sign_if_due().await, world.signed()), (due, 0));
    world.submit(job()).await;
    assert_eq!((world.sign_if_due().await, world.signed()), (None, 3));
    assert_eq!(
        (world.sign_if_due().await, world.signed()),
        (None, 3),
        "nothing to sign"
    );
    assert_eq!(world.verified().unwrap().signed, 3);
}

async fn a_checkpoint_is_made_after_so_long(world: World) {
    let minute = Duration::from_mins(1);
    world.submit(job()).await;
    world.clock.advance(minute / 2);
    world.submit(job()).await;
    assert_eq!(world.sign_if_due().await, Some(START.plus(minute)));
    world.clock.advance(minute / 2);
    let patient = world.queue.sign_audit(&signer(), minute).await.unwrap();
    assert_eq!((patient, world.signed()), (Some(START.plus(2 * minute)), 0));
    assert_eq!((world.sign_if_due().await, world.signed()), (None, 2));
    // Where the clock has been set back, the time of a record may never come again.
    world.submit(job()).await;
    world.clock.set(START);
    assert_eq!((world.sign_if_due().await, world.signed()), (None, 3));
}

async fn processes_that_sign_at_once_make_one_checkpoint(world: World) {
    world.submit(job()).await;
    world.clock.advance(Duration::from_mins(2));
    let others = [world.second(), world.second(), world.second()];
    for queue in &others {
        queue.sign_audit(&signer(), NO_PATIENCE).await.unwrap();
    }
    let found = world.verified().unwrap();
    assert_eq!((found.checkpoints, found.signed), (1, 1));
}

async fn chains_that_several_processes_write_and_sign_hold(world: World) {
    const EACH: i64 = 40;
    world.set_number(Setting::AuditCheckpointRecords, 7).await;
    let queues: Vec<_> = (0..4).map(|_| world.second()).collect();
    let writers = queues.into_iter().map(|queue| {
        std::thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.build().unwrap().block_on(async {
                for _ in 0..EACH {
                    while let Err(error) = queue.submit(job()).await {
                        assert!(error.is_transient(), "{error}");
                    }
                    while let Err(error) = queue.sign_audit(&signer(), NO_PATIENCE).await {
                        assert!(error.is_transient(), "{error}");
                    }
                }
            });
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.join().unwrap();
    }
    let found = world.verified().unwrap();
    assert_eq!(found.last, 4 * EACH + 1);
    assert!(found.checkpoints > 10, "{found:?}");
    assert!(found.signed > found.last - 7, "{found:?}");
}

async fn whatever_is_done_to_the_database_is_found(world: World) {
    for _ in 0..5 {
        world.submit(job()).await;
    }
    world.sign().await;
    for _ in 0..3 {
        world.submit(job()).await;
    }
    let (chain, hash) = (world.queue.audit_state().unwrap().chain, [1; 32]);
    let forged = |key: u8, chain: &str| {
        let tip = Tip {
            chain,
            seq: 5,
            hash: &hash,
        };
        let forger = Signer::new(&Key::new([key; 32]));
        let made = Checkpoint::sign(&forger, tip, START);
        format!(
            "UPDATE audit_checkpoints SET hash = x'{}', chain = '{}', at = {}, key = '{}', signature = x'{}'",
            canonical::hex(&made.hash),
            made.chain,
            made.at.as_millis(),
            made.key,
            canonical::hex(&made.signature)
        )
    };
    let other = "c2".to_owned();
    let rows = [
        ("UPDATE audit SET agent = 'nobody' WHERE seq = 3".to_owned(), 3, Problem::Altered),
        ("UPDATE audit SET data = '{\"a\": 1}' WHERE seq = 3".to_owned(), 3, Problem::NotCanonical),
        (
            "UPDATE audit SET seq = 100 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = 100".to_owned(),
            2,
            Problem::Altered,
        ),
        ("DELETE FROM audit WHERE seq = 3".to_owned(), 3, Problem::Displaced { found: 4 }),
        (
            "INSERT INTO audit SELECT 9, at, kind, agent, job, data, hash FROM audit WHERE seq = 8".to_owned(),
            9,
            Problem::Altered,
        ),
        ("DELETE FROM audit WHERE seq > 4".to_owned(), 5, Problem::Truncated { signed: 5 }),
        ("UPDATE audit_checkpoints SET at = at + 1".to_owned(), 5, Problem::Forged),
        ("UPDATE audit_checkpoints SET signature = zeroblob(64)".to_owned(), 5, Problem::Forged),
        (
            forged(8, &chain),
            5,
            Problem::WrongKey { key: Signer::new(&Key::new([8; 32])).public().id().to_owned() },
        ),
        (forged(9, &other), 5, Problem::OtherChain { chain: other.clone() }),
        (forged(9, &chain), 5, Problem::Rewritten { since: 1 }),
        ("UPDATE audit_chain SET chain = 'c2'".to_owned(), 5, Problem::OtherChain { chain: chain.clone() }),
        ("UPDATE audit_checkpoints SET seq = 0".to_owned(), 0, Problem::Forged),
    ];
    assert_eq!(world.verified().unwrap().signed, 5);
    let pristine = world.directory.path().join("pristine.db");
    backup(&world.path(), &pristine).unwrap();
    for (n, (tamper, record, problem)) in rows.into_iter().enumerate() {
        let path = world.directory.path().join(format!("tampered-{n}.db"));
        std::fs::copy(&pristine, &path).unwrap();
        rusqlite::Connection::open(&path)
            .unwrap()
            .execute_batch(&tamper)
            .unwrap();
        let trust = Trust {
            keys: vec![signer().public().clone()],
            anchors: Vec::new(),
        };
        let found = verify_audit(&path, trust.clone()).unwrap().unwrap_err();
        assert_eq!(
            (found.record, &found.problem),
            (record, &problem),
            "{tamper}"
        );
        assert_eq!(
            check(&path, trust).unwrap().broken_audit,
            Some(found),
            "{tamper}"
        );
    }
}

async fn an_export_can_be_verified(world: World) {
    for _ in 0..5 {
        world.submit(job()).await;
    }
    world.sign().await;
    world.submit(job()).await;
    let (mut text, mut after) = (String::new(), 0);
    loop {
        let piece = world.queue.audit_piece(after, 2).await.unwrap();
        if after == 0 {
            text = piece.heading.line() + "\n";
        }
        let Some((last, _)) = piece.records.last() else {
            break;
        };
        after = last.seq;
        for (record, checkpoint) in &piece.records {
            text += &(record_line(&record.record(), &record.hash) + "\n");
            if let Some(checkpoint) = checkpoint {
                text += &(checkpoint.line() + "\n");
            }
            assert!(cef_line(&record.record(), &record.hash).contains("|job.queued|"));
        }
    }
    let trust = Trust {
        keys: vec![signer().public().clone()],
        anchors: Vec::new(),
    };
    let found = verify_export(text.as_bytes(), trust.clone())
        .unwrap()
        .unwrap();
    assert_eq!((found.last, found.signed, found.checkpoints), (6, 5, 1));
    assert_eq!(world.queue.verify_audit(trust).await.unwrap(), Ok(found));

    let later = world.queue.audit_piece(4, 10).await.unwrap();
    assert_eq!(later.heading.from, 5);
    let beyond = world.queue.audit_piece(i64::MAX, 10).await.unwrap();
    assert_eq!(beyond.records, []);
    let since = world.queue.audit_before(START.plus(Duration::from_secs(1)));
    assert_eq!(since.await.unwrap(), 5);
    let never = world
        .queue
        .audit_before(START.plus(Duration::from_hours(1)));
    assert_eq!(never.await.unwrap(), 6);
}

async fn records_are_searched_in_pages(world: World) {
    let first = world.submit(job()).await;
    world.set_number(Setting::RetentionJobs, 5).await;
    world.clock.advance(Duration::from_secs(10));
    world
        .submit(NewJob {
            tool: "math__sub".into(),
            agent: "ci".into(),
            ..job()
        })
        .await;
    let search = |filter: AuditFilter| async {
        let page = world.queue.search_audit(filter).await.unwrap();
        let found: Vec<_> = page.records.iter().map(|record| record.seq).collect();
        (found, page.next)
    };
    let all = || AuditFilter {
        limit: 10,
        ..AuditFilter::default()
    };
    let some = |text: &str| Some(text.to_owned());
    let later = Some(START.plus(Duration::from_secs(10)));
    let rows = [
        (all(), vec![3, 2, 1]),
        (
            AuditFilter {
                agent: some("ci"),
                ..all()
            },
            vec![3],
        ),
        (
            AuditFilter {
                tool: some("math__add"),
                ..all()
            },
            vec![1],
        ),
        (
            AuditFilter {
                kind: some("job"),
                ..all()
            },
            vec![3, 1],
        ),
        (
            AuditFilter {
                kind: some("setting.changed"),
                ..all()
            },
            vec![2],
        ),
        (
            AuditFilter {
                kind: some("jo"),
                ..all()
            },
            vec![],
        ),
        (
            AuditFilter {
                job: some(first.as_str()),
                ..all()
            },
            vec![1],
        ),
        (
            AuditFilter {
                since: later,
                ..all()
            },
            vec![3],
        ),
        (
            AuditFilter {
                until: later,
                ..all()
            },
            vec![2, 1],
        ),
    ];
    for (filter, expected) in rows {
        let asked = format!("{filter:?}");
        assert_eq!(search(filter).await, (expected, None), "{asked}");
    }
    let two = AuditFilter { limit: 2, ..all() };
    assert_eq!(search(two.clone()).await, (vec![3, 2], Some(2)));
    let rest = AuditFilter {
        before: Some(2),
        ..two
    };
    assert_eq!(search(rest).await, (vec![1], None));
}

async fn an_anchor_is_owed_the_newest_checkpoint(world: World) {
    assert_eq!(world.queue.unanchored().unwrap(), None);
    world.submit(job()).await;
    world.sign().await;
    world.submit(job()).await;
    world.sign().await;
    let owed = world.queue.unanchored().unwrap().unwrap();
    assert_eq!(owed.seq, 2);
    assert!(owed.is_signed_by(signer().public()));
    world
        .queue
        .note_anchor(2, Err("no route".into()))
        .await
        .unwrap();
    let state = world.queue.audit_state().unwrap();
    assert_eq!(
        (state.anchored, state.anchor_error.as_deref(), state.signed),
        (None, Some("no route"), 2)
    );
    assert_eq!(world.queue.unanchored().unwrap(), Some(owed));
    world.queue.note_anchor(2, Ok(())).await.unwrap();
    let state = world.queue.audit_state().unwrap();
    assert_eq!((state.anchored, state.anchor_error), (Some(2), None));
    assert_eq!(world.queue.unanchored().unwrap(), None);
}

async fn without_a_record_nothing_happens(world: World) {
    let (queued, running) = (
        world.submit(in_lane("a")).await,
        world.submit(in_lane("b")).await,
    );
    let first = world.claim_as_hold("w").await;
    let jobs = |state: &str| -> i64 {
        let sql = format!("SELECT count(*) FROM {state}");
        world.sql().query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    let before = [
        "jobs",
        "attempts",
        "job_events",
        "settings",
        "pauses",
        "audit",
    ]
    .map(jobs);
    world
        .sql()
        .execute_batch(
            "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(FAIL, 'no room'); END",
        )
        .unwrap();
    let queue = &world.queue;
    assert!(queue.submit(job()).await.is_err());
    assert!(queue.claim("w2").await.is_err());
    assert!(world.finish(&first, Outcome::Succeeded).await.is_err());
    assert!(queue.cancel(&running, "ada", None).await.is_err());
    assert!(
        queue
            .set_setting(Setting::JobAttempts, Some(2), "ada")
            .await
            .is_err()
    );
    let decided = Decided {
        agent: "ci".into(),
        tool: "math__add".into(),
        rules: Vec::new(),
        policy: None,
        via: Via::Call,
        entrance: None,
        arguments: Map::new(),
        secret: Vec::new(),
    };
    assert!(queue.record_denial(decided, "not_allowed").await.is_err());
    assert_eq!(
        [
            "jobs",
            "attempts",
            "job_events",
            "settings",
            "pauses",
            "audit"
        ]
        .map(jobs),
        before
    );
    let states = [&queued, &running].map(|id| world.job(id).state);
    assert_eq!(states, [StateName::Running, StateName::Queued]);
    world.sql().execute_batch("DROP TRIGGER full").unwrap();
    world.finish(&first, Outcome::Succeeded).await.unwrap();
    assert_eq!(world.broken_audit(), None);
}
