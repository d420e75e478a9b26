use super::agents::{BY, HOUR, HOUR_MS, groups};
use super::*;
use crate::agent::LOCAL;

conformance!(
    a_key_stands_for_its_agent_as_long_as_it_lives,
    a_rotated_key_lives_for_the_overlap_and_no_longer_than_it_would_have,
    a_rotation_without_overlap_ends_the_old_keys_at_once,
    one_key_is_revoked_and_the_others_stay,
    the_last_use_is_noted,
    live_keys_are_found_in_a_file,
);

/// A key whose digest follows from its id.
pub(super) fn key(id: &str, lifetime: Option<Duration>) -> NewKey {
    NewKey {
        id: id.into(),
        digest: digest(id),
        prefix: "smcp_abcd".into(),
        lifetime,
    }
}

pub(super) fn digest(id: &str) -> [u8; 32] {
    crate::canonical::digest(id, &Map::new())
}

impl World {
    /// Adds an agent of the group `ci` that may have two jobs running.
    pub(super) async fn add(&self, name: &str, id: &str, lifetime: Option<Duration>) {
        let agent = NewAgent {
            name: name.into(),
            groups: groups(["ci"]),
            max_running: Some(2),
        };
        let added = self.queue.add_agent(agent, key(id, lifetime), BY);
        added.await.unwrap();
    }

    /// Whom that key stands for.
    pub(super) fn bearer(&self, id: &str) -> Option<String> {
        let bearer = self.queue.bearer(&digest(id)).unwrap();
        let live = self.queue.key_is_live(id).unwrap();
        assert_eq!(bearer.is_some(), live, "{id}");
        bearer.map(|bearer| bearer.agent)
    }
}

async fn a_key_stands_for_its_agent_as_long_as_it_lives(world: World) {
    world.add("ada", "1", Some(HOUR)).await;
    world.add("bob", "2", None).await;
    assert_eq!(world.bearer("1").as_deref(), Some("ada"));
    assert_eq!(
        world.second().bearer(&digest("2")).unwrap().unwrap().agent,
        "bob"
    );
    assert_eq!(world.bearer("3"), None);
    world.clock.advance(Duration::from_millis(HOUR_MS - 1));
    assert_eq!(world.bearer("1").as_deref(), Some("ada"));
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(world.bearer("1"), None, "expired");
    let agent = world.queue.agent("ada").unwrap();
    assert_eq!((agent.max_running, agent.built_in), (Some(2), false));
    let [shown] = &agent.keys[..] else {
        panic!("{agent:?}")
    };
    assert_eq!(
        (shown.live, shown.expires_at, shown.prefix.as_str()),
        (false, Some(START.plus(HOUR)), "smcp_abcd")
    );
    let again = NewAgent {
        name: "bob".into(),
        groups: BTreeSet::new(),
        max_running: None,
    };
    let again = world.queue.add_agent(again, key("4", None), BY).await;
    assert!(matches!(again, Err(QueueError::AgentExists(name)) if name == "bob"));
    assert_eq!(world.bearer("4"), None);
}

async fn a_rotated_key_lives_for_the_overlap_and_no_longer_than_it_would_have(world: World) {
    world.add("ada", "short", Some(HOUR / 2)).await;
    let rotated = world.queue.rotate_key("ada", key("long", None), HOUR, BY);
    let rotated = rotated.await.unwrap();
    assert_eq!(rotated.replaced, ["short"]);
    let rotated = world
        .queue
        .rotate_key("ada", key("new", Some(2 * HOUR)), HOUR, BY);
    let rotated = rotated.await.unwrap();
    assert_eq!(
        rotated,
        Rotated {
            expires_at: Some(START.plus(2 * HOUR)),
            replaced: vec!["long".into(), "short".into()],
            replaced_until: START.plus(HOUR),
        }
    );
    let live = || ["short", "long", "new"].map(|id| world.bearer(id).is_some());
    assert_eq!(live(), [true, true, true]);
    world.clock.advance(HOUR / 2);
    assert_eq!(live(), [false, true, true]);
    world.clock.advance(HOUR / 2);
    assert_eq!(live(), [false, false, true]);
    world.clock.advance(HOUR);
    assert_eq!(live(), [false, false, false]);
}

async fn a_rotation_without_overlap_ends_the_old_keys_at_once(world: World) {
    world.add("ada", "old", None).await;
    let rotated = world
        .queue
        .rotate_key("ada", key("new", None), Duration::ZERO, BY);
    rotated.await.unwrap();
    assert_eq!(world.bearer("old"), None);
    assert_eq!(world.bearer("new").as_deref(), Some("ada"));
    assert_eq!(
        world.audited("key.revoked"),
        [r#"operator {"agent":"ada","key":"old"}"#]
    );
    for (agent, expected) in [("eve", "no agent"), (LOCAL, "no agent")] {
        let refused = world
            .queue
            .rotate_key(agent, key("x", None), HOUR, BY)
            .await;
        assert!(
            refused.unwrap_err().to_string().contains(expected),
            "{agent}"
        );
    }
}

async fn one_key_is_revoked_and_the_others_stay(world: World) {
    world.add("ada", "1", None).await;
    world.add("bob", "2", None).await;
    let rotated = world
        .queue
        .rotate_key("ada", key("3", None), HOUR, BY)
        .await;
    rotated.unwrap();
    assert!(world.queue.revoke_key("ada", "1", BY).await.unwrap());
    assert!(!world.queue.revoke_key("ada", "1", BY).await.unwrap());
    assert_eq!(world.bearer("1"), None);
    assert_eq!(world.bearer("3").as_deref(), Some("ada"));
    let foreign = world.queue.revoke_key("ada", "2", BY).await;
    assert!(matches!(foreign, Err(QueueError::NoSuchKey { .. })));
    assert_eq!(world.bearer("2").as_deref(), Some("bob"));
    let nobody = world.queue.revoke_key("eve", "2", BY).await;
    assert!(matches!(nobody, Err(QueueError::NoSuchAgent(_))));
}

async fn the_last_use_is_noted(world: World) {
    world.add("ada", "1", None).await;
    let last = || {
        world
            .queue
            .bearer(&digest("1"))
            .unwrap()
            .unwrap()
            .last_used_at
    };
    assert_eq!(last(), None);
    world.clock.advance(HOUR);
    world.queue.note_key_use("1").await.unwrap();
    assert_eq!(last(), Some(START.plus(HOUR)));
    assert_eq!(
        world.queue.agent("ada").unwrap().keys[0].last_used_at,
        last()
    );
}

async fn live_keys_are_found_in_a_file(world: World) {
    let found = || any_key_is_live(&world.path(), world.queue.clock().now()).unwrap();
    assert!(!found());
    world.add("ada", "1", Some(HOUR)).await;
    assert!(found());
    world.clock.advance(HOUR);
    assert!(!found(), "expired");
    let nothing = world.path().with_file_name("nothing.db");
    assert!(any_key_is_live(&nothing, START).is_err());
}
