use std::path::PathBuf;

use super::*;

conformance!(
    a_scan_is_taken_by_one_worker_and_stored,
    an_unchanged_catalogue_keeps_its_version,
    a_scanner_that_died_is_replaced,
    a_scanner_that_is_no_more_leaves_its_scan,
    attachments_are_kept_per_agent,
    files_elsewhere_are_told_each_once,
    of_many_that_see_a_change_one_asks_for_a_scan,
    tools_that_are_gone_are_remembered_until_they_are_back,
    what_may_change_a_list_changes_its_state,
);

pub(super) fn plugin(name: &str, digest: &str) -> Plugin {
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
    assert_eq!(
        world.audited("plugins.changed"),
        [
            r#"worker:w {"added":{"a":"1"},"changed":{},"removed":[]}"#,
            r#"worker:w {"added":{},"changed":{"a":"2"},"removed":[]}"#,
            r#"worker:w {"added":{},"changed":{},"removed":["a"]}"#,
        ]
    );
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

async fn files_elsewhere_are_told_each_once(world: World) {
    assert_eq!(
        world.queue.plugin_files().unwrap(),
        [""; 0].map(PathBuf::from)
    );
    let with = |name: &str, files: &[&str]| Plugin {
        files: files.iter().map(PathBuf::from).collect(),
        ..plugin(name, "1")
    };
    let plugins = vec![
        with("a", &["/etc/b", "/etc/a"]),
        with("b", &["/etc/b"]),
        plugin("c", "1"),
    ];
    scan(&world, "w", plugins).await;
    assert_eq!(
        world.queue.plugin_files().unwrap(),
        ["/etc/a", "/etc/b"].map(PathBuf::from)
    );
}

fn offering(name: &str, commands: &[&str]) -> Plugin {
    let commands: Vec<_> = commands.iter().map(|name| json!({"name": name})).collect();
    let manifest = crate::plugin::Manifest::parse(&json!({"commands": commands})).unwrap();
    Plugin {
        tools: manifest.into_tools(name).0,
        ..plugin(name, "1")
    }
}

async fn of_many_that_see_a_change_one_asks_for_a_scan(world: World) {
    let seen = world.queue.newest_scan().unwrap();
    let first = world.queue.want_scan_unless("w1", seen).await.unwrap();
    assert_eq!(first, Some(seen + 1));
    let second = world.queue.want_scan_unless("w2", seen).await.unwrap();
    assert_eq!(second, None, "one is enough");
    let later = world.queue.newest_scan().unwrap();
    let next = world.queue.want_scan_unless("w2", later).await.unwrap();
    assert_eq!(next, Some(seen + 2), "a later change is another one");
    assert_eq!(world.broken_audit(), None);
}

async fn tools_that_are_gone_are_remembered_until_they_are_back(world: World) {
    let retired = |name: &str| world.queue.retired_tool(name).unwrap();
    let gone = |plugin: &str, retired_at| {
        let plugin = plugin.to_owned();
        Some(RetiredTool { plugin, retired_at })
    };
    let both = vec![offering("a", &["x", "y"]), offering("b", &["z"])];
    scan(&world, "w", both.clone()).await;
    assert_eq!(retired("a__x"), None);

    world.clock.advance(Duration::from_secs(1));
    scan(&world, "w", vec![offering("a", &["y"])]).await;
    let then = START.plus(Duration::from_secs(1));
    assert_eq!(retired("a__x"), gone("a", then), "no longer offered");
    assert_eq!(retired("b__z"), gone("b", then), "its plugin is gone");
    assert_eq!((retired("a__y"), retired("never__was")), (None, None));

    world.clock.advance(Duration::from_secs(1));
    scan(&world, "w", vec![offering("a", &["y", "new"])]).await;
    assert_eq!(retired("b__z"), gone("b", then), "gone since then");
    scan(&world, "w", both).await;
    assert_eq!((retired("a__x"), retired("b__z")), (None, None));
    assert_eq!(retired("a__new"), gone("a", world.queue.clock().now()));
}

async fn what_may_change_a_list_changes_its_state(world: World) {
    let start = world.queue.list_state().unwrap();
    scan(&world, "w", vec![plugin("a", "1")]).await;
    let scanned = world.queue.list_state().unwrap();
    assert_ne!(scanned, start);
    scan(&world, "w", vec![plugin("a", "1")]).await;
    assert_eq!(world.queue.list_state().unwrap(), scanned);
    world.queue.attach("ada", BTreeSet::new()).await.unwrap();
    assert_ne!(world.queue.list_state().unwrap(), scanned);
}
