//! `smcp jobs flush`, `retry`, `requeue-dead` and `priority`: what operators do to many jobs.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Map, Value, json};
use smcp_common::job::StateName;

use crate::cli::{Consent, JobsFlush, JobsPriority, JobsRequeueDead, JobsRetry, Which};
use crate::client::Client;
use crate::failure::BadUsage;
use crate::terminal::{one_line, print, print_json};

/// Skipped jobs that are printed; `--json` has more.
const SKIPS: usize = 20;
/// Jobs that the API retries in one call.
const RETRIES: usize = 100;

/// Cancels or deletes jobs.
pub(super) async fn flush(client: &mut Client, options: &JobsFlush) -> anyhow::Result<ExitCode> {
    let mut request = which(&options.which);
    request.insert("state".to_owned(), json!(options.state));
    put(&mut request, "reason", options.reason.as_ref());
    let done = if options.state == StateName::Queued {
        "cancelled"
    } else {
        "deleted"
    };
    let json = options.connection.json;
    many(client, "jobs__flush", request, &options.consent, done, json).await
}

/// Runs dead jobs again.
pub(super) async fn requeue_dead(
    client: &mut Client,
    options: &JobsRequeueDead,
) -> anyhow::Result<ExitCode> {
    let mut request = which(&options.which);
    request.insert("state".to_owned(), json!(options.state));
    put(&mut request, "error_code", options.error.as_ref());
    put(
        &mut request,
        "newer_than_s",
        options.newer_than.map(seconds),
    );
    let (consent, json) = (&options.consent, options.connection.json);
    many(
        client,
        "jobs__requeue_dead",
        request,
        consent,
        "requeued",
        json,
    )
    .await
}

