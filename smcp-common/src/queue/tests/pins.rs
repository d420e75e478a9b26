use super::catalogue::plugin;
use super::*;
use crate::plugin::{Integrity, Sight};

conformance!(
    a_changed_plugin_is_accepted_once_it_has_been_looked_at,
    a_served_plugin_is_accepted_without_being_described_again,
    an_operators_word_stands_against_a_scan_that_began_before,
    the_first_scan_with_pins_accepts_what_it_finds,
    what_has_changed_again_is_not_accepted,
    a_scan_of_somebody_else_accepts_nothing,
);

fn quarantined(name: &str, digest: &str, accepted: Option<&str>) -> Plugin {
    let accepted = accepted.map(ToOwned::to_owned);
    Plugin {
        integrity: Some(Integrity::Quarantined { accepted }),
        ..plugin(name, digest)
    }
}

fn accepted(name: &str, digest: &str) -> Plugin {
    Plugin {
        integrity: Some(Integrity::Accepted),
        ..plugin(name, digest)
    }
}

fn new_pin(name: &str, sight: Sight, replaced: Option<&str>) -> NewPin {
    NewPin {
        plugin: name.to_owned(),
        sight,
        replaced: replaced.map(ToOwned::to_owned),
    }
}

async fn scan(world: &World, plugins: Vec<Plugin>, pinned: Pinned) -> bool {
    world.queue.want_scan("ada").await.unwrap();
    let wanted = world.queue.take_scan("w").await.unwrap().unwrap();
    let done = world
        .queue
        .finish_pinned_scan("w", wanted, plugins, Vec::new(), pinned);
    done.await.unwrap()
}

/// A plugin `a` that was accepted as `1`, and is quarantined as `2`.
async fn changed(world: &World) {
    let pinned = Pinned {
        accepted: vec![new_pin("a", Sight::FirstUse, None)],
        reviewed: Vec::new(),
    };
    scan(world, vec![accepted("a", "1")], pinned).await;
    let found = vec![quarantined("a", "2", Some("1"))];
    scan(world, found, Pinned::default()).await;
}

async fn accept(world: &World, plugin: &str, digest: &str) -> Acceptance {
    let accepted = world.queue.accept_plugin(plugin, digest, "ada");
    accepted.await.unwrap()
}

