//! Processes die at random moments while jobs of every kind run. In the end nothing is lost, and nothing was done that
//! must not be done.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use serde_json::Value;

use crate::naps::{Naps, follow_one_another};
use crate::world::{World, eventually};

const LANES: [&str; 3] = ["sleepy_a", "sleepy_b", "sleepy_c"];
const JOBS: usize = 60;
const KILLS: usize = 15;
const LONGEST_NAP_MS: u32 = 100;
/// Who dies, and after how many lines of the journal; at which instruction is up to the machine.
const SEED: u64 = 0x5eed;

#[test]
fn nothing_is_lost_whoever_dies_when() {
    let world = World::new();
    let plugins = world.path("plugins");
    fs::create_dir(&plugins).unwrap();
    for lane in LANES {
        let sleepy = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/plugins/sleepy");
        symlink(sleepy, plugins.join(lane)).unwrap();
    }
    let mut world = world.with_plugins(plugins.display().to_string());
    let (mut random, naps) = (Random(SEED), Naps::of(&world));
    let mut api = world.api();
    let mut workers = vec![world.worker(), world.worker()];
    world.wait_for_tools();

    let submitter = submit(&world, &naps, &mut random);
    for _ in 0..KILLS {
        let lines = naps.lines().len() + 1 + random.below(7) as usize;
        eventually("jobs run", || (naps.lines().len() >= lines).then_some(()));
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
    let acknowledged = submitter.join().unwrap();
    assert_eq!(acknowledged.len(), JOBS);
    eventually("every job has ended", || {
        let open = "SELECT count(*) FROM jobs WHERE finished_at IS NULL";
        let open: u32 = world.sql().query_row(open, [], |row| row.get(0)).unwrap();
        (open == 0).then_some(())
    });
    world.assert_sound();
    check(&world.sql(), &naps, &acknowledged);
}

/// Submits all jobs, each as often as it takes for an API to acknowledge it; answers their ids.
fn submit(world: &World, naps: &Naps, random: &mut Random) -> JoinHandle<BTreeSet<String>> {
    let commands = (0..JOBS).map(|job| {
        let lane = LANES[random.below(3) as usize];
        let tool = ["nap", "once-nap"][random.below(2) as usize];
        let seconds = f64::from(random.below(LONGEST_NAP_MS)) / 1_000.0;
        let (key, arguments) = (
            format!("job {job}"),
            naps.lasting(seconds, &format!("{job}")),
        );
        world.command(&[
            "call",
            &format!("{lane}__{tool}"),
            "--args",
            &arguments.to_string(),
            "--key",
            &key,
            "--detach",
            "--json",
        ])
    });
    let mut commands: Vec<_> = commands.collect();
    thread::spawn(move || commands.iter_mut().map(acknowledged).collect())
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

/// A job as it is on the books in the end.
struct Books {
    id: String,
    label: String,
    state: String,
    effect: String,
    max_attempts: u32,
    attempts: u32,
    lost: u32,
    unended: u32,
    successes: u32,
    ends: u32,
}

fn check(sql: &Connection, naps: &Naps, acknowledged: &BTreeSet<String>) {
    let jobs = books(sql);
    let ids: BTreeSet<_> = jobs.iter().map(|job| job.id.clone()).collect();
    assert_eq!(&ids, acknowledged, "each job is there, and once");
    for job in &jobs {
        let starts = naps.told(&job.label, "start").len();
        let ran_to_its_end = !naps.told(&job.label, "end").is_empty();
        let (state, effect) = (job.state.as_str(), job.effect.as_str());
        let told = format!(
            "job {} ({effect}) is {state}: {} attempts, {} of them lost, {starts} starts",
            job.label, job.attempts, job.lost
        );
        assert_eq!((job.unended, job.ends), (0, 1), "{told}");
        assert!(starts <= job.attempts as usize, "{told}");
        assert!(job.lost <= job.max_attempts, "{told}");
        assert_eq!(job.successes, u32::from(state == "succeeded"), "{told}");
        assert!(state != "succeeded" || ran_to_its_end, "{told}");
        match (effect, state) {
            ("once", "succeeded" | "outcome_unknown") => assert_eq!(job.attempts, 1, "{told}"),
            ("read_only", "succeeded") => assert_eq!(job.attempts, job.lost + 1, "{told}"),
            ("read_only", "failed") => assert_eq!(job.lost, job.max_attempts, "{told}"),
            _ => panic!("{told}"),
        }
    }
    assert!(jobs.iter().any(|job| job.lost > 0), "nobody was hit");
    for lane in LANES {
        let intervals = naps.intervals(lane);
        assert!(follow_one_another(&intervals), "{lane}: {intervals:?}");
    }
}

fn books(sql: &Connection) -> Vec<Books> {
    let mut jobs = sql
        .prepare(
            "SELECT id, arguments ->> 'label', state, effect, max_attempts,
                    (SELECT count(*) FROM attempts WHERE job = num),
                    (SELECT count(*) FROM attempts WHERE job = num AND outcome = 'worker_lost'),
                    (SELECT count(*) FROM attempts WHERE job = num AND ended_at IS NULL),
                    (SELECT count(*) FROM attempts WHERE job = num AND outcome = 'succeeded'),
                    (SELECT count(*) FROM job_events WHERE job = num AND kind = 'finished')
             FROM jobs",
        )
        .unwrap();
    let rows = jobs.query_map([], |row| {
        Ok(Books {
            id: row.get(0)?,
            label: row.get(1)?,
            state: row.get(2)?,
            effect: row.get(3)?,
            max_attempts: row.get(4)?,
            attempts: row.get(5)?,
            lost: row.get(6)?,
            unended: row.get(7)?,
            successes: row.get(8)?,
            ends: row.get(9)?,
        })
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// `SplitMix64`, the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((z ^ (z >> 31)) % u64::from(bound)).unwrap()
    }
}