/// Runs named jobs again.
pub(super) async fn retry(client: &mut Client, options: &JobsRetry) -> anyhow::Result<ExitCode> {
    let (mut retried, mut skipped) = (Vec::new(), Vec::new());
    for ids in options.ids.chunks(RETRIES) {
        let mut answer = client.ask("jobs__retry", json!({ "ids": ids })).await?;
        for (name, into) in [("retried", &mut retried), ("skipped", &mut skipped)] {
            if let Value::Array(jobs) = answer[name].take() {
                into.extend(jobs);
            }
        }
    }
    if options.connection.json {
        print_json(&json!({"retried": retried, "skipped": skipped}))?;
    } else {
        let mut text = String::new();
        for id in &retried {
            // Writing to a String cannot fail.
            writeln!(text, "{} is queued again", id.as_str().unwrap_or_default())
                .unwrap_or_default();
        }
        text.push_str(&skips(&skipped, skipped.len()));
        print(&text)?;
    }
    Ok(if skipped.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Gives jobs another priority.
pub(super) async fn priority(
    client: &mut Client,
    options: &JobsPriority,
) -> anyhow::Result<ExitCode> {
    let mut request = which(&options.which);
    request.insert("priority".to_owned(), json!(options.priority));
    put(&mut request, "id", options.id.as_ref());
    let answer = client.ask("jobs__priority", Value::Object(request)).await?;
    if options.connection.json {
        print_json(&answer)?;
    } else if let Some(id) = answer["id"].as_str() {
        print(&format!("{id} has priority {}", options.priority))?;
    } else {
        print(&outcome(&answer, "changed"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What is done to many jobs, once it is confirmed.
async fn many(
    client: &mut Client,
    tool: &str,
    mut request: Map<String, Value>,
    consent: &Consent,
    done: &str,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let flag = if consent.confirm {
        "confirm"
    } else {
        "dry_run"
    };
    request.insert(flag.to_owned(), json!(true));
    let answer = client.ask(tool, Value::Object(request)).await?;
    if json {
        print_json(&answer)?;
    } else if consent.confirm {
        print(&outcome(&answer, done))?;
    } else {
        print(&plan(&answer, done))?;
    }
    if consent.confirm || consent.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    anyhow::bail!(BadUsage(
        "nothing has been done; add --confirm to do it".to_owned()
    ))
}

fn which(which: &Which) -> Map<String, Value> {
    let Which {
        tool,
        lane,
        plugin,
        older_than,
        limit,
    } = which;
    let mut request = Map::new();
    put(&mut request, "tool", tool.as_ref());
    put(&mut request, "lane", lane.as_ref());
    put(&mut request, "plugin", plugin.as_ref());
    put(&mut request, "older_than_s", older_than.map(seconds));
    put(&mut request, "limit", *limit);
    request
}

fn seconds(duration: Duration) -> u64 {
    duration.as_secs()
}

fn put(request: &mut Map<String, Value>, name: &str, value: Option<impl serde::Serialize>) {
    if let Some(value) = value {
        request.insert(name.to_owned(), json!(value));
    }
}

/// What would be done, for people.
fn plan(answer: &Value, done: &str) -> String {
    let mut text = format!("{} would be {done}\n", counted(&answer["matched"]));
    text.push_str(&by_tool(answer));
    text.push_str(rest(answer));
    text
}

/// What has been done, for people.
fn outcome(answer: &Value, done: &str) -> String {
    let mut text = format!("{} {done}\n", counted(&answer[done]));
    text.push_str(&by_tool(answer));
    let skipped = answer["skipped"].as_array().map_or(&[][..], Vec::as_slice);
    let total = answer["skipped_total"].as_u64().unwrap_or_default();
    text.push_str(&skips(
        skipped,
        usize::try_from(total).unwrap_or(usize::MAX),
    ));
    text.push_str(rest(answer));
    text
}

fn counted(count: &Value) -> String {
    match count.as_u64().unwrap_or_default() {
        1 => "1 job".to_owned(),
        count => format!("{count} jobs"),
    }
}

fn by_tool(answer: &Value) -> String {
    let mut text = String::new();
    for (tool, count) in answer["by_tool"].as_object().into_iter().flatten() {
        writeln!(text, "  {count} of {tool}").unwrap_or_default();
    }
    text
}

fn skips(skipped: &[Value], total: usize) -> String {
    let mut text = String::new();
    for skip in skipped.iter().take(SKIPS) {
        let word = |name: &str| one_line(skip[name].as_str().unwrap_or_default());
        writeln!(text, "skipped {}: {}", word("id"), word("reason")).unwrap_or_default();
    }
    if total > SKIPS {
        writeln!(text, "… and {} more were skipped", total - SKIPS).unwrap_or_default();
    }
    text
}

fn rest(answer: &Value) -> &'static str {
    if answer["more"] == true {
        "there are more: raise --limit, or do it again\n"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_done_is_told_by_tool() {
        let answer =
            json!({"matched": 3, "more": true, "by_tool": {"a__b": 2, "c__d": 1}, "sample": []});
        let expected = "\
3 jobs would be cancelled
  2 of a__b
  1 of c__d
there are more: raise --limit, or do it again
";
        assert_eq!(plan(&answer, "cancelled"), expected);
        let nothing = json!({"matched": 0, "more": false, "by_tool": {}, "sample": []});
        assert_eq!(plan(&nothing, "deleted"), "0 jobs would be deleted\n");
    }

    #[test]
    fn what_has_been_done_names_what_was_skipped() {
        let skip = json!({"id": "019a", "code": "wrong_state", "reason": "it is running"});
        let answer = json!({"matched": 2, "more": false, "by_tool": {"a__b": 2}, "cancelled": 1,
                            "skipped": [skip], "skipped_total": 1});
        let expected = "1 job cancelled\n  2 of a__b\nskipped 019a: it is running\n";
        assert_eq!(outcome(&answer, "cancelled"), expected);
        let many = vec![skip; SKIPS + 5];
        let text = skips(&many, SKIPS + 7);
        assert!(text.ends_with("… and 7 more were skipped\n"), "{text}");
    }
}
