//! The rules in force.

use super::*;
use crate::policy::{Keeper, RuleFile, Unready};

const SECOND: Duration = Duration::from_secs(1);

conformance!(
    rules_are_replaced_as_a_whole_and_recorded,
    what_is_the_same_is_not_accepted_again,
    rules_are_made_ready_once_for_each_change,
    rules_that_mean_nothing_any_more_let_nothing_run,
);

fn rules(text: &str, hash: &str) -> NewPolicies {
    NewPolicies {
        hash: hash.into(),
        zone: "UTC".into(),
        files: vec![RuleFile {
            name: "a.cedar".into(),
            text: text.into(),
        }],
    }
}

const RULE: &str = "@id(\"a\") permit (principal, action, resource);";

async fn rules_are_replaced_as_a_whole_and_recorded(world: World) {
    let before = world.queue.policies().unwrap();
    assert_eq!((before.version, before.files.len()), (0, 0));
    let first = rules(RULE, "one");
    assert!(world.queue.accept_policies(first, "api").await.unwrap());
    world.clock.advance(SECOND);
    let second = NewPolicies {
        files: Vec::new(),
        ..rules("", "two")
    };
    assert!(world.queue.accept_policies(second, "api").await.unwrap());
    let now = world.queue.policies().unwrap();
    assert_eq!(
        (now.version, &*now.hash, now.at),
        (2, "two", START.plus(SECOND))
    );
    assert_eq!(now.files, []);
    assert_eq!(
        world.audited("policy.changed"),
        [
            r#"api {"files":["a.cedar"],"new":"one","old":"","zone":"UTC"}"#,
            r#"api {"files":[],"new":"two","old":"one","zone":"UTC"}"#,
        ]
    );
    assert_eq!(world.broken_audit(), None);
}

async fn what_is_the_same_is_not_accepted_again(world: World) {
    let accept = |new| world.queue.accept_policies(new, "api");
    assert!(accept(rules(RULE, "one")).await.unwrap());
    assert!(!accept(rules(RULE, "one")).await.unwrap());
    // A comment changes no meaning, but places.
    assert!(
        accept(rules(&format!("// A.\n{RULE}"), "one"))
            .await
            .unwrap()
    );
    let elsewhere = NewPolicies {
        zone: "Asia/Tokyo".into(),
        ..rules(&format!("// A.\n{RULE}"), "one")
    };
    assert!(accept(elsewhere).await.unwrap());
    assert_eq!(world.audited("policy.changed").len(), 3);
}

async fn rules_are_made_ready_once_for_each_change(world: World) {
    let keeper = Keeper::new(world.queue.clone(), Vec::new());
    let builtin = keeper.current().unwrap();
    assert!(Arc::ptr_eq(&builtin, &keeper.current().unwrap()));
    world
        .queue
        .accept_policies(rules(RULE, "one"), "api")
        .await
        .unwrap();
    let ours = keeper.current().unwrap();
    assert_ne!(ours.hash(), builtin.hash());
    assert_eq!(ours.files()[0].name, "a.cedar");
    assert!(Arc::ptr_eq(&ours, &keeper.current().unwrap()));

    // Other tools, the same rules.
    let wanted = world.queue.want_scan("ada").await.unwrap();
    world.queue.take_scan("w").await.unwrap();
    let found = vec![Plugin::found("toy", "/p/toy")];
    let finished = world.queue.finish_scan("w", wanted, found, Vec::new());
    assert!(finished.await.unwrap());
    let again = keeper.current().unwrap();
    assert!(!Arc::ptr_eq(&ours, &again));
    assert_eq!(ours.hash(), again.hash());
}

async fn rules_that_mean_nothing_any_more_let_nothing_run(world: World) {
    let keeper = Keeper::new(world.queue.clone(), Vec::new());
    let broken = rules("permit (", "one");
    // Of another version of this program, which knew a zone more.
    let elsewhere = NewPolicies {
        zone: "Mars/Olympus".into(),
        ..rules(RULE, "one")
    };
    for unusable in [broken, elsewhere] {
        world.queue.accept_policies(unusable, "api").await.unwrap();
        for _ in 0..2 {
            assert!(matches!(keeper.current(), Err(Unready::Rules(_))));
        }
    }
    world
        .queue
        .accept_policies(rules(RULE, "two"), "api")
        .await
        .unwrap();
    keeper.current().unwrap();
}
