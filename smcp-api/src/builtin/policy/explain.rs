//! What the tool does.

use serde::Deserialize;
use serde_json::{Value, json};
use smcp_common::policy::RuleFile;

use super::asked::Asked;
use super::{chosen, read, word};
use crate::app::App;
use crate::refusal::Refusal;

#[derive(Deserialize)]
struct Explain {
    #[serde(flatten)]
    asked: Asked,
    files: Option<Vec<RuleFile>>,
}

pub(super) fn run(app: &App, arguments: Value) -> Result<Value, Refusal> {
    let Explain { asked, files } = read(arguments)?;
    let policies = chosen(app, files)?;
    let ready = asked.ready(app)?;
    let explanation = policies.explain(&ready.question());
    let decision = explanation.decision;
    let judged = policies.judge(&ready.question(), decision.clone());
    let denied = judged.as_ref().err();
    Ok(json!({
        "decision": word(&judged),
        "tool": ready.tool,
        "agent": ready.subject.agent,
        "groups": ready.subject.groups,
        "rules": decision.rules,
        "obligations": decision.obligations,
        "needs": decision.obligations.needs(),
        "code": denied.map(|denied| denied.code),
        "message": denied.map(|denied| &denied.message),
        "policy": decision.policy,
        "considered": explanation.rules,
    }))
}
