//! Processes die at random moments while jobs of every kind run. In the end nothing is lost, and nothing was done that
//! must not be done. The bounded form of `smcp-bench torture`, with its jobs and its invariants.

#[expect(dead_code, reason = "the bench prints figures, too")]
#[path = "../../bench/src/torture/books.rs"]
mod books;
#[expect(dead_code, reason = "the bench prints what it finds in other forms")]
#[path = "../../bench/src/torture/invariants.rs"]
mod invariants;
#[path = "../../bench/src/torture/journal.rs"]
mod journal;
#[path = "../../bench/src/torture/orders.rs"]
mod orders;
#[path = "../../bench/src/torture/random.rs"]
mod random;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::{self, JoinHandle};

use serde_json::Value;

use self::books::{Books, open_jobs};
use self::invariants::{Told, invariants};
use self::journal::Journal;
use self::orders::Order;
use self::random::Random;
use crate::world::{World, eventually};

const JOBS: u32 = 80;
const KILLS: usize = 15;
/// Who dies, and after how many lines of the journal; at which instruction is up to the machine.
const SEED: u64 = 0x5eed;

#[test]
fn nothing_is_lost_whoever_dies_when() {
    let world = World::new();
    let plugins = world.path("plugins");
    fs::create_dir_all(plugins.join("torture")).unwrap();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/plugins/torture/cli");
    // A copy: its journal is found from where it is.
    fs::copy(program, plugins.join("torture/cli")).unwrap();
    world.write_outside("journal", "");
    let mut world = world.with_plugins(plugins.display().to_string());
    let (mut random, journal) = (Random::new(SEED), Journal::in_directory(world.data()));
    let mut api = world.api();
    let mut workers = vec![world.worker(), world.worker()];
    world.wait_for_tools();

    let submitter = submit(&world, &mut random);
    for _ in 0..KILLS {
        let lines = journal.lines().unwrap() + 1 + u64::from(random.below(7));
        eventually("jobs run", || {
            (journal.lines().unwrap() >= lines).then_some(())
        });
        match random.below(3) {
            2 => {
                api.kill();
                api = world.api();
            }
            worker => {
                workers.remove(worker as usize).kill();
                workers.push(world.worker());
            }
        }
    }
    let mut told = submitter.join().unwrap();
    assert_eq!(told.acknowledged.len(), JOBS as usize);
    // Whether one of these was hit is chance; this one is.
    told.acknowledged.extend([begun(&world, &journal)]);
    for worker in workers.drain(..) {
        worker.kill();
    }
    let _workers = [world.worker(), world.worker()];
    eventually("every job has ended", || {
        (open_jobs(world.data()).unwrap() == 0).then_some(())
    });
    world.assert_sound();
    let books = Books::read(world.data()).unwrap();
    for invariant in invariants(&books, &journal.read().unwrap(), &told) {
        assert_eq!(invariant.violated, 0, "{invariant:?}");
    }
    let ended_so = |outcome| books.jobs.values().any(|job| job.count(outcome) > 0);
    assert!(ended_so("worker_lost"), "nobody was hit");
    assert!(ended_so("failed"), "nothing was tried again");
}

/// A job that has begun, and does not end for two seconds; with its key.
fn begun(world: &World, journal: &Journal) -> (String, String) {
    let (key, arguments) = ("torture long", r#"{"lane": 0, "nap": "2", "failures": 0}"#);
    let call = [
        "call",
        "torture__read",
        "--args",
        arguments,
        "--key",
        key,
        "--detach",
    ];
    let id = world.smcp_json(&call)["id"].as_str().unwrap().to_owned();
    eventually("it has begun", || {
        let runs = journal.read().unwrap();
        runs.iter().any(|run| run.job == id).then_some(())
    });
    (id, key.to_owned())
}

/// Submits all jobs, each as often as it takes for an API to acknowledge it.
fn submit(world: &World, random: &mut Random) -> JoinHandle<Told> {
    let orders = (0..JOBS).map(|number| Order::random(number, random));
    let commands = orders.map(|order| {
        let request = order.request();
        let (tool, arguments) = (
            request["tool"].as_str().unwrap(),
            request["arguments"].to_string(),
        );
        let how = ["--key", &order.key, "--detach", "--json"];
        let command = world.command(&[&["call", tool, "--args", &arguments], &how[..]].concat());
        (command, order.key)
    });
    let mut commands: Vec<_> = commands.collect();
    thread::spawn(move || {
        let acknowledged = commands
            .iter_mut()
            .map(|(command, key)| (acknowledged(command), key.clone()));
        Told {
            acknowledged: acknowledged.collect(),
            ..Told::default()
        }
    })
}

fn acknowledged(command: &mut Command) -> String {
    eventually("a job is acknowledged", || {
        let output = command.output().unwrap();
        let answer: Value = output
            .status
            .success()
            .then(|| serde_json::from_slice(&output.stdout).unwrap())?;
        Some(answer["id"].as_str().unwrap().to_owned())
    })
}
