use serde_json::Map;

use super::*;
use crate::secret::{Plain, SecretError};

conformance!(
    an_agents_own_secret_goes_before_everybodys,
    a_secret_is_neither_in_the_database_nor_in_the_audit,
    a_row_that_was_moved_or_changed_does_not_open,
    a_wrong_key_is_refused_and_harms_nothing,
    a_lost_key_is_forgotten_with_what_it_sealed,
    secret_arguments_are_stored_sealed_and_shown_masked,
    equal_secret_arguments_are_one_deed_also_under_another_key,
    a_rotation_seals_everything_under_a_new_key,
    one_rotation_at_a_time,
    what_an_attempt_hands_over_is_its_agents,
);

const VALUE: &str = "correct horse battery staple";

impl World {
    async fn set_secret(&self, name: &str, agent: Option<&str>, value: &str) -> bool {
        let value = Plain::new(value.into());
        let set = self.queue.set_secret(name, agent, value, "ada").await;
        set.unwrap()
    }

    fn secret(&self, agent: &str, name: &str) -> Option<String> {
        // Another process has not read the key yet.
        let found = self.second().secret_for(agent, name).unwrap();
        found.map(|found| found.reveal().to_owned())
    }

    fn key_file(&self) -> PathBuf {
        self.directory.path().join("secrets.key")
    }

    /// Whether any file of the world has that text.
    fn has(&self, text: &str) -> bool {
        let entries = std::fs::read_dir(self.directory.path()).unwrap();
        let files = entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file());
        let mut files = files.map(|path| std::fs::read(path).unwrap());
        files.any(|bytes| {
            bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        })
    }
}

fn secret_job(token: &str) -> NewJob {
    NewJob {
        arguments: arguments(json!({"user": "ada", "token": token, "days": 3})),
        secret: vec!["token".into(), "absent".into()],
        idempotency_key: Some("k".into()),
        ..job()
    }
}

async fn an_agents_own_secret_goes_before_everybodys(world: World) {
    assert_eq!(world.secret("ada", "T"), None);
    assert!(world.set_secret("T", None, "everybody's").await);
    assert!(world.set_secret("T", Some("ada"), "ada's own").await);
    assert_eq!(world.secret("ada", "T").unwrap(), "ada's own");
    assert_eq!(world.secret("bob", "T").unwrap(), "everybody's");
    world.clock.advance(Duration::from_secs(5));
    assert!(!world.set_secret("T", None, "changed").await);
    assert_eq!(world.secret("bob", "T").unwrap(), "changed");
    let listed = world.queue.secrets().unwrap();
    let shown: Vec<_> = listed
        .iter()
        .map(|secret| (secret.agent.as_deref(), secret.version))
        .collect();
    assert_eq!(shown, [(None, 2), (Some("ada"), 1)]);
    assert_eq!(listed[0].created_at, START);
    assert_eq!(listed[0].updated_at, START.plus(Duration::from_secs(5)));
    assert!(
        world
            .queue
            .remove_secret("T", Some("ada"), "ada")
            .await
            .unwrap()
    );
    assert!(
        !world
            .queue
            .remove_secret("T", Some("ada"), "ada")
            .await
            .unwrap()
    );
    assert_eq!(world.secret("ada", "T").unwrap(), "changed");
}

