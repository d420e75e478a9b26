use super::*;

conformance!(
    a_scan_is_taken_by_one_worker_and_stored,
    an_unchanged_catalogue_keeps_its_version,
    a_scanner_that_died_is_replaced,
    a_scanner_that_is_no_more_leaves_its_scan,
    attachments_are_kept_per_agent,
);

fn plugin(name: &str, digest: &str) -> Plugin {
    let plugin = json!({
        "name": name, "directory": format!("/p/{name}"), "entry": "cli.py", "digest": digest,
        "interpreter": "/usr/bin/python3", "description": null, "tools": [], "problems": [],
    });
    serde_json::from_value(plugin).unwrap()
}

async fn scan(world: &World, worker: &str, plugins: Vec<Plugin>) -> bool {
    world.queue.want_scan("ada").await.unwrap();
    let wanted = world
        .queue
        .take_scan(worker)
        .await
        .unwrap()
        .expect("a scan is wanted");
    world
        .queue
        .finish_scan(worker, wanted, plugins, vec!["no such directory".into()])
        .await
        .unwrap()
}

async fn a_scan_is_taken_by_one_worker_and_stored(world: World) {
    world.queue.want_scan("ada").await.unwrap();
    let wanted = world
        .queue
        .take_scan("w1")
        .await
        .unwrap()
        .expect("a scan is wanted");
    assert_eq!(
        world.queue.take_scan("w2").await.unwrap(),
        None,
        "one is enough"
    );
    let found = vec![plugin("b", "1"), plugin("a", "1")];
    assert!(
        world
            .queue
            .finish_scan("w1", wanted, found, Vec::new())
            .await
            .unwrap()
    );
    let catalogue = world.queue.catalogue().unwrap();
    assert_eq!(
        (catalogue.scanned, catalogue.version, catalogue.scanned_at),
        (wanted, 1, Some(START))
    );
    assert_eq!(catalogue.plugins, [plugin("a", "1"), plugin("b", "1")]);
    assert_eq!(
        world.queue.take_scan("w2").await.unwrap(),
        None,
        "nothing more is wanted"
    );
}

async fn an_unchanged_catalogue_keeps_its_version(world: World) {
    assert!(scan(&world, "w", vec![plugin("a", "1")]).await);
    assert!(!scan(&world, "w", vec![plugin("a", "1")]).await);
    assert!(scan(&world, "w", vec![plugin("a", "2")]).await);
    assert!(scan(&world, "w", Vec::new()).await);
    let catalogue = world.queue.catalogue().unwrap();
    assert_eq!((catalogue.version, catalogue.plugins.len()), (3, 0));
    assert_eq!(catalogue.problems, ["no such directory"]);
}

async fn a_scanner_that_is_no_more_leaves_its_scan(world: World) {
    world.queue.want_scan("ada").await.unwrap();
    world.queue.take_scan("stopping").await.unwrap().unwrap();
    world.queue.release_all("another").await.unwrap();
    assert_eq!(world.queue.take_scan("dying").await.unwrap(), None);
    world.queue.release_all("stopping").await.unwrap();
    assert!(world.queue.take_scan("dying").await.unwrap().is_some());
    world.queue.lose_worker("dying").await.unwrap();
    assert!(world.queue.take_scan("alive").await.unwrap().is_some());
}

async fn a_scanner_that_died_is_replaced(world: World) {
    world.queue.want_scan("ada").await.unwrap();
    world.queue.take_scan("dead").await.unwrap().unwrap();
    world.clock.advance(Duration::from_secs(121));
    assert!(world.queue.take_scan("alive").await.unwrap().is_some());
}

async fn attachments_are_kept_per_agent(world: World) {
    assert_eq!(world.queue.attachments("ada").unwrap(), None);
    let tools: BTreeSet<_> = ["math__add".to_owned()].into();
    world.queue.attach("ada", tools.clone()).await.unwrap();
    assert_eq!(world.queue.attachments("ada").unwrap(), Some(tools));
    assert_eq!(world.queue.attachments("bob").unwrap(), None);
}
