//! A running `smcp`: one API and one worker on a data directory of their own.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use rustix::process::{Pid, Signal};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::sse::Session;

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the API is asked whether the worker has found the plugins.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// Which `smcp` is measured.
#[derive(Debug, Args)]
pub(crate) struct Program {
    /// The program [default: smcp beside this one]
    #[arg(long, value_name = "FILE")]
    smcp: Option<PathBuf>,
}

impl Program {
    /// The file.
    pub(crate) fn path(&self) -> anyhow::Result<PathBuf> {
        let smcp = match &self.smcp {
            Some(smcp) => smcp.canonicalize(),
            None => std::env::current_exe().map(|this| this.with_file_name("smcp")),
        };
        Ok(smcp?)
    }
}

/// An API and a worker. Both are killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) api: Role,
    pub(crate) worker: Role,
    pub(crate) address: SocketAddr,
}

/// What a process is started with.
#[derive(Debug)]
pub(crate) struct Start<'s> {
    pub(crate) smcp: &'s Path,
    /// The role and its own arguments.
    pub(crate) arguments: &'s [&'s str],
    pub(crate) data: &'s Path,
    pub(crate) plugins: Option<&'s Path>,
    /// Where it logs to, if not to our standard error.
    pub(crate) log: Option<File>,
}

/// One process of `smcp`.
#[derive(Debug)]
pub(crate) struct Role {
    child: Child,
    pid: Pid,
}

impl Server {
    /// Starts both with the bundled plugins, and returns when `tool` can be called.
    pub(crate) async fn start(program: &Program, data: &Path, tool: &str) -> anyhow::Result<Self> {
        Self::start_with(program, data, None, tool).await
    }

    /// The same with the plugins of another directory.
    pub(crate) async fn start_with(
        program: &Program,
        data: &Path,
        plugins: Option<&Path>,
        tool: &str,
    ) -> anyhow::Result<Self> {
        let smcp = program.path()?;
        let start = |arguments: &[&str]| {
            Role::start(Start {
                smcp: &smcp,
                arguments,
                data,
                plugins,
                log: None,
            })
        };
        let (mut api, worker) = (start(&["api", "--port", "0"])?, start(&["worker"])?);
        let address = api.address().await?;
        wait_for_tool(address, tool).await?;
        Ok(Self {
            api,
            worker,
            address,
        })
    }

    /// Ends both in order.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.api.stop().await?;
        self.worker.stop().await
    }
}

impl Role {
    #[expect(clippy::disallowed_methods, reason = "the processes that are measured")]
    pub(crate) fn start(start: Start<'_>) -> anyhow::Result<Self> {
        let Start {
            smcp,
            arguments,
            data,
            plugins,
            log,
        } = start;
        let mut command = Command::new(smcp);
        // `--supervised`: the API says where it listens, and neither outlives us.
        let command = command
            .args(arguments)
            .args(["--supervised", "--data-dir"])
            .arg(data);
        if let Some(log) = log {
            command.stderr(log);
        }
        let child = command
            .current_dir(data)
            .env_clear()
            .envs([
                ("PATH", "/usr/local/bin:/usr/bin:/bin"),
                ("SMCP_LOG", "warn"),
            ])
            .env("HOME", data)
            .envs(plugins.map(|plugins| ("MCP_PLUGINS_DIR", plugins)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", smcp.display()))?;
        let pid = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        let pid = pid.context("it has ended already")?;
        Ok(Self { child, pid })
    }

    /// Where it listens, if it is an API: it says so once.
    pub(crate) async fn address(&mut self) -> anyhow::Result<SocketAddr> {
        let stdout = self.child.stdout.take().context("no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let line = timeout(PATIENCE, lines.next_line()).await??;
        Ok(line.context("the API has ended at once")?.parse()?)
    }

    /// Kills it, and waits until it is gone.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Ends it in order.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        // Waiting would close it, and be taken for our end.
        let _lifeline = self.child.stdin.take();
        rustix::process::kill_process(self.pid, Signal::TERM)?;
        timeout(PATIENCE, self.child.wait()).await??;
        Ok(())
    }

    /// CPU time of all its threads so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let mut sum = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.pid.as_raw_pid()))? {
            let schedstat = fs::read_to_string(task?.path().join("schedstat"))?;
            let on_cpu = schedstat.split(' ').next().unwrap_or_default();
            sum += on_cpu.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(sum))
    }

    /// Resident memory in MiB.
    pub(crate) fn resident_mib(&self) -> anyhow::Result<f64> {
        self.mib("status", "VmRSS:")
    }

    /// Its share of resident memory in MiB: pages that several processes have are divided between them.
    pub(crate) fn proportional_mib(&self) -> anyhow::Result<f64> {
        self.mib("smaps_rollup", "Pss:")
    }

    fn mib(&self, file: &str, entry: &str) -> anyhow::Result<f64> {
        let text = fs::read_to_string(format!("/proc/{}/{file}", self.pid.as_raw_pid()))?;
        let kib = text
            .lines()
            .find_map(|line| line.strip_prefix(entry))
            .and_then(|rest| rest.trim().strip_suffix(" kB"))
            .context("the process has no memory")?;
        Ok(kib.parse::<f64>()? / 1024.0)
    }
}

/// Waits until the worker has found the plugin of `tool`.
pub(crate) async fn wait_for_tool(address: SocketAddr, tool: &str) -> anyhow::Result<()> {
    timeout(PATIENCE, offered(address, tool))
        .await
        .with_context(|| format!("{tool} is not offered"))?
}

async fn offered(address: SocketAddr, tool: &str) -> anyhow::Result<()> {
    let mut session = Session::open(address).await?;
    loop {
        let answer = session.request("tools/list", &json!({})).await?;
        let mut tools = answer["tools"].as_array().into_iter().flatten();
        if tools.any(|offered| offered["name"] == tool) {
            return Ok(());
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}
