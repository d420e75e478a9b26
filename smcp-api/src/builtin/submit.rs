//! `jobs__submit`: a job whose caller takes the id and leaves.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use smcp_common::clock::Timestamp;
use smcp_common::job::{JobId, Source};

use super::{Builtin, Changes, read};
use crate::app::App;
use crate::caller::Caller;
use crate::dry_run::preview;
use crate::refusal::Refusal;
use crate::retry_policy;
use crate::submit::{Request, submit as record};
use crate::waiting;

/// A year.
const MAX_DELAY_S: u32 = 366 * 24 * 60 * 60;

pub(super) fn submit() -> Builtin {
    Builtin::new(
        "jobs__submit",
        "Records a call of a tool as a job and answers at once with its id; jobs__wait and jobs__get follow it.",
        Changes::Each,
        &json!({
            "tool": {"type": "string", "description": "The tool to run, as tools/list names it."},
            "arguments": {"type": "object", "default": {}, "description": "The tool's arguments."},
            "run_at": {"type": "string", "description": "Not before this instant: RFC 3339, such as 2026-12-01T09:00:00Z."},
            "delay_s": {"type": "number", "minimum": 0, "maximum": MAX_DELAY_S, "description": "Not before so many seconds from now."},
            "priority": {"type": "integer", "minimum": -100, "maximum": 100, "default": 0, "description": "Higher runs first."},
            "retry": retry_policy::schema(),
            "dry_run": {"type": "boolean", "default": false,
                "description": "Only tell what would happen: the decision with its rules, the command line, the lane, the sandbox, the limits."},
            "idempotency_key": {"type": "string", "minLength": 1, "maxLength": 255,
                "description": "The same key with the same tool and arguments gives the same job, however often it is submitted."},
        }),
        &["tool"],
        |app, caller, arguments| Box::pin(run(app, caller, arguments)),
    )
}

#[derive(Deserialize)]
struct Submit {
    tool: String,
    #[serde(default)]
    arguments: Map<String, Value>,
    run_at: Option<String>,
    delay_s: Option<f64>,
    #[serde(default)]
    priority: i32,
    retry: Option<Value>,
    idempotency_key: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

async fn run(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let Submit {
        tool,
        arguments,
        run_at,
        delay_s,
        priority,
        retry,
        idempotency_key,
        dry_run,
    } = read(arguments)?;
    let retry = retry.map(retry_policy::read).transpose()?;
    if super::find(&tool).is_some() {
        let message = format!(
            "{tool} is a built-in tool, which answers at once; only tools of plugins are run as jobs."
        );
        return Err(Refusal::invalid_arguments(message));
    }
    let run_at = instant(app.queue.clock().now(), run_at.as_deref(), delay_s)?;
    let id = JobId::random();
    let request = Request {
        id,
        tool,
        arguments,
        source: Source::Submit,
        idempotency_key,
        run_at,
        priority,
        retry,
        call: None,
    };
    if dry_run {
        return preview(app, caller, request).await;
    }
    let ticket = record(app, caller, request).await?;
    let state = app.queue.job(&ticket.job)?.map(|job| job.state);
    let mut answer = json!({"id": ticket.job, "state": state, "existing": ticket.existing});
    if !app.queue.pauses()?.is_empty() {
        answer["waiting"] = waiting::reasons(app, &ticket.job).await?.into();
    }
    Ok(answer)
}

fn instant(
    now: Timestamp,
    run_at: Option<&str>,
    delay_s: Option<f64>,
) -> Result<Option<Timestamp>, Refusal> {
    match (run_at, delay_s) {
        (Some(_), Some(_)) => Err(Refusal::invalid_arguments("Only one of 'run_at' and 'delay_s' can be given.")),
        (Some(text), None) => Timestamp::parse(text).map(Some).ok_or_else(|| {
            Refusal::invalid_arguments(format!(
                "argument 'run_at': '{text}' is not an RFC 3339 instant such as 2026-12-01T09:00:00Z."
            ))
        }),
        (None, Some(seconds)) => Ok(Some(now.plus(Duration::try_from_secs_f64(seconds).unwrap_or_default()))),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_given_one_way_and_must_be_one() {
        let now = Timestamp::from_millis(1_000);
        assert_eq!(instant(now, None, None), Ok(None));
        assert_eq!(
            instant(now, None, Some(1.5)),
            Ok(Some(Timestamp::from_millis(2_500)))
        );
        assert_eq!(
            instant(now, Some("1970-01-01T00:00:02Z"), None),
            Ok(Some(Timestamp::from_millis(2_000)))
        );
        assert!(
            instant(now, Some("tomorrow"), None)
                .unwrap_err()
                .message
                .contains("'tomorrow'")
        );
        assert!(instant(now, Some("1970-01-01T00:00:02Z"), Some(1.0)).is_err());
    }
}
