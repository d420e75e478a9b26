//! Agents take turns, and none has more jobs running than it may.

use super::*;
use crate::job::{Scope, Waiting};

conformance!(
    one_agents_backlog_does_not_keep_the_others_back,
    agents_take_turns_in_each_lane_and_over_all,
    an_agent_served_elsewhere_has_its_turn_in_a_lane,
    within_an_agent_first_come_is_first_served,
    priority_goes_before_turns,
    nothing_is_noted_where_nobody_else_waits,
    an_agent_has_no_more_jobs_running_than_it_may,
    a_claim_passes_over_the_backlog_of_a_full_agent,
    the_place_that_is_told_is_the_place_that_is_had,
    a_claim_seeks_and_does_not_scan,
);

fn of(agent: &str, lane: Option<&str>) -> NewJob {
    NewJob {
        agent: agent.into(),
        lane: lane.map(Into::into),
        ..job()
    }
}

impl World {
    /// Claims a job and ends it; whose it was.
    async fn serve(&self) -> Option<String> {
        let job = self.claim("w").await?;
        let hold = Hold {
            job: job.id,
            attempt: job.attempt,
            worker: "w".into(),
        };
        self.finish(&hold, Outcome::Succeeded).await.unwrap();
        Some(job.agent)
    }

    /// Whose jobs are served next, so many.
    async fn served(&self, times: usize) -> String {
        let mut agents = Vec::new();
        for _ in 0..times {
            agents.push(self.serve().await.expect("there is a job to claim"));
        }
        agents.join(" ")
    }

    fn may_run(&self, agent: &str, jobs: u32) {
        let sql = "INSERT INTO agents (name, groups, max_running, created_at, created_by) VALUES (?1, '[]', ?2, 0, 'operator')";
        self.sql().execute(sql, params![agent, jobs]).unwrap();
    }

