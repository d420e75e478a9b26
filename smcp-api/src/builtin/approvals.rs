//! `approvals__list`, `approvals__approve`, `approvals__deny`, `approvals__link`: what waits for somebody's word, and
//! the word.

use serde::Deserialize;
use serde_json::{Value, json};
use smcp_common::approval::{Digest, Obstacle, Voice};
use smcp_common::canonical::unhex;
use smcp_common::job::JobId;

use super::{Builtin, Changes, read};
use crate::app::App;
use crate::approval::{Viewer, Word, refusal, take};
use crate::approval_link::{Link, path};
use crate::caller::Caller;
use crate::refusal::Refusal;

pub(super) fn list() -> Builtin {
    Builtin::new(
        "approvals__list",
        "Lists the calls that wait for an approval, oldest first: those that you may approve of, and your own. Each with exactly \
         what would run, who asks, whose approval it needs until when, and its digest.",
        Changes::Nothing,
        &json!({"job": {"type": "string", "description": "Only that of this job."}}),
        &[],
        |app, caller, arguments| Box::pin(run_list(app, caller, arguments)),
    )
}

pub(super) fn approve() -> Builtin {
    Builtin::new(
        "approvals__approve",
        "Approves of a call that waits for it. It runs as soon as enough have approved of it; nobody can approve of a call of \
         their own.",
        Changes::Once,
        &properties(),
        &["job"],
        |app, caller, arguments| Box::pin(run_word(app, caller, arguments, Voice::Approve)),
    )
}

pub(super) fn deny() -> Builtin {
    Builtin::new(
        "approvals__deny",
        "Ends a call that waits for an approval: it will not run, whoever else has approved of it.",
        Changes::Once,
        &properties(),
        &["job"],
        |app, caller, arguments| Box::pin(run_word(app, caller, arguments, Voice::Deny)),
    )
}

pub(super) fn link() -> Builtin {
    Builtin::new(
        "approvals__link",
        "Makes a link by which you can approve of one call, or deny it, in a browser: for one time, for what would run now, and \
         in your name. Whoever has the link can use it.",
        Changes::Nothing,
        &json!({"job": {"type": "string", "description": "The job that waits."}}),
        &["job"],
        |app, caller, arguments| Box::pin(async move { run_link(app, caller, arguments) }),
    )
}

fn properties() -> Value {
    json!({
        "job": {"type": "string", "description": "The job that waits, as approvals__list names it."},
        "digest": {"type": "string", "pattern": "^[0-9a-f]{64}$",
            "description": "The digest that approvals__list showed: the word counts for nothing else."},
        "reason": {"type": "string", "maxLength": 1000, "description": "Why, for whoever asked and for the record."},
    })
}

#[derive(Deserialize)]
struct List {
    job: Option<String>,
}

async fn run_list(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let List { job } = read(arguments)?;
    let viewer = Viewer::of(app, caller)?;
    let open = match job {
        Some(job) => viewer.find(app, &job_id(&job)?)?.into_iter().collect(),
        None => viewer.list(app).await?,
    };
    let shown: Vec<_> = open.iter().map(|open| viewer.show(app, open)).collect();
    Ok(json!({ "approvals": shown }))
}

#[derive(Deserialize)]
struct Spoken {
    job: String,
    digest: Option<String>,
    reason: Option<String>,
}

async fn run_word(
    app: &App,
    caller: &Caller,
    arguments: Value,
    voice: Voice,
) -> Result<Value, Refusal> {
    let Spoken {
        job,
        digest,
        reason,
    } = read(arguments)?;
    let word = Word {
        job: job_id(&job)?,
        voice,
        reason,
        seen: digest.as_deref().map(seen).transpose()?,
        seen_at: None,
        via: "tool",
    };
    let state = take(app, &caller.agent, word).await?;
    Ok(json!({"job": job, "state": state}))
}

#[derive(Deserialize)]
struct Wanted {
    job: String,
}

fn run_link(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let Wanted { job } = read(arguments)?;
    let id = job_id(&job)?;
    let viewer = Viewer::of(app, caller)?;
    let Some(open) = viewer.find(app, &id)? else {
        return Err(refusal(&Obstacle::NotPending(job)));
    };
    viewer
        .may_approve(app, &open)
        .map_err(|obstacle| refusal(&obstacle))?;
    let link = Link {
        job: id,
        agent: caller.agent.clone(),
        digest: open.request.digest,
        made_at: app.queue.clock().now(),
        expires_at: open.request.expires_at,
    };
    Ok(json!({"job": job, "path": path(&link.seal(&app.link_key)), "expires_at": link.expires_at}))
}

/// The digest that a caller was shown. One that cannot be read must not pass for none, which would bind the word to nothing.
fn seen(text: &str) -> Result<Digest, Refusal> {
    let no_digest = || Refusal::invalid_arguments("'digest' is no SHA-256 in hexadecimal digits.");
    unhex(text).ok_or_else(no_digest)
}

fn job_id(text: &str) -> Result<JobId, Refusal> {
    text.parse()
        .map_err(|error| Refusal::invalid_arguments(format!("{error}.")))
}