async fn a_secret_is_neither_in_the_database_nor_in_the_audit(world: World) {
    world.set_secret("T", Some("bob"), VALUE).await;
    world
        .queue
        .remove_secret("T", Some("bob"), "eve")
        .await
        .unwrap();
    world.set_secret("T", None, VALUE).await;
    assert_eq!(
        world.audited("secret.set"),
        [
            r#"ada {"name":"T","scope":"bob"}"#,
            r#"ada {"name":"T","scope":""}"#
        ]
    );
    assert_eq!(
        world.audited("secret.removed"),
        [r#"eve {"name":"T","scope":"bob"}"#]
    );
    assert!(!world.has(VALUE));
    assert_eq!(world.broken_audit(), None);
}

async fn a_row_that_was_moved_or_changed_does_not_open(world: World) {
    world.set_secret("T", Some("ada"), VALUE).await;
    for change in [
        "UPDATE secrets SET scope = ''",
        "UPDATE secrets SET scope = 'ada', name = 'U'",
        "UPDATE secrets SET name = 'T', version = 2",
        "UPDATE secrets SET version = 1, sealed = substr(sealed, 1, 40)",
    ] {
        world.sql().execute(change, []).unwrap();
        let found = ["T", "U"].map(|name| world.queue.secret_for("ada", name));
        let error = found.into_iter().find_map(Result::err).unwrap();
        assert!(
            matches!(error, QueueError::Secret(SecretError::Damaged { .. })),
            "{change}: {error}"
        );
        assert!(!error.is_transient());
    }
}

async fn a_wrong_key_is_refused_and_harms_nothing(world: World) {
    world.set_secret("T", None, VALUE).await;
    let right = std::fs::read(world.key_file()).unwrap();
    std::fs::write(world.key_file(), "0f".repeat(32)).unwrap();
    let other = world.second();
    let refused = other.secret_for("ada", "T").unwrap_err();
    assert!(
        matches!(refused, QueueError::Secret(SecretError::WrongKey { .. })),
        "{refused}"
    );
    let set = other
        .set_secret("U", None, Plain::new(VALUE.into()), "ada")
        .await;
    assert_eq!(set.unwrap_err().to_string(), refused.to_string());
    let rotated = other.rotate_secrets_key("ada").await;
    assert_eq!(rotated.unwrap_err().to_string(), refused.to_string());
    std::fs::write(world.key_file(), right).unwrap();
    assert_eq!(world.secret("ada", "T").unwrap(), VALUE);
}

async fn a_lost_key_is_forgotten_with_what_it_sealed(world: World) {
    world.set_secret("T", None, VALUE).await;
    let waiting = world.submit(secret_job(VALUE)).await;
    std::fs::remove_file(world.key_file()).unwrap();
    let other = world.second();
    let set = async || {
        let value = Plain::new("new one".into());
        other.set_secret("T", None, value, "ada").await
    };
    set().await.unwrap_err();
    other.remove_secret("T", None, "ada").await.unwrap();
    // The job could still run, with the key put back.
    set().await.unwrap_err();
    other.cancel(&waiting, "ada", None).await.unwrap();
    assert!(set().await.unwrap());
    assert_eq!(world.secret("ada", "T").unwrap(), "new one");
    // What is left of the old key is passed over.
    let rotated = other.rotate_secrets_key("ada").await.unwrap();
    assert_eq!((rotated.secrets, rotated.jobs), (1, 0));
}

async fn secret_arguments_are_stored_sealed_and_shown_masked(world: World) {
    world.register("w").await;
    let id = world.submit(secret_job(VALUE)).await;
    let masked = json!({"user": "ada", "token": "[redacted]", "days": 3});
    assert_eq!(world.job(&id).arguments.to_string(), masked.to_string());
    assert!(!world.has(VALUE));
    let claimed = world.claim("w").await.unwrap();
    assert_eq!(json!(claimed.arguments), masked);
    let opened = world.second().open_arguments(&claimed).unwrap();
    assert_eq!(json!(opened), json!({"token": VALUE}));
    let elsewhere = Claimed {
        id: JobId::random(),
        ..claimed
    };
    world.queue.open_arguments(&elsewhere).unwrap_err();
    // Nobody can find out by trying.
    let audited = world.audited("job.queued").concat();
    let plain = crate::canonical::digest("math__add", &secret_job(VALUE).arguments);
    assert!(!audited.contains(&crate::canonical::hex(&plain)));
}

async fn equal_secret_arguments_are_one_deed_also_under_another_key(world: World) {
    let first = world.queue.submit(secret_job(VALUE)).await.unwrap();
    let again = world.queue.submit(secret_job(VALUE)).await.unwrap();
    assert_eq!((&again.id, again.existing), (&first.id, true));
    world.queue.rotate_secrets_key("ada").await.unwrap();
    let again = world.second().submit(secret_job(VALUE)).await.unwrap();
    assert_eq!((&again.id, again.existing), (&first.id, true));
    let other = world.queue.submit(secret_job("another")).await;
    assert!(matches!(other, Err(QueueError::IdempotencyConflict { .. })));
}

async fn a_rotation_seals_everything_under_a_new_key(world: World) {
    world.register("w").await;
    world.set_secret("T", None, VALUE).await;
    world.set_secret("T", Some("ada"), "ada's own").await;
    world.submit(secret_job(VALUE)).await;
    let before = std::fs::read(world.key_file()).unwrap();
    let rotated = world.queue.rotate_secrets_key("op").await.unwrap();
    assert_ne!(rotated.old, rotated.new);
    assert_eq!((rotated.secrets, rotated.jobs), (2, 1));
    assert_ne!(std::fs::read(world.key_file()).unwrap(), before);
    assert_eq!(world.secret("bob", "T").unwrap(), VALUE);
    assert_eq!(world.secret("ada", "T").unwrap(), "ada's own");
    let claimed = world.claim("w").await.unwrap();
    let opened: Map<_, _> = world.queue.open_arguments(&claimed).unwrap();
    assert_eq!(opened["token"], VALUE);
    let told = world.audited("secrets.key_rotated").concat();
    let expected = json!({"new": rotated.new, "old": rotated.old, "secrets": 2});
    assert_eq!(told, format!("op {expected}"));
    // The old key opens nothing any more.
    std::fs::write(world.key_file(), before).unwrap();
    world.second().secret_for("ada", "T").unwrap_err();
}

async fn one_rotation_at_a_time(world: World) {
    world.set_secret("T", None, VALUE).await;
    let (second, third) = (world.second(), world.second());
    let both = tokio::join!(
        second.rotate_secrets_key("a"),
        third.rotate_secrets_key("b")
    );
    let both = [both.0, both.1];
    assert!(both.iter().any(Result::is_ok));
    for refused in both.iter().filter_map(|rotated| rotated.as_ref().err()) {
        assert!(
            matches!(refused, QueueError::Secret(SecretError::Rotating)),
            "{refused}"
        );
    }
    assert_eq!(world.secret("ada", "T").unwrap(), VALUE);
    let entries = std::fs::read_dir(world.directory.path()).unwrap();
    let keys = entries.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name().into_string().unwrap();
        name.starts_with("secrets.key.") && name != "secrets.key.lock"
    });
    assert_eq!(keys.count(), 0);
}

