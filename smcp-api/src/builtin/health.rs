//! `health`: whether the server is well, in the form that the original's documentation promised.

use serde_json::{Value, json};
use smcp_common::queue::AuditState;

use super::workers::shown_to;
use super::{Builtin, Changes, plugins, sandbox};
use crate::app::App;
use crate::caller::Caller;
use crate::policy::{is_operator, rules};
use crate::refusal::Refusal;

pub(super) fn health() -> Builtin {
    Builtin::new(
        "health",
        "Tells whether the server is well: its plugins, its queue, its workers, how they confine plugins, and what it has answered so far.",
        Changes::Nothing,
        &json!({}),
        &[],
        |app, caller, _| Box::pin(report(app, caller)),
    )
}

/// How the audit chain stands. What the operator's anchor says about itself is for operators.
fn audit(app: &App, caller: &Caller) -> Result<AuditState, Refusal> {
    let mut state = app.queue.audit_state()?;
    if state.anchor_error.is_some() && !is_operator(app, caller) {
        state.anchor_error = Some("operators are told why".to_owned());
    }
    Ok(state)
}

async fn report(app: &App, caller: &Caller) -> Result<Value, Refusal> {
    let catalogue = app.queue.catalogue()?;
    let names: Vec<_> = catalogue
        .plugins
        .iter()
        .filter(|plugin| !plugin.tools.is_empty())
        .map(|plugin| plugin.name.as_str())
        .collect();
    let (success, error) = app.counters.read();
    let now = app.queue.clock().now();
    let wal = app.queue.wal();
    let mut workers = shown_to(app, caller)?;
    let sandbox = sandbox::summary(&mut workers);
    Ok(json!({
        "status": "healthy",
        "plugins": names.len(),
        "plugin_names": names,
        "metrics": {
            "start_time": app.started_at.to_string(),
            "uptime_s": now.since(app.started_at).as_secs(),
            "plugins_discovered": names.len(),
            "tools_registered": app.tools.current(&app.queue)?.count(),
            "tool_calls_total": success + error,
            "tool_calls_success": success,
            "tool_calls_error": error,
        },
        "queue": app.queue.depth().await?,
        "pauses": app.queue.pauses()?,
        "policy": {"hash": rules(app)?.hash(), "refused": app.rules.refused().is_some()},
        "audit": audit(app, caller)?,
        "database": {"wal_bytes": wal.bytes, "warning": wal.warning},
        "workers": workers,
        "sandbox": sandbox,
        "catalogue": {
            "version": catalogue.version,
            "wanted": catalogue.wanted,
            "scanned": catalogue.scanned,
            "problems": catalogue.problems,
            "integrity": plugins::differing(&catalogue.plugins),
        },
        "version": env!("CARGO_PKG_VERSION"),
    }))
}
