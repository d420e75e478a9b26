//! Many sessions at once, each with a call: what they cost the API, and whether anybody misses anything.

mod hands;
mod member;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::hands::Hands;
use self::member::{Heard, Member, Transport};
use crate::report::Report;
use crate::scratch::Scratch;
use crate::series::{Series, percentile, sorted_ms};
use crate::server::{Program, Role, Server};

/// Sessions that are opened side by side.
const OPENING: usize = 64;
/// From the last event of a phase until memory is read.
const SETTLE: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    program: Program,
    /// Sessions, all at once
    #[arg(long, default_value_t = 2_000)]
    sessions: usize,
    /// Their transports, one after the other
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["sse", "http"])]
    transport: Vec<Transport>,
    /// Runs, each with new processes
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

pub(crate) fn run(options: &Options, scratch: &Scratch, report: &Report) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    for &transport in &options.transport {
        let mut series = Series::default();
        for _ in 0..options.runs {
            let directory = scratch.fresh()?;
            let once = once(options, transport, directory.path(), &mut series);
            runtime.block_on(once)?;
        }
        let name = match transport {
            Transport::Sse => "sse",
            Transport::Http => "http",
        };
        let case = json!({"transport": name, "sessions": options.sessions});
        report.result("sessions", &case, &series)?;
    }
    Ok(())
}

async fn once(
    options: &Options,
    transport: Transport,
    data: &Path,
    series: &mut Series,
) -> anyhow::Result<()> {
    let plugins = plugins(data)?;
    let server = Server::start_with(&options.program, data, Some(&plugins), member::TOOL).await?;
    let Server {
        api,
        worker,
        address,
    } = server;
    worker.stop().await?;
    // After the start, so that the API has to do with the limit that it is started with.
    raise_file_limit()?;
    weigh(&api, series, ["idle_rss_mib", "idle_pss_mib"]).await?;

    let members = open(address, transport, options.sessions).await?;
    weigh(&api, series, ["open_rss_mib", "open_pss_mib"]).await?;

    let mut hands = Hands::new(data).await?;
    let mut calls = JoinSet::new();
    for member in members {
        calls.spawn(member.call());
    }
    let mut members = Vec::new();
    let mut heard = Vec::new();
    let listen = async {
        while let Some(called) = calls.join_next().await {
            let (member, of_call) = called??;
            members.push(member);
            heard.push(of_call);
        }
        anyhow::Ok(())
    };
    let work = async {
        hands.take(options.sessions).await?;
        hands.report().await?;
        weigh(&api, series, ["calls_rss_mib", "calls_pss_mib"]).await?;
        hands.finish().await
    };
    let ((), ends) = tokio::try_join!(listen, work)?;
    weigh(&api, series, ["answered_rss_mib", "answered_pss_mib"]).await?;
    drop(members);
    weigh(&api, series, ["closed_rss_mib", "closed_pss_mib"]).await?;

    let sum = |of: fn(&Heard) -> usize| heard.iter().map(of).sum::<usize>();
    series.add("missed", count(sum(|heard| heard.missed)));
    series.add("surplus", count(sum(|heard| heard.surplus)));
    let waits = heard.iter().filter_map(|heard| {
        let ended = ends.get(&heard.number)?;
        // The answer may be here before our own thread hears of the commit.
        Some(heard.answered?.saturating_duration_since(*ended))
    });
    let waits = sorted_ms(waits);
    series.add("p50_ms", percentile(&waits, 50));
    series.add("p99_ms", percentile(&waits, 99));
    series.add("max_ms", percentile(&waits, 100));
    api.stop().await
}

async fn open(
    address: SocketAddr,
    transport: Transport,
    count: usize,
) -> anyhow::Result<Vec<Member>> {
    let places = Arc::new(Semaphore::new(OPENING));
    let mut opening = JoinSet::new();
    for number in 0..count {
        let places = Arc::clone(&places);
        opening.spawn(async move {
            let _place = places.acquire_owned().await?;
            Member::open(address, transport, number).await
        });
    }
    let mut members = Vec::with_capacity(count);
    while let Some(opened) = opening.join_next().await {
        members.push(opened??);
    }
    Ok(members)
}

/// Reads the memory of a process that has come to rest.
async fn weigh(
    role: &Role,
    series: &mut Series,
    [rss, pss]: [&'static str; 2],
) -> anyhow::Result<()> {
    tokio::time::sleep(SETTLE).await;
    series.add(rss, role.resident_mib()?);
    series.add(pss, role.proportional_mib()?);
    Ok(())
}

/// A directory with the plugin whose tool is called.
fn plugins(data: &Path) -> anyhow::Result<PathBuf> {
    let plugins = data.join("plugins");
    let crowd = plugins.join("crowd");
    fs::create_dir_all(&crowd)?;
    let program = crowd.join("cli");
    fs::write(&program, include_str!("../plugins/crowd/cli"))?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    Ok(plugins)
}

/// Lets this process open as many connections as the system allows.
fn raise_file_limit() -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    Ok(setrlimit(Resource::Nofile, raised)?)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a benchmark are far below 2^52"
)]
fn count(events: usize) -> f64 {
    events as f64
}