async fn what_an_attempt_hands_over_is_its_agents(world: World) {
    world.register("w").await;
    let job = NewJob {
        agent: "ada".into(),
        ..job()
    };
    let id = world.submit(job).await;
    let hold = world.claim_as_hold("w").await;
    let keep = async |value: &str| {
        let value = Plain::new(value.into());
        world.queue.keep_secret(&hold, "T", value).await
    };
    assert!(keep("the first one").await.unwrap());
    assert!(!keep(VALUE).await.unwrap());
    assert_eq!(world.secret("ada", "T").unwrap(), VALUE);
    assert_eq!(world.secret("bob", "T"), None);
    let listed = world.queue.secrets().unwrap();
    assert_eq!(
        (listed[0].agent.as_deref(), &listed[0].updated_by[..]),
        (Some("ada"), "worker:w")
    );
    let record = r#"worker:w {"name":"T","scope":"ada"}"#;
    assert_eq!(world.audited("secret.set"), [record, record]);
    let of_job: i64 = world
        .sql()
        .query_row(
            "SELECT count(*) FROM audit WHERE kind = 'secret.set' AND job = ?1",
            [id.as_str()],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(of_job, 2);
    assert!(!world.has(VALUE));
    // Who has lost the job stores nothing any more.
    world.finish(&hold, Outcome::Succeeded).await.unwrap();
    let late = keep("of somebody late").await.unwrap_err();
    assert!(matches!(late, QueueError::LeaseLost { .. }), "{late}");
    assert_eq!(world.secret("ada", "T").unwrap(), VALUE);
    assert_eq!(world.broken_audit(), None);
}
