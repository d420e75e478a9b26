//! The jobs that are measured, and a worker that does nothing for them.

use std::time::Duration;

use serde_json::{Map, json};
use smcp_common::job::{Effect, JobId, NewJob, Outcome, Source};
use smcp_worker::work::Ending;

/// A job as a call of `demo_math__calculate` records it.
pub(crate) fn new_job() -> NewJob {
    NewJob {
        id: JobId::random(),
        tool: "demo_math__calculate".into(),
        plugin: "demo_math".into(),
        agent: "local".into(),
        source: Source::Call,
        origin: None,
        lane: Some("demo_math".into()),
        priority: 0,
        effect: Effect::ReadOnly,
        run_at: None,
        arguments: Map::from_iter([("expression".to_owned(), json!("2+2"))]),
        secret: Vec::new(),
        entrance: None,
        timeout: Some(Duration::from_secs(300)),
        retry: None,
        idempotency_key: None,
        rules: vec!["builtin".into()],
        approval: None,
        limits: Vec::new(),
    }
}

/// The end of a job that had nothing to do.
pub(crate) fn nothing_done() -> Ending {
    Ending {
        outcome: Outcome::Succeeded,
        output: Vec::new(),
        printed_bytes: None,
        confinement: None,
    }
}
