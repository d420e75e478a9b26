//! The end of a process in words: which outcome it is, and what the caller is told.

use serde_json::Value;
use smcp_common::job::{Failure, Outcome, code};

use crate::plugin::process::{Ended, Exit, Limits, RefusalKind, StopReason};

/// As much of standard error is quoted where standard output says nothing.
const STDERR_QUOTED_BYTES: usize = 2_000;
/// As much of an output is quoted when a plugin ran out of time.
const PARTIAL_CHARS: usize = 200;

/// What the attempt came to. `head` is the beginning of its standard output.
pub(super) fn outcome(ended: &Ended, head: &[u8], limits: &Limits) -> Outcome {
    match &ended.exit {
        Exit::Code(0) => Outcome::Succeeded,
        Exit::Code(exit) => Outcome::Failed(Failure::new(code::PLUGIN_ERROR, complaint(ended, head, &format!("exited with code {exit}")))),
        Exit::Signal(signal) => {
            let how = format!("was killed by signal {signal}{}", signal_name(*signal));
            Outcome::Failed(Failure::new(code::PLUGIN_ERROR, complaint(ended, head, &how)))
        }
        Exit::TimedOut => Outcome::Failed(Failure::new(code::TIMEOUT, timeout(ended, head, limits))),
        Exit::Stopped(StopReason::Cancelled) => Outcome::Stopped,
        // Of a lost lease nobody will hear: its finish is refused.
        Exit::Stopped(StopReason::ShuttingDown | StopReason::LeaseLost) => Outcome::Interrupted,
        Exit::Refused { kind, reason } => Outcome::Failed(Failure::new(refusal(*kind), reason.clone())),
    }
}

/// What the plugin says is wrong: the `error` of its JSON, else its output, else the end of its standard error.
fn complaint(ended: &Ended, head: &[u8], how: &str) -> String {
    let stdout = String::from_utf8_lossy(head);
    let stdout = stdout.trim();
    if let Ok(Value::Object(answer)) = serde_json::from_str(stdout)
        && let Some(error) = answer.get("error")
    {
        return error.as_str().map_or_else(|| error.to_string(), ToOwned::to_owned);
    }
    let stderr = tail(&ended.stderr_tail);
    match (stdout.is_empty(), stderr.is_empty()) {
        (false, _) => stdout.to_owned(),
        (true, false) => format!("Plugin {how}: {stderr}"),
        (true, true) => format!("Plugin {how} (no output)"),
    }
}

fn timeout(ended: &Ended, head: &[u8], limits: &Limits) -> String {
    let seconds = limits.timeout.unwrap_or_default().as_secs_f64();
    let mut message = format!("Plugin command timed out after {seconds:?} seconds");
    let clip = |text: &str| text.trim().chars().take(PARTIAL_CHARS).collect::<String>();
    let (stdout, stderr) = (clip(&String::from_utf8_lossy(head)), clip(&String::from_utf8_lossy(&ended.stderr_tail)));
    if !stdout.is_empty() || !stderr.is_empty() {
        message.push_str(&format!(". Partial output: {stdout}"));
    }
    if !stderr.is_empty() {
        message.push_str(&format!(" [Stderr: {stderr}]"));
    }
    message
}

fn tail(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let text = text.trim();
    let start = text.ceil_char_boundary(text.len().saturating_sub(STDERR_QUOTED_BYTES));
    text[start..].to_owned()
}

const fn refusal(kind: RefusalKind) -> &'static str {
    match kind {
        RefusalKind::NotFound => code::PLUGIN_NOT_FOUND,
        RefusalKind::TooLarge => code::INVALID_ARGUMENTS,
        RefusalKind::NotPermitted
        | RefusalKind::NotExecutable
        | RefusalKind::Temporary
        | RefusalKind::Other => code::PLUGIN_ERROR,
    }
}

const fn signal_name(signal: i32) -> &'static str {
    match signal {
        6 => " (SIGABRT)",
        8 => " (SIGFPE)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV)",
        13 => " (SIGPIPE)",
        15 => " (SIGTERM)",
        24 => " (SIGXCPU)",
        25 => " (SIGXFSZ)",
        31 => " (SIGSYS)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn said(exit: Exit, stdout: &str, stderr: &str) -> String {
        let ended = Ended {
            exit,
            started: true,
            stdout_bytes: stdout.len() as u64,
            stdout_truncated: false,
            stderr_tail: stderr.into(),
            log_lines_dropped: 0,
            events_dropped: 0,
            duration: Duration::from_secs(1),
        };
        let limits = Limits { timeout: Some(Duration::from_secs(1)), ..Limits::default() };
        match outcome(&ended, stdout.as_bytes(), &limits) {
            Outcome::Failed(Failure { code, message }) => format!("{code}: {message}"),
            other => other.as_str().to_owned(),
        }
    }

    #[test]
    fn every_end_has_its_words() {
        let rows = [
            (Exit::Code(0), r#"{"error": "no"}"#, "", "succeeded"),
            (Exit::Code(1), r#"{"error": "no such app", "ok": false}"#, "noise", "plugin_error: no such app"),
            (Exit::Code(1), r#"{"error": {"why": 1}}"#, "", r#"plugin_error: {"why":1}"#),
            (Exit::Code(1), " plain words \n", "noise", "plugin_error: plain words"),
            (Exit::Code(3), "", "Traceback: boom\n", "plugin_error: Plugin exited with code 3: Traceback: boom"),
            (Exit::Code(4), "", "", "plugin_error: Plugin exited with code 4 (no output)"),
            (Exit::Signal(9), "", "", "plugin_error: Plugin was killed by signal 9 (SIGKILL) (no output)"),
            (Exit::TimedOut, "", "", "timeout: Plugin command timed out after 1.0 seconds"),
            (Exit::TimedOut, "half", "why", "timeout: Plugin command timed out after 1.0 seconds. Partial output: half [Stderr: why]"),
            (Exit::Stopped(StopReason::Cancelled), "half", "", "stopped"),
            (Exit::Stopped(StopReason::ShuttingDown), "", "", "interrupted"),
            (Exit::Refused { kind: RefusalKind::NotFound, reason: "gone".into() }, "", "", "plugin_not_found: gone"),
        ];
        for (exit, stdout, stderr, expected) in rows {
            assert_eq!(said(exit, stdout, stderr), expected);
        }
    }

    #[test]
    fn a_long_standard_error_is_quoted_from_its_end() {
        let stderr = format!("{}the cause", "é".repeat(5_000));
        let said = said(Exit::Code(1), "", &stderr);
        assert!(said.ends_with("éthe cause") && said.len() < 2_100, "{}", said.len());
    }
}
