//! Why a question is answered as it is, and what would make it allowed.

use cedar_policy::{Policy, PolicyId, Request};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::governed::Governed;
use super::rule::Rule;
use super::{Decision, Policies, Question, Subject, scope};

/// A decision, with every rule that can concern the tool.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The decision.
    pub decision: Decision,
    /// The rules, by id.
    pub rules: Vec<ExplainedRule>,
}

/// What a rule says to a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedRule {
    /// Its id.
    pub id: String,
    /// The name of its file; `builtin` for the built-in ones.
    pub file: String,
    /// The line at which it begins.
    pub line: usize,
    /// `permit` or `forbid`.
    pub effect: String,
    /// As it was written.
    pub text: String,
    /// Whether it applies; `None` where it cannot be evaluated.
    pub applies: Option<bool>,
    /// What it demands, each with whether that is so; only of permits that do not apply.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clauses: Vec<Clause>,
}

/// One thing that a rule demands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clause {
    /// As it is written, in Cedar.
    pub text: String,
    /// Whether it is so; `None` where it cannot be evaluated, such as an argument that is not given.
    pub holds: Option<bool>,
}

impl Policies {
    /// Decides, and tells why.
    pub fn explain(&self, question: &Question<'_>) -> Explanation {
        let decision = self.decide(question);
        let Some(tool) = self.governed(question) else {
            return Explanation {
                decision,
                rules: Vec::new(),
            };
        };
        let request = self.request(tool, question).ok();
        let rules = self
            .rules_of(tool)
            .map(|rule| self.explained(rule, tool, request.as_ref(), question.subject))
            .collect();
        Explanation { decision, rules }
    }

    fn explained(
        &self,
        rule: &Rule,
        tool: &Governed,
        request: Option<&Request>,
        subject: &Subject,
    ) -> ExplainedRule {
        let applies = request.and_then(|request| self.alone(rule.policy.clone(), request, subject));
        let near_miss = rule.is_permit() && applies != Some(true);
        ExplainedRule {
            id: rule.id().to_owned(),
            file: rule.file.name.clone(),
            line: rule.position.0,
            effect: rule.policy.effect().to_string(),
            text: rule.text(),
            applies,
            clauses: match request {
                Some(request) if near_miss => self.clauses(rule, tool, request, subject),
                Some(_) | None => Vec::new(),
            },
        }
    }

    fn clauses(
        &self,
        rule: &Rule,
        tool: &Governed,
        request: &Request,
        subject: &Subject,
    ) -> Vec<Clause> {
        let scope = scope::clauses(&self.kinds, &rule.policy, subject, &tool.action.plugin);
        let mut clauses: Vec<_> = scope
            .into_iter()
            .map(|(text, holds)| Clause {
                text,
                holds: Some(holds),
            })
            .collect();
        for condition in rule.json["conditions"].as_array().into_iter().flatten() {
            let (kind, operator) = match condition["kind"].as_str() {
                Some("unless") => ("unless", "||"),
                Some(_) | None => ("when", "&&"),
            };
            for body in parts(&condition["body"], operator) {
                if let (Some(policy), Some(text)) = (clause(kind, body), text(kind, body)) {
                    let holds = self.alone(policy, request, subject);
                    clauses.push(Clause { text, holds });
                }
            }
        }
        clauses
    }
}

/// The operands of a chain of `operator`, in order.
fn parts<'j>(body: &'j Value, operator: &str) -> Vec<&'j Value> {
    match body.get(operator) {
        Some(both) => [
            parts(&both["left"], operator),
            parts(&both["right"], operator),
        ]
        .concat(),
        None => vec![body],
    }
}

/// A permit with this condition alone.
fn clause(kind: &str, body: &Value) -> Option<Policy> {
    let alone = json!({
        "effect": "permit",
        "principal": {"op": "All"}, "action": {"op": "All"}, "resource": {"op": "All"},
        "conditions": [{"kind": kind, "body": body}],
    });
    Policy::from_json(Some(PolicyId::new("clause")), alone).ok()
}

/// A condition as it is written.
fn text(kind: &str, body: &Value) -> Option<String> {
    // Cedar writes these as negations of their opposites.
    let infix = |operator: &str| {
        let both = body.get(operator).filter(|_| kind == "when")?;
        let (left, right) = (text(kind, &both["left"])?, text(kind, &both["right"])?);
        Some(format!("{left} {operator} {right}"))
    };
    if let Some(text) = [">", ">=", "!="].into_iter().find_map(infix) {
        return Some(text);
    }
    let rule = clause(kind, body)?.to_cedar()?;
    let (_, condition) = rule.split_once("when {")?;
    let (condition, _) = condition.rsplit_once('}')?;
    Some(condition.trim().to_owned())
}
