//! The end of a process in words: which outcome it is, and what the caller is told.

use std::time::Duration;

use serde_json::{Map, Value};
use smcp_common::job::{Advice, Failure, MAX_DELAY, Outcome, code};

use super::limit;

use crate::plugin::process::{Ended, Exit, Limits, RefusalKind, StopReason};

/// The exit status of a plugin that wants to be run again: `EX_TEMPFAIL` of BSD's `sysexits.h`.
const TEMPORARY: i32 = 75;
/// As much of standard error is quoted where standard output says nothing.
const STDERR_QUOTED_BYTES: usize = 2_000;
/// As much of an output is quoted when a plugin ran out of time.
const PARTIAL_CHARS: usize = 200;

/// What the attempt came to. `head` is the beginning of its standard output.
pub(super) fn outcome(ended: &Ended, head: &[u8], limits: &Limits) -> Outcome {
    match &ended.exit {
        Exit::Code(0) => Outcome::Succeeded,
        Exit::Code(exit) => failed(ended, head, *exit, limits),
        Exit::Signal(signal) => {
            let how = format!("was killed by signal {signal}{}", signal_name(*signal));
            let answer = Answer::read(head);
            Outcome::failed(limit::hit(ended, limits).unwrap_or_else(|| {
                Failure::new(code::PLUGIN_ERROR, complaint(ended, head, &answer, &how))
            }))
        }
        Exit::TimedOut => {
            Outcome::failed(Failure::new(code::TIMEOUT, timeout(ended, head, limits)))
        }
        Exit::Stopped(StopReason::Cancelled) => Outcome::Stopped,
        // Of a lost lease nobody will hear: its finish is refused.
        Exit::Stopped(StopReason::ShuttingDown | StopReason::LeaseLost) => Outcome::Interrupted,
        Exit::Refused { kind, reason, .. } => {
            let advice = Advice {
                // A missing file, an argument that is too long or a missing sandbox stays so; a busy system does not.
                retryable: Some(matches!(kind, RefusalKind::Temporary)),
                after_ms: None,
            };
            let failure = Failure::new(refusal(*kind), reason.clone());
            Outcome::Failed { failure, advice }
        }
    }
}

/// What a plugin that exited with `exit`, which is not 0, wants.
fn failed(ended: &Ended, head: &[u8], exit: i32, limits: &Limits) -> Outcome {
    let answer = Answer::read(head);
    if exit == TEMPORARY
        && let Some(after_ms) = answer.milliseconds("snooze")
    {
        return Outcome::Snoozed { after_ms };
    }
    let how = format!("exited with code {exit}");
    // What it says itself comes first: it has seen the limit, or something else, and knows what that meant.
    let hit = match answer.get("error") {
        Some(_) => None,
        None => limit::hit(ended, limits),
    };
    let failure = hit
        .unwrap_or_else(|| Failure::new(code::PLUGIN_ERROR, complaint(ended, head, &answer, &how)));
    let after_ms = answer.milliseconds("retry_after");
    let said = answer.flag("retryable");
    let implied = (exit == TEMPORARY || after_ms.is_some()).then_some(true);
    let advice = Advice {
        retryable: said.or(implied),
        after_ms,
    };
    Outcome::Failed { failure, advice }
}

/// What a plugin printed, where that is one JSON object.
struct Answer(Option<Map<String, Value>>);

impl Answer {
    fn read(head: &[u8]) -> Self {
        let text = String::from_utf8_lossy(head);
        Self(serde_json::from_str(text.trim()).ok())
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.0.as_ref()?.get(key)
    }

    fn flag(&self, key: &str) -> Option<bool> {
        self.get(key)?.as_bool()
    }

    /// A number of seconds, in milliseconds; at most [`MAX_DELAY`].
    fn milliseconds(&self, key: &str) -> Option<u64> {
        let seconds = self.get(key)?.as_f64()?;
        // Not even a time limit of ours could be longer; too long and not finite are cut alike.
        let delay = if seconds >= MAX_DELAY.as_secs_f64() {
            MAX_DELAY
        } else {
            Duration::try_from_secs_f64(seconds).ok()?
        };
        u64::try_from(delay.as_millis()).ok()
    }
}

