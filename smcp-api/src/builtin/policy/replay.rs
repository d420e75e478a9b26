//! What the tool does.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use smcp_common::job::Entrance;
use smcp_common::policy::{
    BUILTIN_PLUGIN, Grant, Known, Policies, Question, Rejection, RuleFile, Session, Via,
};
use smcp_common::queue::AuditRecord;
use smcp_common::secret::MASK;

use super::asked::instant;
use super::{chosen, read, word};
use crate::app::App;
use crate::builtin;
use crate::refusal::Refusal;

/// Records that are read at once.
const PIECE: u32 = 2_000;

#[derive(Deserialize)]
struct Replay {
    since: String,
    until: Option<String>,
    files: Option<Vec<RuleFile>>,
    #[serde(default = "some")]
    limit: usize,
}

const fn some() -> usize {
    200
}

/// What has been found so far.
#[derive(Debug, Default)]
struct Found {
    same: u64,
    changed: u64,
    undecidable: u64,
    /// Tools that are not there any more.
    gone: u64,
    told: Vec<Value>,
    untold: Vec<Value>,
}

pub(super) async fn run(app: &App, arguments: Value) -> Result<Value, Refusal> {
    let Replay {
        since,
        until,
        files,
        limit,
    } = read(arguments)?;
    let since = instant("since", &since)?;
    let until = until.map(|until| instant("until", &until)).transpose()?;
    let policies = chosen(app, files)?;
    let mut found = Found::default();
    let mut after = app.queue.audit_before(since).await?;
    'records: loop {
        let piece = app.queue.audit_piece(after, PIECE).await?;
        let Some((last, _)) = piece.records.last() else {
            break;
        };
        after = last.seq;
        for (record, _) in &piece.records {
            if until.is_some_and(|until| record.at >= until) {
                break 'records;
            }
            if let Some(call) = Call::of(record) {
                found.take(app, &policies, &call, limit)?;
            }
        }
        // Others have their turn.
        tokio::task::yield_now().await;
    }
    Ok(json!({
        "policy": policies.hash(),
        "same": found.same,
        "changed": found.changed,
        "undecidable": found.undecidable,
        "gone": found.gone,
        "changes": found.told,
        "undecided": found.untold,
    }))
}

/// A call that a record is about.
#[derive(Debug)]
struct Call<'r> {
    record: &'r AuditRecord,
    data: Recorded,
    /// The decision that was made.
    was: &'static str,
}

#[derive(Debug, Deserialize)]
struct Recorded {
    tool: String,
    arguments: Map<String, Value>,
    via: Via,
    transport: Option<String>,
    address: Option<std::net::IpAddr>,
    code: Option<String>,
    #[serde(default)]
    approval: bool,
    #[serde(default)]
    rules: Vec<String>,
}

impl<'r> Call<'r> {
    /// `None` where the record is about something else, or the decision was not one of rules.
    fn of(record: &'r AuditRecord) -> Option<Self> {
        if !matches!(
            record.kind.as_str(),
            "job.queued" | "call.denied" | "call.allowed"
        ) {
            return None;
        }
        let data: Recorded = serde_json::from_str(&record.data).ok()?;
        let was = match data.code.as_deref() {
            None if data.approval => "approval",
            // Rules had allowed it before a limit did not.
            None | Some("limit_exceeded") => "allow",
            Some("approval_required") => "approval",
            Some("not_allowed" | "policy_error" | "dry_run_only" | "arguments_too_large") => "deny",
            Some(_) => return None,
        };
        // A dry run of a plugin's tool decides about what was not called.
        let is_dry_run = record.kind == "call.allowed" && builtin::find(&data.tool).is_none();
        (!is_dry_run).then_some(Self { record, data, was })
    }

    fn session(&self) -> Session {
        let transport = self.data.transport.as_deref();
        let entrance =
            transport.and_then(|transport| Entrance::recorded(transport, self.data.address));
        Session::of(self.data.via, entrance.as_ref(), self.record.at)
    }

    fn told(&self, more: &[(&str, Value)]) -> Value {
        let mut told = json!({
            "seq": self.record.seq, "at": self.record.at, "agent": self.record.agent, "tool": self.data.tool, "job": self.record.job,
            "was": self.was, "was_by": self.data.rules,
        });
        for (key, value) in more {
            told[*key] = value.clone();
        }
        told
    }
}

impl Found {
    fn take(
        &mut self,
        app: &App,
        policies: &Policies,
        call: &Call<'_>,
        limit: usize,
    ) -> Result<(), Refusal> {
        match decided(app, policies, call)? {
            None => self.gone += 1,
            Some(Err(missed)) => {
                self.undecidable += 1;
                if self.untold.len() < limit {
                    self.untold.push(call.told(&[("unknown", json!(missed))]));
                }
            }
            Some(Ok(judged)) if word(&judged) == call.was => self.same += 1,
            Some(Ok(judged)) => {
                self.changed += 1;
                if self.told.len() < limit {
                    let is = word(&judged);
                    let by = judged.map_or_else(|denied| denied.rules, |grant| grant.rules);
                    let told = call.told(&[("is", json!(is)), ("by", json!(by))]);
                    self.told.push(told);
                }
            }
        }
        Ok(())
    }
}

/// What is decided about a call now, or what would have to be known for that.
type Decided = Result<Result<Grant, Rejection>, Vec<String>>;

/// Decides about a call; `None` where its tool is gone.
fn decided(app: &App, policies: &Policies, call: &Call<'_>) -> Result<Option<Decided>, Refusal> {
    let Recorded {
        tool, arguments, ..
    } = &call.data;
    let tools = app.tools.current(&app.queue)?;
    let mut arguments = arguments.clone();
    let is_omitted = arguments.len() == 1 && arguments.contains_key("omitted_bytes");
    let plugin = if let Some(tool) = builtin::find(tool) {
        arguments = tool.with_defaults(arguments);
        BUILTIN_PLUGIN
    } else if let Some(tool) = tools.named(tool) {
        &tool.tool.plugin
    } else {
        return Ok(None);
    };
    let hidden: Vec<_> = arguments
        .iter()
        .filter(|(_, value)| *value == MASK)
        .map(|(name, _)| name.clone())
        .collect();
    let known = if is_omitted {
        Known::Nothing
    } else {
        Known::AllBut(&hidden)
    };
    let question = Question {
        subject: &app.queue.subject(&call.record.agent)?,
        plugin,
        tool,
        arguments: &arguments,
        session: &call.session(),
    };
    Ok(Some(policies.replay(&question, known)))
}
