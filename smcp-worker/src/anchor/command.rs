//! Runs the operator's command. It is no plugin and nothing an agent could have named: it comes from the configuration, and
//! runs as this worker does, unconfined.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A command that takes longer is ended.
const LIMIT: Duration = Duration::from_secs(10);
/// So much of what it writes to standard error is told.
const STDERR_BYTES: u64 = 1_024;

/// Runs a command with `input` on its standard input.
///
/// # Errors
/// Why it has not done what it should, in a sentence.
pub(super) async fn run(program: &str, arguments: &[String], input: &str) -> Result<(), String> {
    run_for(program, arguments, input, LIMIT).await
}

pub(super) async fn run_for(
    program: &str,
    arguments: &[String],
    input: &str,
    limit: Duration,
) -> Result<(), String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the operator's own command, named in the configuration; no caller chooses it or its arguments"
    )]
    let mut command = Command::new(program);
    let child = command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    let mut child = child.map_err(|error| format!("{program} cannot be started: {error}"))?;
    let group = child
        .id()
        .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let ended = timeout(limit, follow(&mut child, input)).await;
    if ended.is_err()
        && let Some(group) = group
        && let Err(error) = kill_process_group(group, Signal::KILL)
    {
        tracing::warn!(error = %error, "a command that takes too long cannot be ended");
    }
    let (status, stderr) = match ended {
        Ok(Ok(ended)) => ended,
        Ok(Err(error)) => return Err(format!("{program}: {error}")),
        Err(_) => {
            return Err(format!(
                "{program} has not ended after {} s",
                limit.as_secs()
            ));
        }
    };
    if status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&stderr);
    match stderr.trim() {
        "" => Err(format!("{program}: {status}")),
        said => Err(format!("{program}: {status}: {said}")),
    }
}

/// Waits for the end of a command, and what it says.
async fn follow(child: &mut Child, input: &str) -> io::Result<(ExitStatus, Vec<u8>)> {
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // Whoever does not read what he is given may have his reasons.
            stdin.write_all(input.as_bytes()).await.ok();
        }
    };
    let (status, (), said) = tokio::join!(child.wait(), write, beginning(stderr));
    Ok((status?, said?))
}

/// The first bytes; the rest is read, so that nobody waits for that, and forgotten.
async fn beginning(source: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut said = Vec::new();
    if let Some(mut source) = source {
        (&mut source)
            .take(STDERR_BYTES)
            .read_to_end(&mut said)
            .await?;
        tokio::io::copy(&mut source, &mut tokio::io::sink()).await?;
    }
    Ok(said)
}
