use super::*;

/// Everything that can be wrong, each once.
#[derive(Default)]
struct World {
    books: Books,
    lines: Vec<Line>,
    told: Told,
}

/// A job that was lost once and then succeeded, and a `once` job after it in its lane whose outcome is not known.
fn sound() -> World {
    let mut world = World::default();
    world.job("a", "read_only", "succeeded", &["worker_lost", "succeeded"]);
    world.job("b", "once", "outcome_unknown", &["worker_lost"]);
    world.run("a", 1, false);
    world.run("a", 2, true);
    world.run("b", 1, false);
    world
}

impl World {
    fn job(&mut self, id: &str, effect: &str, state: &str, outcomes: &[&str]) {
        let attempts = u32::try_from(outcomes.len()).unwrap();
        let happened = [
            ("event queued", 1),
            ("event started", attempts),
            ("event requeued", attempts - 1),
            ("event finished", 1),
            ("audit job.queued", 1),
            ("audit job.claimed", attempts),
            ("audit job.attempted", attempts),
        ];
        let job = Job {
            key: format!("key {id}"),
            effect: effect.to_owned(),
            state: state.to_owned(),
            lane: "lane".to_owned(),
            max_attempts: 3,
            attempt: attempts,
            attempts: (1..)
                .zip(outcomes.iter().map(|outcome| Some((*outcome).to_owned())))
                .collect(),
            output: format!("{id} {attempts}"),
            happened: happened
                .map(|(kind, times)| (kind.to_owned(), times))
                .into(),
        };
        self.told
            .acknowledged
            .insert(id.to_owned(), job.key.clone());
        self.books.jobs.insert(id.to_owned(), job);
    }

    fn run(&mut self, job: &str, attempt: u32, to_its_end: bool) {
        for starts in [true, false] {
            if starts || to_its_end {
                let job = job.to_owned();
                self.lines.push(Line {
                    starts,
                    job,
                    attempt,
                });
            }
        }
    }

    fn a(&mut self) -> &mut Job {
        self.books.jobs.get_mut("a").unwrap()
    }

    fn b(&mut self) -> &mut Job {
        self.books.jobs.get_mut("b").unwrap()
    }

    /// The names of what does not hold.
    fn violated(&self) -> Vec<&'static str> {
        let mut invariants = invariants(&self.books, &self.lines, &self.told);
        invariants.retain(|invariant| invariant.violated > 0);
        invariants.iter().map(|invariant| invariant.name).collect()
    }
}

#[test]
fn nothing_is_found_where_all_is_well() {
    assert_eq!(sound().violated(), [""; 0]);
    let mut failing = World::default();
    failing.job(
        "c",
        "idempotent",
        "failed",
        &["failed", "worker_lost", "failed"],
    );
    failing.run("c", 1, true);
    failing.run("c", 3, true);
    assert_eq!(failing.violated(), [""; 0]);
}

#[test]
fn everything_that_is_wrong_is_found() {
    type Wrong = (&'static str, fn(&mut World));
    let wrongs: &[Wrong] = &[
        ("an acknowledged job is there", |world| {
            world.told.acknowledged.insert("c".into(), "key c".into());
        }),
        ("a job that is there was acknowledged", |world| {
            world.told.acknowledged.remove("a");
        }),
        ("every job has ended", |world| {
            world.a().state = "queued".into();
        }),
        ("every job has ended once", |world| {
            world.a().happened.insert("event finished".into(), 2);
        }),
        ("a result was accepted once", |world| {
            world.a().attempts[0].1 = Some("succeeded".into());
        }),
        ("a result is that of the last attempt", |world| {
            world.a().output = "a 1".into();
        }),
        ("a once job's plugin was started once at most", |world| {
            world.run("b", 2, false);
        }),
        ("attempts held against a job <= its maximum", |world| {
            world.a().max_attempts = 0;
        }),
        ("a job is given up for a reason", |world| {
            world.a().state = "failed".into();
        }),
        ("attempts are numbered without a gap", |world| {
            world.a().attempts[0].0 = 3;
        }),
        ("every attempt has ended", |world| {
            world.b().attempts[0].1 = None;
        }),
        (
            "a run belongs to an attempt, and is the only one",
            |world| world.run("a", 1, true),
        ),
        ("an attempt that was accepted has run to its end", |world| {
            world.lines.retain(|line| line.starts);
        }),
        ("news and audit records are complete", |world| {
            world.a().happened.insert("audit job.claimed".into(), 1);
        }),
        ("what was accepted did not overlap in its lane", |world| {
            world.job("c", "read_only", "succeeded", &["succeeded"]);
            let line = |starts| Line {
                starts,
                job: "c".into(),
                attempt: 1,
            };
            world.lines.insert(2, line(true));
            world.lines.insert(3, line(false));
        }),
        ("the journal knows no other jobs", |world| {
            world.run("c", 1, true);
        }),
    ];
    let all = invariants(&Books::default(), &[], &Told::default());
    let names: Vec<_> = wrongs.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, all.iter().map(|one| one.name).collect::<Vec<_>>());
    for (name, wrong) in wrongs {
        let mut world = sound();
        wrong(&mut world);
        let violated = world.violated();
        assert!(violated.contains(name), "{name}: {violated:?}");
    }
}