/// What the plugin says is wrong: the `error` of its JSON, else its output, else the end of its standard error.
fn complaint(ended: &Ended, head: &[u8], answer: &Answer, how: &str) -> String {
    let stdout = String::from_utf8_lossy(head);
    let stdout = stdout.trim();
    if let Some(error) = answer.get("error") {
        return error
            .as_str()
            .map_or_else(|| error.to_string(), ToOwned::to_owned);
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
    let (stdout, stderr) = (
        clip(&String::from_utf8_lossy(head)),
        clip(&String::from_utf8_lossy(&ended.stderr_tail)),
    );
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
        RefusalKind::Sandbox => code::SANDBOX_UNAVAILABLE,
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
    use smcp_common::sandbox::Start;

    use super::*;

    fn come_to(exit: Exit, stdout: &str, stderr: &str) -> Outcome {
        let ended = Ended {
            stdout_bytes: stdout.len() as u64,
            stderr_tail: stderr.into(),
            ..Ended::silent(exit, Start::Cold, Duration::from_secs(1))
        };
        let limits = Limits {
            timeout: Some(Duration::from_secs(1)),
            memory_mb: Some(512),
            cpu_s: Some(60),
            ..Limits::default()
        };
        outcome(&ended, stdout.as_bytes(), &limits)
    }

    fn said(exit: Exit, stdout: &str, stderr: &str) -> String {
        match come_to(exit, stdout, stderr) {
            Outcome::Failed { failure, .. } => format!("{}: {}", failure.code, failure.message),
            other @ (Outcome::Succeeded
            | Outcome::Snoozed { .. }
            | Outcome::Stopped
            | Outcome::Released
            | Outcome::Interrupted
            | Outcome::ApprovalVoided(_)) => other.as_str().to_owned(),
        }
    }

    #[test]
    fn a_plugin_decides_about_another_attempt() {
        let advice = |retryable, after_ms| {
            Some(Advice {
                retryable,
                after_ms,
            })
        };
        let rows = [
            (1, "", advice(None, None)),
            (75, "", advice(Some(true), None)),
            (75, r#"{"retryable": false}"#, advice(Some(false), None)),
            (1, r#"{"retryable": true}"#, advice(Some(true), None)),
            (1, r#"{"retryable": "yes"}"#, advice(None, None)),
            (
                1,
                r#"{"retry_after": 1.5}"#,
                advice(Some(true), Some(1_500)),
            ),
            (
                1,
                r#"{"retryable": false, "retry_after": 2}"#,
                advice(Some(false), Some(2_000)),
            ),
            (1, r#"{"retry_after": -1}"#, advice(None, None)),
            (
                1,
                r#"{"retry_after": 1e300}"#,
                advice(Some(true), Some(604_800_000)),
            ),
            (1, r#"{"snooze": 60}"#, advice(None, None)),
            (75, r#"{"snooze": 60}"#, None),
        ];
        for (exit, stdout, expected) in rows {
            let outcome = come_to(Exit::Code(exit), stdout, "");
            let expected = expected.map_or(Outcome::Snoozed { after_ms: 60_000 }, |advice| {
                let Outcome::Failed { failure, .. } = outcome.clone() else {
                    panic!("{outcome:?}")
                };
                Outcome::Failed { failure, advice }
            });
            assert_eq!(outcome, expected, "{exit} {stdout}");
        }
    }

    #[test]
    fn every_end_has_its_words() {
        let rows = [
            (Exit::Code(0), r#"{"error": "no"}"#, "", "succeeded"),
            (
                Exit::Code(1),
                r#"{"error": "no such app", "ok": false}"#,
                "noise",
                "plugin_error: no such app",
            ),
            (
                Exit::Code(1),
                r#"{"error": {"why": 1}}"#,
                "",
                r#"plugin_error: {"why":1}"#,
            ),
            (
                Exit::Code(1),
                " plain words \n",
                "noise",
                "plugin_error: plain words",
            ),
            (
                Exit::Code(3),
                "",
                "Traceback: boom\n",
                "plugin_error: Plugin exited with code 3: Traceback: boom",
            ),
            (
                Exit::Code(4),
                "",
                "",
                "plugin_error: Plugin exited with code 4 (no output)",
            ),
            (
                Exit::Signal(9),
                "",
                "",
                "plugin_error: Plugin was killed by signal 9 (SIGKILL) (no output)",
            ),
            (
                Exit::TimedOut,
                "",
                "",
                "timeout: Plugin command timed out after 1.0 seconds",
            ),
            (
                Exit::TimedOut,
                "half",
                "why",
                "timeout: Plugin command timed out after 1.0 seconds. Partial output: half [Stderr: why]",
            ),
            (Exit::Stopped(StopReason::Cancelled), "half", "", "stopped"),
            (
                Exit::Stopped(StopReason::ShuttingDown),
                "",
                "",
                "interrupted",
            ),
            (
                Exit::Refused {
                    kind: RefusalKind::NotFound,
                    mechanism: None,
                    reason: "gone".into(),
                },
                "",
                "",
                "plugin_not_found: gone",
            ),
            (
                Exit::Refused {
                    mechanism: None,
                    kind: RefusalKind::Sandbox,
                    reason: "no Landlock".into(),
                },
                "",
                "",
                "sandbox_unavailable: no Landlock",
            ),
            (
                Exit::Signal(24),
                "half",
                "",
                "cpu_limit: Plugin used up its 60 seconds of processor time.",
            ),
            (
                Exit::Code(1),
                "half",
                "MemoryError\n",
                "memory_limit: Plugin needed more than its 512 MB of memory: MemoryError",
            ),
            (
                Exit::Code(1),
                r#"{"error": "the model does not fit"}"#,
                "MemoryError\n",
                "plugin_error: the model does not fit",
            ),
        ];
        for (exit, stdout, stderr, expected) in rows {
            assert_eq!(said(exit, stdout, stderr), expected);
        }
    }

    #[test]
    fn a_long_standard_error_is_quoted_from_its_end() {
        let stderr = format!("{}the cause", "é".repeat(5_000));
        let said = said(Exit::Code(1), "", &stderr);
        assert!(
            said.ends_with("éthe cause") && said.len() < 2_100,
            "{}",
            said.len()
        );
    }
}
