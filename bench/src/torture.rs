//! Processes die at random moments, a thousand times, while tens of thousands of jobs run. In the end everything is
//! counted from outside: what callers were told, what plugins wrote down themselves, and what the database says.

mod books;
mod crew;
mod invariants;
mod journal;
mod orders;
mod random;
mod submitters;

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use serde_json::{Map, Value, json};
use smcp_common::audit::Trust;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use self::books::Books;
use self::crew::Crew;
use self::invariants::{Invariant, Told, invariants};
use self::journal::Journal;
use self::orders::Order;
use self::random::Random;
use self::submitters::Desk;
use crate::scratch::Scratch;
use crate::server::Program;

/// How often progress is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// The same where it is asked for by SQL.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// A blow falls so late at the most after its turn has come: longer than a job takes.
const JITTER_MS: u32 = 50;
/// One blow in so many hits the API.
const API_SHARE: u32 = 10;
/// Callers at once.
const CALLERS: usize = 2;

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    program: Program,
    /// Processes that are killed, one in ten of them the API
    #[arg(long, default_value_t = 1_000)]
    kills: u32,
    /// Jobs that are submitted
    #[arg(long, default_value_t = 20_000)]
    jobs: u32,
    /// Workers
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    workers: u32,
    /// Decides what is submitted, and who is killed when; at which instruction is up to the machine
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Gives up after so many seconds
    #[arg(long, default_value_t = 3_600)]
    seconds_limit: u64,
}

pub(crate) fn run(options: &Options, scratch: &Scratch, json: bool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let directory = scratch.fresh()?;
    let limit = Duration::from_secs(options.seconds_limit);
    // What is dropped at the limit is killed: the processes, and with the workers their plugins.
    let tortured = runtime.block_on(async {
        timeout(limit, torture(options, directory.path()))
            .await
            .unwrap_or_else(|_| Err(anyhow::anyhow!("not done after {limit:?}")))
    });
    let told = tortured.and_then(|blows| {
        let outcome = Outcome::of(options, directory.path(), &blows)?;
        outcome.print(json)?;
        anyhow::ensure!(outcome.is_sound(), "an invariant does not hold");
        Ok(())
    });
    told.map_err(|error| {
        let kept = scratch.keep(directory);
        let kept = kept.map_or_else(|error| error.to_string(), |kept| kept.display().to_string());
        error.context(format!("the database, journal and log are in {kept}"))
    })
}

/// What was done to the processes, and what callers were told.
#[derive(Debug)]
struct Blows {
    workers: u32,
    apis: u32,
    told: Told,
    elapsed: Duration,
    left_over: usize,
}

async fn torture(options: &Options, data: &Path) -> anyhow::Result<Blows> {
    let plugins = plugins(data)?;
    let journal = Journal::in_directory(data);
    let mut random = Random::new(options.seed);
    let orders: Vec<Order> = (0..options.jobs)
        .map(|number| Order::random(number, &mut random))
        .collect();
    let mut crew = Crew::start(&options.program, data, &plugins, options.workers).await?;
    let began = Instant::now();
    let desk = Arc::new(Desk::new(crew.address(), journal.clone(), orders));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        callers.spawn(Arc::clone(&desk).submit_all());
    }
    let (mut workers, mut apis) = (0, 0);
    for n in 1..=options.kills {
        // Spread over all that the jobs write down, but for the last of it.
        let turn = u64::from(options.jobs) * 2 * u64::from(n) / (u64::from(options.kills) + 1);
        while journal.lines()? < turn * 95 / 100 {
            sleep(LOOK_EVERY).await;
            while let Some(ended) = callers.try_join_next() {
                ended??;
            }
        }
        sleep(Duration::from_millis(random.below(JITTER_MS).into())).await;
        if random.below(API_SHARE) == 0 {
            crew.kill_api().await?;
            apis += 1;
        } else {
            crew.kill_worker(random.below(options.workers)).await?;
            workers += 1;
        }
    }
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    while books::open_jobs(data)? > 0 {
        sleep(ASK_EVERY).await;
    }
    let elapsed = began.elapsed();
    crew.stop().await?;
    let left_over = crew::left_over(data).await?;
    let told = Arc::into_inner(desk)
        .context("a caller is still there")?
        .told();
    Ok(Blows {
        workers,
        apis,
        told,
        elapsed,
        left_over,
    })
}

