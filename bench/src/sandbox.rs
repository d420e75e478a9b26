//! What the sandbox costs a call: the same plugin with it and without, started anew and forked from a waiting interpreter,
//! in turns, so that whatever else the machine does hits all four alike.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use clap::Args;
use rustix::process::geteuid;
use serde_json::json;
use smcp_common::config::Environment;
use smcp_worker::plugin::environment::environment;
use smcp_worker::plugin::interpreter::{Interpreters, homes};
use smcp_worker::plugin::process::{Exit, Invocation, Limits, Policy, run};
use smcp_worker::sandbox::policy::{Namespaces, Reach, Rlimits};
use smcp_worker::warm::{Place, Warm};
use tokio::sync::mpsc;

use crate::report::Report;
use crate::scratch::Scratch;
use crate::series::{Series, percentile};

/// Calls before those that count: interpreters are started, files read.
const WARM_UP: usize = 5;
const MIB: u64 = 1024 * 1024;
/// The version of Landlock that is asked for; Linux 6.7 has it.
const LANDLOCK: i32 = 4;
/// A user that a root worker may give to a plugin.
const USER: u32 = 61_183;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Calls of each kind in a run
    #[arg(long, default_value_t = 200)]
    calls: usize,
    /// Runs
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// The `smcp` whose supervisor is used
    #[arg(long, default_value = "target/release/smcp")]
    smcp: PathBuf,
    /// A plugin with the command `calculate`
    #[arg(long, default_value = "plugins/demo_math")]
    plugin: PathBuf,
}

pub(crate) fn run_all(options: &Options, scratch: &Scratch, report: &Report) -> anyhow::Result<()> {
    // As in `smcp worker`.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let directory = scratch.fresh()?;
    let base = std::path::absolute(directory.path())?;
    runtime.block_on(async {
        let subject = Subject::find(options, &base).await?;
        let mut series: [Series; 4] = Default::default();
        for _ in 0..options.runs {
            let took = subject.measure(options.calls).await?;
            for (series, mut took) in series.iter_mut().zip(took) {
                took.sort_by(f64::total_cmp);
                for (figure, percent) in [("p50_ms", 50), ("p10_ms", 10), ("p95_ms", 95)] {
                    series.add(figure, percentile(&took, percent));
                }
            }
        }
        for (case, series) in CASES.iter().zip(&series) {
            let case = json!({"start": case.0, "sandbox": case.1});
            report.result("sandbox", &case, series)?;
        }
        Ok(())
    })
}

/// How a call is started, and whether it is confined.
const CASES: [(&str, bool); 4] = [
    ("cold", false),
    ("cold", true),
    ("warm", false),
    ("warm", true),
];

/// What is called.
struct Subject {
    supervisor: PathBuf,
    interpreter: PathBuf,
    plugin: PathBuf,
    base: PathBuf,
}

impl Subject {
    async fn find(options: &Options, base: &Path) -> anyhow::Result<Self> {
        let supervisor = options.smcp.canonicalize();
        let supervisor = supervisor.with_context(|| format!("no {}", options.smcp.display()))?;
        let plugin = options.plugin.canonicalize();
        let plugin = plugin.with_context(|| format!("no {}", options.plugin.display()))?;
        let interpreters = Interpreters::new(supervisor.clone());
        let variables = Environment::of_process();
        let interpreter = interpreters
            .resolve(&plugin, variables.variables())
            .await?
            .path;
        Ok(Self {
            supervisor,
            interpreter,
            plugin,
            base: base.to_owned(),
        })
    }

    /// The milliseconds of each call, case by case.
    async fn measure(&self, calls: usize) -> anyhow::Result<[Vec<f64>; 4]> {
        let warm = [Warm::default(), Warm::default()];
        let mut took: [Vec<f64>; 4] = Default::default();
        for call in 0..calls + WARM_UP {
            for ((start, is_confined), took) in CASES.iter().zip(&mut took) {
                let invocation = self.invocation(*is_confined);
                let begun = Instant::now();
                let pool = (*start == "warm").then_some(&warm[usize::from(*is_confined)]);
                self.call(&invocation, pool).await?;
                if call >= WARM_UP {
                    took.push(begun.elapsed().as_secs_f64() * 1e3);
                }
            }
        }
        for warm in warm {
            warm.close().await;
        }
        Ok(took)
    }

    async fn call(&self, invocation: &Invocation, warm: Option<&Warm>) -> anyhow::Result<()> {
        let limits = Limits::default();
        let (sender, mut output) = mpsc::channel(16);
        let stop = std::future::pending();
        let called = Box::pin(async {
            match warm {
                Some(warm) => {
                    warm.run(&Self::place(invocation), invocation, &limits, stop, sender)
                        .await
                }
                None => run(invocation, &limits, stop, sender).await,
            }
        });
        let listened = async { while output.recv().await.is_some() {} };
        let (ended, ()) = tokio::join!(called, listened);
        let ended = ended?;
        ensure!(
            ended.exit == Exit::Code(0),
            "a call ended with {:?}",
            ended.exit
        );
        Ok(())
    }

    fn invocation(&self, is_confined: bool) -> Invocation {
        let scratch = if is_confined {
            PathBuf::from("/tmp/job")
        } else {
            self.base.clone()
        };
        let variables = Environment::of_process();
        let mut env = environment(variables.variables(), &[], "demo_math");
        env.push(("HOME".into(), scratch.clone().into()));
        let entry = OsString::from(self.plugin.join("cli.py"));
        let words = ["calculate", "--expression", "2+2"].map(OsString::from);
        Invocation {
            supervisor: self.supervisor.clone(),
            program: self.interpreter.clone(),
            args: std::iter::once(entry).chain(words).collect(),
            env,
            cwd: scratch,
            policy: is_confined.then(|| self.policy()),
            files: Vec::new(),
            redactor: smcp_common::secret::Redactor::default(),
            door: None,
            bait: None,
        }
    }

    fn place(invocation: &Invocation) -> Place {
        let is_confined = invocation.policy.is_some();
        let emptied = if is_confined {
            vec!["/tmp".into(), "/dev/shm".into()]
        } else {
            Vec::new()
        };
        Place {
            plugin: "demo_math".to_owned(),
            digest: String::new(),
            fingerprint: String::new(),
            env: invocation.env.clone(),
            scratch: None,
            emptied,
            unconfined: false,
            keep: None,
        }
    }

    /// The default profile on a machine with namespaces.
    fn policy(&self) -> Policy {
        let is_root = geteuid().is_root();
        let mut read = homes(&self.interpreter);
        read.push(self.plugin.clone());
        Policy {
            namespaces: Some(Namespaces {
                user: !is_root,
                base: self.base.clone(),
                scratch_bytes: 64 * MIB,
            }),
            user: is_root.then_some(USER),
            landlock: Some(LANDLOCK),
            seccomp: true,
            read,
            write: Vec::new(),
            network: Reach::Nobody,
            limits: Rlimits {
                address_bytes: Some(512 * MIB),
                data_bytes: Some(512 * MIB),
                processes: Some(34),
                cpu_s: Some(60),
                file_bytes: Some(64 * MIB),
                open_files: Some(256),
            },
            cgroup: None,
        }
    }
}
