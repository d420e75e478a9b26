//! Calls of one plugin run one after the other, those of different plugins side by side.

use serde_json::json;

use crate::naps::{Naps, follow_one_another};
use crate::world::{World, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_one_plugin_never_overlap() {
    let (world, _roles) = World::running();
    let _more = [world.worker(), world.worker(), world.worker()];
    let (client, naps) = (world.client().await, Naps::of(&world));
    eventually("there are four workers", || {
        (world.workers().len() == 4).then_some(())
    });
    let mut jobs = Vec::new();
    for label in ["a", "b", "c"] {
        jobs.push(client.submit("sleepy__nap", naps.lasting(1.0, label)).await);
    }
    for job in &jobs {
        assert_eq!(client.ended(job).await["state"], "succeeded");
    }
    let intervals = naps.intervals("sleepy");
    assert_eq!(intervals.len(), 3);
    assert!(follow_one_another(&intervals), "{intervals:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_two_plugins_overlap() {
    let (world, _roles) = World::running();
    let _second = world.worker();
    let (client, naps) = (world.client().await, Naps::of(&world));
    let jobs = [
        client.submit("sleepy__nap", naps.until_open("a")).await,
        client.submit("sleepy2__nap", naps.until_open("b")).await,
    ];
    // Neither ends before both have started.
    let (a, b) = (naps.started("a"), naps.started("b"));
    assert_eq!([a.plugin, b.plugin], ["sleepy", "sleepy2"]);
    naps.open();
    for job in &jobs {
        assert_eq!(client.ended(job).await["state"], "succeeded");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_is_first_in_first_out_but_for_priority() {
    let (world, _roles) = World::running();
    let _second = world.worker();
    let (client, naps) = (world.client().await, Naps::of(&world));
    let mut jobs = vec![client.submit("sleepy__nap", naps.until_open("first")).await];
    naps.started("first");
    for (label, priority) in [("b", 0), ("c", 0), ("low", -1), ("d", 0), ("high", 7)] {
        let arguments = naps.lasting(0.0, label);
        let request = json!({"tool": "sleepy__nap", "arguments": arguments, "priority": priority});
        let submitted = client.json("jobs__submit", request).await;
        jobs.push(submitted["id"].as_str().unwrap().to_owned());
    }
    naps.open();
    for job in &jobs {
        assert_eq!(client.ended(job).await["state"], "succeeded");
    }
    let mut lines = naps.lines();
    lines.retain(|line| line.event == "start");
    let order: Vec<_> = lines.iter().map(|line| line.label.as_str()).collect();
    assert_eq!(order, ["first", "high", "b", "c", "d", "low"]);
}