async fn the_first_scan_with_pins_accepts_what_it_finds(world: World) {
    assert_eq!(world.queue.pins().unwrap(), Pins::default());
    let pinned = Pinned {
        accepted: vec![new_pin("a", Sight::FirstUse, None)],
        reviewed: Vec::new(),
    };
    scan(&world, vec![accepted("a", "1")], pinned).await;
    let pins = world.queue.pins().unwrap();
    assert_eq!(pins.since, Some(START));
    let pin = world.queue.pin("a").unwrap().unwrap();
    assert_eq!(pins.accepted["a"], pin);
    assert_eq!((pin.digest.as_str(), pin.by.as_str()), ("1", "worker:w"));
    assert_eq!(pin.described, Some(plugin("a", "1")));
    world.clock.advance(Duration::from_secs(1));
    scan(&world, vec![accepted("a", "1")], Pinned::default()).await;
    assert_eq!(
        world.queue.pins().unwrap().since,
        Some(START),
        "once for all"
    );
    assert_eq!(
        world.audited("plugin.pinned"),
        [r#"worker:w {"digest":"1","plugin":"a","replaced":null,"sight":"first_use"}"#]
    );
    assert_eq!(world.broken_audit(), None);
}

async fn a_changed_plugin_is_accepted_once_it_has_been_looked_at(world: World) {
    changed(&world).await;
    let found = vec![quarantined("a", "2", Some("1"))];
    scan(&world, found.clone(), Pinned::default()).await;
    assert_eq!(
        world.audited("plugin.quarantined"),
        [r#"worker:w {"accepted":"1","digest":"2","plugin":"a"}"#],
        "recorded once"
    );
    assert_eq!(accept(&world, "a", "2").await, Acceptance::NotReviewed);

    world.queue.ask_review("a", "2", "ada").await.unwrap();
    let asked = world.queue.pins().unwrap().reviews;
    assert_eq!(asked, [("a".to_owned(), "2".to_owned())].into());
    assert_eq!(world.queue.review("a", "2").unwrap(), None);
    let pinned = Pinned {
        accepted: Vec::new(),
        reviewed: vec![plugin("a", "2")],
    };
    scan(&world, found, pinned).await;
    assert_eq!(world.queue.pins().unwrap().reviews, [].into());
    assert_eq!(
        world.queue.review("a", "2").unwrap(),
        Some(plugin("a", "2"))
    );

    let before = world.queue.newest_scan().unwrap();
    let replaced = Some("1".to_owned());
    let scan = before + 1;
    assert_eq!(
        accept(&world, "a", "2").await,
        Acceptance::Accepted { replaced, scan }
    );
    assert!(world.queue.wants_scan().unwrap(), "which serves it again");
    let pin = world.queue.pin("a").unwrap().unwrap();
    assert_eq!((pin.digest.as_str(), pin.by.as_str()), ("2", "ada"));
    assert_eq!(pin.described, Some(plugin("a", "2")));
    assert_eq!(world.queue.review("a", "2").unwrap(), None);
    assert_eq!(accept(&world, "a", "2").await, Acceptance::AlreadyAccepted);
    assert_eq!(
        world.audited("plugin.accepted"),
        [r#"ada {"digest":"2","plugin":"a","replaced":"1"}"#]
    );
    assert_eq!(world.broken_audit(), None);
}

async fn what_has_changed_again_is_not_accepted(world: World) {
    changed(&world).await;
    world.queue.ask_review("a", "2", "ada").await.unwrap();
    let pinned = Pinned {
        accepted: Vec::new(),
        reviewed: vec![plugin("a", "2")],
    };
    scan(&world, vec![quarantined("a", "3", Some("1"))], pinned).await;
    assert_eq!(
        accept(&world, "a", "2").await,
        Acceptance::DigestChanged("3".to_owned())
    );
    assert_eq!(accept(&world, "a", "3").await, Acceptance::NotReviewed);
    assert_eq!(accept(&world, "b", "3").await, Acceptance::NoSuchPlugin);
    assert_eq!(
        world.queue.accepted_digest("a").unwrap(),
        Some("1".to_owned())
    );
    assert_eq!(world.audited("plugin.accepted"), [""; 0]);
}

async fn a_served_plugin_is_accepted_without_being_described_again(world: World) {
    let found = Plugin {
        integrity: Some(Integrity::Changed {
            accepted: "0".to_owned(),
        }),
        ..plugin("a", "1")
    };
    scan(&world, vec![found], Pinned::default()).await;
    assert_eq!(
        world.audited("plugin.changed"),
        [r#"worker:w {"accepted":"0","digest":"1","plugin":"a"}"#]
    );
    assert!(matches!(
        accept(&world, "a", "1").await,
        Acceptance::Accepted { replaced: None, .. }
    ));
    let pin = world.queue.pin("a").unwrap().unwrap();
    assert_eq!(pin.described, Some(plugin("a", "1")));
}

async fn an_operators_word_stands_against_a_scan_that_began_before(world: World) {
    scan(&world, vec![plugin("a", "1")], Pinned::default()).await;
    world.queue.want_scan("ada").await.unwrap();
    let wanted = world.queue.take_scan("w").await.unwrap().unwrap();
    assert!(matches!(
        accept(&world, "a", "1").await,
        Acceptance::Accepted { .. }
    ));
    let pinned = Pinned {
        accepted: vec![new_pin("a", Sight::FirstSight, None)],
        reviewed: Vec::new(),
    };
    let found = vec![accepted("a", "2")];
    let done = world
        .queue
        .finish_pinned_scan("w", wanted, found, Vec::new(), pinned);
    done.await.unwrap();
    assert_eq!(
        world.queue.accepted_digest("a").unwrap(),
        Some("1".to_owned())
    );
    assert!(world.queue.wants_scan().unwrap(), "another scan looks anew");
}

async fn a_scan_of_somebody_else_accepts_nothing(world: World) {
    world.queue.want_scan("ada").await.unwrap();
    let wanted = world.queue.take_scan("w").await.unwrap().unwrap();
    let pinned = Pinned {
        accepted: vec![new_pin("a", Sight::FirstUse, None)],
        reviewed: Vec::new(),
    };
    let found = vec![accepted("a", "1")];
    let done = world
        .queue
        .finish_pinned_scan("late", wanted, found, Vec::new(), pinned);
    assert!(!done.await.unwrap());
    assert_eq!(world.queue.pins().unwrap(), Pins::default());
}
