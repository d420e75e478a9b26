//! What the tool does.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};
use smcp_common::policy::{BUILTIN_PLUGIN, EffectiveRule, RuleFile, Subject};

use super::{chosen, read};
use crate::app::App;
use crate::caller::Caller;
use crate::policy::Attached;
use crate::refusal::Refusal;

#[derive(Deserialize)]
struct Show {
    agent: String,
    groups: Option<BTreeSet<String>>,
    files: Option<Vec<RuleFile>>,
}

pub(super) fn run(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let Show {
        agent,
        groups,
        files,
    } = read(arguments)?;
    let policies = chosen(app, files)?;
    let subject = match groups {
        Some(groups) => Subject { agent, groups },
        None => app.queue.subject(&agent)?,
    };
    let whose = Caller {
        agent: subject.agent.clone(),
        ..caller.clone()
    };
    let attached = Attached::of(app, &whose)?;
    let tools: Vec<_> = policies
        .effective(&subject)
        .into_iter()
        .map(|effective| {
            let needs = |rules: &[EffectiveRule]| {
                let told = rules.iter().map(|rule| {
                    json!({"rule": rule.id, "conditional": rule.conditional, "needs": rule.obligations.needs()})
                });
                Value::Array(told.collect())
            };
            let is_attached = effective.plugin == BUILTIN_PLUGIN || attached.has(&effective.tool);
            json!({
                "tool": effective.tool,
                "plugin": effective.plugin,
                "attached": is_attached,
                "permits": needs(&effective.permits),
                "forbids": needs(&effective.forbids),
            })
        })
        .collect();
    Ok(
        json!({"agent": subject.agent, "groups": subject.groups, "policy": policies.hash(), "tools": tools}),
    )
}