/// A directory with the plugin whose tools are called, and one beside it for its journal, which it is granted.
fn plugins(data: &Path) -> anyhow::Result<std::path::PathBuf> {
    let plugins = data.join("plugins");
    let torture = plugins.join("torture");
    fs::create_dir_all(&torture)?;
    let program = torture.join("cli");
    fs::write(&program, include_str!("../plugins/torture/cli"))?;
    let outside = data.join("outside");
    fs::create_dir_all(&outside)?;
    let journal = outside.join("journal");
    File::create(&journal)?;
    // Plugins may be other users than this one.
    for (path, mode) in [
        (data, 0o711),
        (&program, 0o755),
        (&outside, 0o777),
        (&journal, 0o666),
    ] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    let grant = format!(
        "[sandbox.profile]\nfilesystem.write = ['{}']\n",
        outside.display()
    );
    fs::write(data.join("smcp.toml"), grant)?;
    Ok(plugins)
}

/// What is printed.
#[derive(Debug)]
struct Outcome {
    figures: Vec<(&'static str, Value)>,
    invariants: Vec<Invariant>,
}

impl Outcome {
    fn of(options: &Options, data: &Path, blows: &Blows) -> anyhow::Result<Self> {
        let condition = smcp_common::queue::check(&data.join("smcp.db"), Trust::default())?;
        let books = Books::read(data)?;
        let lines = Journal::in_directory(data).read()?;
        let mut invariants = invariants(&books, &lines, &blows.told);
        invariants.push(Invariant::single(
            "the database is sound",
            condition.damage.first().cloned(),
        ));
        invariants.push(Invariant::single(
            "the audit chain verifies",
            condition.broken_audit.map(|finding| finding.to_string()),
        ));
        let left_over = blows.left_over;
        invariants.push(Invariant::single(
            "no process is left over",
            (left_over > 0).then(|| format!("{left_over} processes")),
        ));
        let seconds = blows.elapsed.as_secs_f64();
        let mut figures = vec![
            ("seed", json!(options.seed)),
            ("workers", json!(options.workers)),
            ("kills of a worker", json!(blows.workers)),
            ("kills of the API", json!(blows.apis)),
            ("seconds", json!(seconds.round())),
            ("jobs", json!(books.jobs.len())),
            (
                "submits that had to be repeated",
                json!(blows.told.repeated),
            ),
            (
                "of these, recorded the first time",
                json!(blows.told.existing),
            ),
            ("audit records", json!(condition.audit_records)),
        ];
        figures.extend(books.figures());
        Ok(Self {
            figures,
            invariants,
        })
    }

    fn is_sound(&self) -> bool {
        self.invariants
            .iter()
            .all(|invariant| invariant.violated == 0)
    }

    fn print(&self, json: bool) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        if json {
            let figures: Map<_, _> = self
                .figures
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect();
            let invariants: Vec<_> = self.invariants.iter().map(Invariant::to_json).collect();
            let result = json!({"bench": "torture", "figures": figures, "invariants": invariants});
            writeln!(out, "{result}")?;
            return Ok(());
        }
        for (name, value) in &self.figures {
            writeln!(out, "{name:<50} {value:>10}")?;
        }
        writeln!(
            out,
            "\n{:<50} {:>10} {:>10}",
            "INVARIANT", "CHECKED", "VIOLATED"
        )?;
        for invariant in &self.invariants {
            let Invariant {
                name,
                checked,
                violated,
                example,
            } = invariant;
            writeln!(out, "{name:<50} {checked:>10} {violated:>10}")?;
            if let Some(example) = example {
                writeln!(out, "    such as {example}")?;
            }
        }
        Ok(())
    }
}
