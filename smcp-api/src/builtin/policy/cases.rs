//! What `policy__test` does.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use smcp_common::policy::{Policies, RuleFile};

use super::asked::Asked;
use super::{chosen, read, word};
use crate::app::App;
use crate::refusal::Refusal;

#[derive(Deserialize)]
struct Test {
    cases: Vec<Case>,
    files: Option<Vec<RuleFile>>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    #[serde(flatten)]
    asked: Asked,
    expect: String,
    rules: Option<Vec<String>>,
    obligations: Option<Map<String, Value>>,
}

pub(super) fn run(app: &App, arguments: Value) -> Result<Value, Refusal> {
    let Test { cases, files } = read(arguments)?;
    let policies = chosen(app, files)?;
    let told: Vec<_> = cases
        .into_iter()
        .map(|case| decided(app, &policies, case))
        .collect();
    let failed = told.iter().filter(|told| told["ok"] == false).count();
    Ok(json!({"cases": told, "failed": failed}))
}

/// What comes of a case, and what of it is otherwise than expected.
fn decided(app: &App, policies: &Policies, case: Case) -> Value {
    let Case {
        name,
        asked,
        expect,
        rules,
        obligations,
    } = case;
    let ready = match asked.ready(app) {
        Ok(ready) => ready,
        Err(refusal) => {
            let difference = format!("it cannot be called: {}", refusal.message);
            return json!({"name": name, "ok": false, "differences": [difference]});
        }
    };
    let decision = policies.decide(&ready.question());
    let judged = policies.judge(&ready.question(), decision.clone());
    let found = word(&judged);
    let mut differences = Vec::new();
    if found != expect {
        let why = judged.map_or_else(|denied| format!(": {}", denied.message), |_| String::new());
        differences.push(format!("{found} instead of {expect}{why}"));
    }
    if let Some(mut rules) = rules {
        rules.sort_unstable();
        if rules != decision.rules {
            let named = |rules: &[String]| match rules {
                [] => "none".to_owned(),
                rules => rules.join(", "),
            };
            let (found, wanted) = (named(&decision.rules), named(&rules));
            differences.push(format!("decided by {found} instead of {wanted}"));
        }
    }
    let asked_for = json!(decision.obligations);
    for (key, wanted) in obligations.into_iter().flatten() {
        if asked_for[&key] != wanted {
            differences.push(format!("{key} is {} instead of {wanted}", asked_for[&key]));
        }
    }
    json!({"name": name, "ok": differences.is_empty(), "decision": found, "rules": decision.rules, "differences": differences})
}
