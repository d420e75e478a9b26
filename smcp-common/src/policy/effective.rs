//! What an agent may do, tool by tool, and what it depends on.

use serde::{Deserialize, Serialize};

use super::{Obligations, Policies, Subject, scope};

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
                permits.retain(|rule| !always || !rule.is_builtin());
                let told = |rules: Vec<&super::rule::Rule>| {
                    let told = rules.into_iter().map(|rule| EffectiveRule {
                        id: rule.id().to_owned(),
                        conditional: rule.policy.has_non_scope_constraint(),
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
}