    fn turns(&self) -> i64 {
        let sql = "SELECT count(*) FROM turns";
        self.sql().query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

async fn one_agents_backlog_does_not_keep_the_others_back(world: World) {
    for lane in [Some("a"), None] {
        for _ in 0..100 {
            world.submit(of("ada", lane)).await;
        }
        world.clock.advance(Duration::from_millis(1));
        world.submit(of("bob", lane)).await;
        world.clock.advance(Duration::from_millis(1));
        world.submit(of("cyd", lane)).await;
        assert_eq!(world.served(5).await, "ada bob cyd ada ada", "{lane:?}");
        assert_eq!(world.served(95).await, vec!["ada"; 95].join(" "));
    }
}

async fn agents_take_turns_in_each_lane_and_over_all(world: World) {
    for lane in ["a", "b", "c"] {
        for _ in 0..3 {
            world.submit(of("ada", Some(lane))).await;
        }
    }
    for _ in 0..2 {
        world.submit(of("bob", Some("z"))).await;
    }
    world.submit(of("cyd", None)).await;
    assert_eq!(world.served(6).await, "ada bob cyd ada bob ada");
}

/// Whoever is served often in one lane must not wait for long in another.
async fn an_agent_served_elsewhere_has_its_turn_in_a_lane(world: World) {
    for _ in 0..20 {
        world.submit(of("ada", Some("shared"))).await;
    }
    world.submit(of("bob", Some("shared"))).await;
    for _ in 0..20 {
        world.submit(of("bob", Some("own"))).await;
        world.submit(of("cyd", Some("third"))).await;
    }
    let mut in_shared = Vec::new();
    while in_shared.len() < 3 {
        let hold = world.claim_as_hold("w").await;
        let job = world.job(&hold.job);
        if job.lane.as_deref() == Some("shared") {
            // While it runs, the others are served again and again.
            world.served(4).await;
            in_shared.push(job.agent);
        }
        world.finish(&hold, Outcome::Succeeded).await.unwrap();
    }
    assert_eq!(in_shared, ["ada", "bob", "ada"]);
}

async fn within_an_agent_first_come_is_first_served(world: World) {
    let mut submitted = Vec::new();
    for n in 0..6 {
        let plugin = ["math", "text"][n % 2].to_owned();
        let job = NewJob {
            plugin,
            ..of("ada", Some("a"))
        };
        submitted.push(world.submit(job).await);
        world.submit(of("bob", Some("a"))).await;
        world.clock.advance(Duration::from_millis(1));
    }
    let mut claimed = Vec::new();
    while let Some(job) = world.claim("w").await {
        let hold = Hold {
            job: job.id.clone(),
            attempt: job.attempt,
            worker: "w".into(),
        };
        world.finish(&hold, Outcome::Succeeded).await.unwrap();
        claimed.extend((job.agent == "ada").then_some(job.id));
    }
    assert_eq!(claimed, submitted);
}

async fn priority_goes_before_turns(world: World) {
    for priority in [0, 1, 1] {
        let job = NewJob {
            priority,
            ..of("ada", Some("a"))
        };
        world.submit(job).await;
    }
    world.submit(of("bob", Some("a"))).await;
    world.submit(of("bob", Some("a"))).await;
    assert_eq!(world.served(5).await, "ada ada bob ada bob");
}

async fn nothing_is_noted_where_nobody_else_waits(world: World) {
    for _ in 0..3 {
        world.submit(of("ada", Some("a"))).await;
    }
    world.serve().await;
    assert_eq!(world.turns(), 0);
    world.submit(of("bob", Some("a"))).await;
    world.serve().await;
    assert_eq!(world.turns(), 2, "in the lane, and over all");
    world.served(2).await;
    assert_eq!(world.turns(), 0, "and forgotten");
}

async fn an_agent_has_no_more_jobs_running_than_it_may(world: World) {
    world.register("w1").await;
    world.may_run("ada", 2);
    let mut jobs = Vec::new();
    for _ in 0..4 {
        jobs.push(world.submit(of("ada", None)).await);
    }
    let first = world.claim_as_hold("w1").await;
    assert_eq!(
        world.why(&jobs[1]).await,
        [Waiting::WorkersBusy {
            workers: 1,
            position: 1
        }]
    );
    world.claim_as_hold("w2").await;
    assert_eq!(world.claim("w3").await, None);
    let agent_busy = Waiting::AgentBusy {
        agent: "ada".into(),
        running: 2,
    };
    assert_eq!(world.why(&jobs[2]).await, std::slice::from_ref(&agent_busy));
    let message = agent_busy.message(START);
    assert_eq!(
        message,
        "Agent 'ada' has 2 jobs running, as many as it may at a time."
    );
    assert_eq!(
        world.queue.claim("w3").await.unwrap(),
        Work::None { next_due: None }
    );
    world.finish(&first, Outcome::Succeeded).await.unwrap();
    assert_eq!(world.claim("w3").await.unwrap().id, jobs[2]);
    assert_eq!(world.claim("w1").await, None);
}

async fn a_claim_passes_over_the_backlog_of_a_full_agent(world: World) {
    world.may_run("ada", 1);
    for lane in [Some("a"), Some("b"), None] {
        for _ in 0..5 {
            world.submit(of("ada", lane)).await;
        }
    }
    assert_eq!(world.claim("w1").await.unwrap().agent, "ada");
    assert_eq!(world.claim("w2").await, None);
    let id = world.submit(of("bob", Some("b"))).await;
    let second = world.submit(of("bob", Some("b"))).await;
    world.register("w2").await;
    assert_eq!(world.why(&id).await, [], "ada's jobs do not go first");
    assert_eq!(world.claim("w2").await.unwrap().id, id);
    let why = world.why(&second).await;
    assert!(
        matches!(why[..], [Waiting::LaneBusy { position: 1, .. }]),
        "{why:?}"
    );
}

/// Whatever is told, the claims have the last word.
async fn the_place_that_is_told_is_the_place_that_is_had(world: World) {
    world.register("w").await;
    for (lane, seed) in [(Some("a"), 7_u32), (None, 11), (Some("c"), 13)] {
        let mut chance = seed;
        let mut next = |below: u32| {
            chance = chance.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            (chance >> 16) % below
        };
        let mut waiting = Vec::new();
        for _ in 0..40 {
            let agent = ["ada", "bob", "cyd", "dan"][next(4) as usize];
            let plugin = ["math", "text"][next(2) as usize];
            let priority = [0, 0, 0, 3][next(4) as usize];
            let job = NewJob {
                plugin: plugin.into(),
                priority,
                ..of(agent, lane)
            };
            waiting.push(world.submit(job).await);
            world
                .clock
                .advance(Duration::from_millis(u64::from(next(2))));
        }
        let paused_job = NewJob {
            plugin: "none".into(),
            ..of("eve", lane)
        };
        let eve = world.submit(paused_job).await;
        let none = Scope::Plugin("none".into());
        world
            .queue
            .pause(none.clone(), "operator", None)
            .await
            .unwrap();
        while !waiting.is_empty() {
            let mut told = Vec::new();
            for id in &waiting {
                let place = match &world.why(id).await[..] {
                    [] => 1,
                    [Waiting::Behind { position, .. }] => *position,
                    other => panic!("{other:?}"),
                };
                told.push((place, id.clone()));
            }
            told.sort();
            let places: Vec<_> = told.iter().map(|(place, _)| *place).collect();
            let all: Vec<_> = (1..=waiting.len() as u64).collect();
            assert_eq!(places, all, "each place is told once");
            // Several are served before the next look, so that what is told holds for more than the first.
            for (_, id) in told.into_iter().take(7) {
                let hold = world.claim_as_hold("w").await;
                assert_eq!(hold.job, id);
                world.finish(&hold, Outcome::Succeeded).await.unwrap();
                waiting.retain(|other| *other != id);
            }
        }
        world.queue.cancel(&eve, "eve", None).await.unwrap();
        world.queue.resume(none, "operator").await.unwrap();
    }
}

/// The cost of a claim must not grow with the backlog of an agent.
async fn a_claim_seeks_and_does_not_scan(world: World) {
    for lane in [Some("a"), None] {
        for _ in 0..200 {
            world.submit(of("ada", lane)).await;
        }
        world.submit(of("bob", lane)).await;
    }
    let sql = world.sql();
    for lane in [Some("a"), None] {
        for (statement, parameters) in [
            (include_str!("../sql/claim_plugin.sql"), params![lane, ""]),
            (
                include_str!("../sql/claim_agent.sql"),
                params![lane, "math", "ada"],
            ),
        ] {
            let mut statement = sql.prepare(statement).unwrap();
            let agent: String = statement.query_row(parameters, |row| row.get(1)).unwrap();
            // What the plan says of an index is not what is read of it.
            let instructions = statement.get_status(rusqlite::StatementStatus::VmStep);
            assert!(
                instructions < 100,
                "{instructions} to find {agent} in {lane:?}"
            );
        }
    }
}
