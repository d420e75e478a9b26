//! What an agent may do, tool by tool, and what it depends on.

use serde::{Deserialize, Serialize};

use super::governed::Governed;
use super::rule::Rule;
use super::{Obligations, Policies, Question, Session, Subject, Via, scope};
use crate::clock::Timestamp;

/// A tool that some arguments and some time could allow an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effective {
    /// The tool.
    pub tool: String,
    /// The plugin that has it, or [`BUILTIN_PLUGIN`](super::BUILTIN_PLUGIN).
    pub plugin: String,
    /// The permits that may apply, by id. Of a built-in one nothing is left where one of an operator's always applies.
    pub permits: Vec<EffectiveRule>,
    /// The forbids that may apply, by id; each has conditions.
    pub forbids: Vec<EffectiveRule>,
}

/// A rule that may apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectiveRule {
    /// Its id.
    pub id: String,
    /// Whether arguments, time or circumstances have a say.
    pub conditional: bool,
    /// What it asks for.
    pub obligations: Obligations,
}

impl Policies {
    /// What `subject` may do, by the names of the tools.
    pub fn effective(&self, subject: &Subject) -> Vec<Effective> {
        let listed = self.listed(subject);
        let tools = listed.iter().filter_map(|name| self.tools.get(name));
        tools
            .map(|tool| {
                let concerning = self
                    .rules_of(tool)
                    .filter(|rule| scope::covers_subject(&self.kinds, &rule.policy, subject));
                let (mut permits, forbids): (Vec<_>, Vec<_>) =
                    concerning.partition(|rule| rule.is_permit());
                let always = permits
                    .iter()
                    .any(|rule| !rule.is_builtin() && !rule.policy.has_non_scope_constraint());
                // Of the built-in ones it is known now whether they apply: none looks at arguments or circumstances.
                permits.retain(|rule| {
                    !rule.is_builtin() || (!always && self.applies(rule, tool, subject))
                });
                let told = |rules: Vec<&Rule>| {
                    let told = rules.into_iter().map(|rule| EffectiveRule {
                        id: rule.id().to_owned(),
                        conditional: !rule.is_builtin() && rule.policy.has_non_scope_constraint(),
                        obligations: rule.terms.obligations.clone(),
                    });
                    told.collect()
                };
                Effective {
                    tool: tool.action.name.clone(),
                    plugin: tool.action.plugin.clone(),
                    permits: told(permits),
                    forbids: told(forbids),
                }
            })
            .collect()
    }

    /// Whether a built-in rule applies to calls of `tool`.
    fn applies(&self, rule: &Rule, tool: &Governed, subject: &Subject) -> bool {
        let required = tool.fields.required();
        let blanks = required.filter_map(|name| Some((name.to_owned(), tool.fields.blank(name)?)));
        let question = Question {
            subject,
            plugin: &tool.action.plugin,
            tool: &tool.action.name,
            arguments: &blanks.collect(),
            session: &Session::unattended(Via::Call, Timestamp::from_millis(0)),
        };
        let request = self.request(tool, &question);
        request
            .is_ok_and(|request| self.alone(rule.policy.clone(), &request, subject) == Some(true))
    }
}
