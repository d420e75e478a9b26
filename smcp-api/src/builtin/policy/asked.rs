//! A call about which is asked, without being made.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use smcp_common::clock::Timestamp;
use smcp_common::job::Entrance;
use smcp_common::policy::{BUILTIN_PLUGIN, Question, Session, Subject, Via};

use crate::app::App;
use crate::builtin;
use crate::refusal::Refusal;
use crate::submit::missing;

/// A call as it is described.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    tool: String,
    #[serde(alias = "args", default)]
    arguments: Map<String, Value>,
    agent: String,
    groups: Option<Vec<String>>,
    at: Option<String>,
    via: Option<Via>,
    transport: Option<String>,
    address: Option<IpAddr>,
    #[serde(default)]
    dry_run: bool,
}

/// The same, ready to be decided about.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) tool: String,
    plugin: String,
    arguments: Map<String, Value>,
    pub(super) subject: Subject,
    session: Session,
}

/// What describes a call.
pub(super) fn properties() -> Value {
    let transports: Vec<_> = transports().collect();
    json!({
        "tool": {"type": "string", "description": "The tool."},
        "arguments": {"type": "object", "description": "Its arguments, as a caller would give them."},
        "agent": {"type": "string", "description": "Who calls."},
        "groups": {"type": "array", "items": {"type": "string"}, "description": "As if it were in these groups; otherwise those that it is in."},
        "at": {"type": "string", "description": "When: RFC 3339, such as 2026-12-01T09:00:00Z; otherwise now."},
        "via": {"type": "string", "enum": ["call", "schedule", "workflow", "approval"], "description": "By which way; otherwise call."},
        "transport": {"type": "string", "enum": transports, "description": "How the caller is connected; otherwise streamable_http, and none for what no caller waits for."},
        "address": {"type": "string", "description": "The caller's IP address."},
        "dry_run": {"type": "boolean", "description": "Whether nothing is to be run."},
    })
}

impl Asked {
    /// Looks up what it names.
    ///
    /// # Errors
    /// No such tool, arguments that do not fit, a time that cannot be read; database errors.
    pub(super) fn ready(self, app: &App) -> Result<Ready, Refusal> {
        let (tool, plugin, arguments) = if let Some(tool) = builtin::find(&self.tool) {
            let arguments = tool.with_defaults(self.arguments);
            (self.tool, BUILTIN_PLUGIN.to_owned(), arguments)
        } else {
            let tools = app.tools.current(&app.queue)?;
            let Some(tool) = tools.find(&self.tool) else {
                return Err(missing(app, &tools, &self.tool)?);
            };
            let arguments = tool.arguments(self.arguments)?;
            let name = tool.tool.name.to_string();
            (name, tool.tool.plugin.clone(), arguments)
        };
        let subject = match self.groups {
            Some(groups) => Subject {
                agent: self.agent,
                groups: groups.into_iter().collect(),
            },
            None => app.queue.subject(&self.agent)?,
        };
        let via = self.via.unwrap_or(Via::Call);
        let default = if via == Via::Call {
            "streamable_http"
        } else {
            Session::NOBODY
        };
        let transport = self.transport.as_deref().unwrap_or(default);
        let known = transports().find(|known| *known == transport);
        Ok(Ready {
            tool,
            plugin,
            arguments,
            subject,
            session: Session {
                via,
                transport: known.ok_or_else(|| {
                    let known: Vec<_> = transports().collect();
                    unfit(
                        "transport",
                        transport,
                        &format!("one of {}", known.join(", ")),
                    )
                })?,
                address: self.address,
                now: match &self.at {
                    Some(at) => instant("at", at)?,
                    None => app.queue.clock().now(),
                },
                dry_run: self.dry_run,
            },
        })
    }
}

impl Ready {
    /// The question.
    pub(super) fn question(&self) -> Question<'_> {
        Question {
            subject: &self.subject,
            plugin: &self.plugin,
            tool: &self.tool,
            arguments: &self.arguments,
            session: &self.session,
        }
    }
}

/// How a caller can be connected.
fn transports() -> impl Iterator<Item = &'static str> {
    Entrance::TRANSPORTS.into_iter().chain([Session::NOBODY])
}

/// A time that somebody has given.
pub(super) fn instant(argument: &str, text: &str) -> Result<Timestamp, Refusal> {
    let expected = "an RFC 3339 instant such as 2026-12-01T09:00:00Z";
    Timestamp::parse(text).ok_or_else(|| unfit(argument, text, expected))
}

fn unfit(argument: &str, text: &str, expected: &str) -> Refusal {
    let text: String = text.chars().take(80).collect();
    Refusal::invalid_arguments(format!(
        "Invalid arguments: argument '{argument}': '{text}' is not {expected}."
    ))
}
