//! What the process tests share: a supervisor's binary, collected runs, and waiting.

use std::ffi::OsString;
use std::fs;
use std::future;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::Value;
use smcp_worker::plugin::process::{
    Ended, Exit, Invocation, Limits, Output, ProcessError, StopReason, run,
};
use tokio::sync::{mpsc, oneshot};

/// The `PATH` of every test: system directories, as in a service.
pub(crate) const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A run with everything that it wrote.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) ended: Ended,
    pub(crate) stdout: Vec<u8>,
    pub(crate) logs: Vec<String>,
    pub(crate) events: Vec<Value>,
}

impl Ran {
    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.stdout).unwrap().trim_end()
    }

    pub(crate) fn exit(&self) -> &Exit {
        &self.ended.exit
    }

    /// The process whose number the plugin printed.
    pub(crate) fn printed_pid(&self) -> u32 {
        self.text().parse().unwrap()
    }
}

/// The example that is a supervisor, which cargo builds along with the tests.
pub(crate) fn supervisor() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples/run_plugin");
    assert!(
        path.exists(),
        "{} is missing: cargo build -p smcp-worker --examples",
        path.display()
    );
    path
}

pub(crate) fn invocation<A: Into<OsString>>(
    program: &str,
    args: impl IntoIterator<Item = A>,
) -> Invocation {
    Invocation {
        supervisor: supervisor(),
        program: PathBuf::from(program),
        args: args.into_iter().map(Into::into).collect(),
        env: vec![("PATH".into(), PATH.into())],
        cwd: PathBuf::from("/"),
        policy: None,
        files: Vec::new(),
        redactor: smcp_common::secret::Redactor::default(),
        door: None,
        bait: None,
    }
}

pub(crate) fn shell(script: &str) -> Invocation {
    invocation("/bin/sh", ["-c", script])
}

pub(crate) fn python(script: &str) -> Invocation {
    invocation("/usr/bin/env", ["python3", "-c", script])
}

pub(crate) fn within(timeout: Duration) -> Limits {
    Limits {
        timeout: Some(timeout),
        grace: Duration::from_secs(5),
        ..Limits::default()
    }
}

/// Runs to the end.
pub(crate) async fn run_all(invocation: &Invocation, limits: &Limits) -> Ran {
    let start = |stop, sender| run(invocation, limits, stop, sender);
    collect(start, None).await.unwrap()
}

/// Runs to the first output, and is stopped then.
pub(crate) async fn run_until_it_writes(
    invocation: &Invocation,
    limits: &Limits,
    reason: StopReason,
) -> Ran {
    let start = |stop, sender| run(invocation, limits, stop, sender);
    collect(start, Some(reason)).await.unwrap()
}

/// Runs what `start` starts, and stops it at its first output where there is a reason to.
pub(crate) async fn collect<F>(
    start: impl FnOnce(BoxFuture<'static, StopReason>, mpsc::Sender<Output>) -> F,
    stop_at_output: Option<StopReason>,
) -> Result<Ran, ProcessError>
where
    F: Future<Output = Result<Ended, ProcessError>>,
{
    let (sender, mut receiver) = mpsc::channel(4);
    let (wrote, first_output) = oneshot::channel();
    let stop = async move {
        first_output.await.ok();
        match stop_at_output {
            Some(reason) => reason,
            None => future::pending().await,
        }
    };
    let listen = async {
        let mut wrote = Some(wrote);
        let (mut stdout, mut logs, mut events) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(output) = receiver.recv().await {
            match output {
                Output::Stdout(chunk) => stdout.extend(chunk),
                Output::Log(line) => logs.push(line),
                Output::Event(event) => events.push(event),
                Output::Secret(_) => {}
            }
            if let Some(wrote) = wrote.take() {
                wrote.send(()).ok();
            }
        }
        (stdout, logs, events)
    };
    let started = start(stop.boxed(), sender);
    let both = async { tokio::join!(started, listen) };
    let (ended, (stdout, logs, events)) = tokio::time::timeout(PATIENCE, both)
        .await
        .expect("the run ends");
    Ok(Ran {
        ended: ended?,
        stdout,
        logs,
        events,
    })
}

/// Waits until the process has gone, as a zombie or altogether.
pub(crate) async fn assert_ends(pid: u32) {
    eventually(&format!("process {pid} is gone"), || !is_alive(pid)).await;
}

pub(crate) fn is_alive(pid: u32) -> bool {
    // The state follows the name, which is in parentheses and may hold anything.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
