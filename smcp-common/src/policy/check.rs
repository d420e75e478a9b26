//! Whether rules name only what is there, and can mean something: what the validator of Cedar says, and what it does not see.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::ffi::DetailedError;
use cedar_policy::{
    ActionConstraint, PolicySet, ValidationError, ValidationMode, ValidationWarning, Validator,
};

use super::action::{BUILTIN_PLUGIN, GROUPS, PLUGIN_PREFIX};
use super::governed::Governed;
use super::name::Named;
use super::rule::{self, Rule};
use super::{Level, Policies, Problem, lint, scope};

/// The agents and groups that there are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    /// The names of agents.
    pub agents: BTreeSet<String>,
    /// The groups that some agent is in.
    pub groups: BTreeSet<String>,
}

/// What an edit of the rules is measured by.
#[derive(Debug, Clone, Copy, Default)]
pub struct Edit<'e> {
    /// The rules that it is an edit of. A rule that is as it was may name what is not there any more.
    pub of: Option<&'e Policies>,
    /// Whether rules may name tools that are not there yet.
    pub allow_missing: bool,
}

impl Policies {
    /// What somebody should look at in rules that are in force: nothing is an error any more, as the tools have changed and not the
    /// rules.
    pub fn problems(&self, names: &Names) -> Vec<Problem> {
        let mut problems = self.validated().clone();
        for problem in &mut problems {
            problem.level = problem.level.max(Level::Stale);
        }
        problems.extend(self.strangers(names));
        sorted(problems)
    }

    /// What is wrong with these rules as an edit; it is to be refused where that has an error.
    pub fn problems_as(&self, edit: Edit<'_>, names: &Names) -> Vec<Problem> {
        let mut problems = self.validated().clone();
        for problem in problems
            .iter_mut()
            .filter(|problem| problem.level == Level::Error)
        {
            let rule = problem.rule.as_ref().and_then(|id| self.rules.get(id));
            let is_excused = rule.is_some_and(|rule| {
                edit.of.is_some_and(|before| before.has_same(rule))
                    || edit.allow_missing && self.names_a_missing_tool(rule)
            });
            if is_excused {
                problem.level = Level::Stale;
            }
        }
        problems.extend(self.strangers(names));
        sorted(problems)
    }

    fn has_same(&self, rule: &Rule) -> bool {
        let before = self.rules.get(rule.id());
        before.is_some_and(|before| before.json == rule.json)
    }

    /// What the tools say to the rules; as if all rules were new.
    fn validated(&self) -> &Vec<Problem> {
        self.validated.get_or_init(|| {
            let set = PolicySet::from_policies(self.rules.values().map(|rule| rule.policy.clone()));
            let validator = Validator::new(self.schema.clone());
            let result = validator.validate(&set.unwrap_or_default(), ValidationMode::Strict);
            let mut found = Found::default();
            for error in result.validation_errors() {
                self.error(error, &mut found);
            }
            for warning in result.validation_warnings() {
                self.warning(warning, &mut found);
            }
            let mut problems = found.into_problems();
            for rule in self.rules.values().filter(|rule| !rule.is_builtin()) {
                problems.extend(self.lint(rule));
            }
            sorted(problems)
        })
    }

    fn error(&self, error: &ValidationError, found: &mut Found) {
        if let Some(rule) = self.rule(error.policy_id().as_ref()) {
            found.vain.insert(rule.id().to_owned());
            found.add(Level::Error, rule, &DetailedError::from(error));
        }
    }

    fn warning(&self, warning: &ValidationWarning, found: &mut Found) {
        let Some(rule) = self.rule(warning.policy_id().as_ref()) else {
            return;
        };
        let mut error = DetailedError::from(warning);
        let mut level = Level::Warning;
        if let ValidationWarning::ImpossiblePolicy(_)
        | ValidationWarning::InvalidActionApplication(_) = warning
        {
            // What is wrong enough to be an error makes it impossible, too.
            if !found.vain.insert(rule.id().to_owned()) {
                return;
            }
            (error.message, error.help) = self.in_vain(rule);
            error.source_locations.clear();
            // A forbid that never applies is a hole. One for groups that have no tools yet is a precaution, and without any tool
            // of a plugin nothing can be told.
            if !rule.is_permit() && !self.awaits_tools(rule) && self.has_tools_of_plugins() {
                level = Level::Error;
            }
        }
        found.add(level, rule, &error);
    }

    /// Why a rule never applies, and what may help.
    fn in_vain(&self, rule: &Rule) -> (String, Option<String>) {
        if self.awaits_tools(rule) {
            return ("no tool is in the groups that it names".to_owned(), None);
        }
        if let ActionConstraint::Eq(uid) = rule.policy.action_constraint()
            && let Named::Action(name) = self.kinds.name(&uid)
            && self.is_group(name)
        {
            let message = format!("it never applies: {uid} is a group, which no call is equal to");
            return (message, Some(format!("write: action in {uid}")));
        }
        (
            "it never applies: its condition is false for every call".to_owned(),
            None,
        )
    }

    fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules.get(id).filter(|rule| !rule.is_builtin())
    }

    fn is_group(&self, name: &str) -> bool {
        GROUPS.contains(&name)
            || self
                .tools
                .values()
                .any(|tool| tool.action.groups.iter().any(|group| group == name))
    }

    fn has_tools_of_plugins(&self) -> bool {
        let mut tools = self.tools.values();
        tools.any(|tool| tool.action.plugin != BUILTIN_PLUGIN)
    }

    /// Whether it names groups that no tool is in.
    fn awaits_tools(&self, rule: &Rule) -> bool {
        !matches!(rule.policy.action_constraint(), ActionConstraint::Eq(_))
            && self.covered(rule).is_empty()
    }

    fn names_a_missing_tool(&self, rule: &Rule) -> bool {
        let literals = rule.policy.entity_literals();
        literals.iter().any(|uid| match self.kinds.name(uid) {
            Named::Action(name) => !self.tools.contains_key(name) && !self.is_group(name),
            Named::Agent(_) | Named::Group(_) | Named::Plugin(_) | Named::Unknown => false,
        })
    }

    fn covered(&self, rule: &Rule) -> Vec<&Governed> {
        let tools = self.tools.values();
        tools
            .filter(|tool| scope::covers_action(&self.kinds, &rule.policy, &tool.action))
            .collect()
    }

    fn lint(&self, rule: &Rule) -> Vec<Problem> {
        let text = rule.text();
        lint::findings(&rule.json, &self.covered(rule))
            .into_iter()
            .map(|finding| {
                let within = text.find(&finding.literal).unwrap_or_default();
                rule::at(
                    &rule.file,
                    rule.offset + within,
                    Some(rule.id()),
                    finding.message,
                    None,
                )
            })
            .collect()
    }

    /// Agents, groups and plugins that nobody knows.
    fn strangers(&self, names: &Names) -> Vec<Problem> {
        let mut problems = Vec::new();
        for rule in self.rules.values().filter(|rule| !rule.is_builtin()) {
            let text = rule.text();
            let mut warn = |written: &str, message: String| {
                let within = text.find(written).unwrap_or_default();
                let offset = rule.offset + within;
                let error = rule::at(&rule.file, offset, Some(rule.id()), message, None);
                problems.push(Problem {
                    level: Level::Warning,
                    ..error
                });
            };
            let literals: BTreeSet<_> = rule.policy.entity_literals().into_iter().collect();
            for uid in literals {
                let message = match self.kinds.name(&uid) {
                    Named::Agent(name) if !names.agents.contains(name) => {
                        format!("there is no agent '{name}' yet")
                    }
                    Named::Group(name) if !names.groups.contains(name) => {
                        format!("no agent is in a group '{name}' yet")
                    }
                    Named::Plugin(name) if !self.has_plugin(name) => {
                        format!("there is no plugin '{name}' now")
                    }
                    Named::Agent(_)
                    | Named::Group(_)
                    | Named::Plugin(_)
                    | Named::Action(_)
                    | Named::Unknown => continue,
                };
                warn(&uid.to_string(), message);
            }
            let approval = rule.terms.obligations.approval.iter();
            for group in approval.flat_map(|approval| &approval.groups) {
                if !names.groups.contains(group) {
                    let message =
                        format!("no agent is in the group '{group}', so that nobody can approve");
                    warn("@requireApproval", message);
                }
            }
        }
        problems
    }

    fn has_plugin(&self, name: &str) -> bool {
        let group = format!("{PLUGIN_PREFIX}{name}");
        self.tools
            .values()
            .any(|tool| tool.action.plugin == name || tool.action.groups.contains(&group))
    }
}

/// What the validator says, where it says the same of each tool that a rule covers, once.
#[derive(Default)]
struct Found {
    by_place: BTreeMap<(String, usize, Level), (Problem, usize)>,
    /// The rules of which it is known that they never apply, or that has no meaning.
    vain: BTreeSet<String>,
}

impl Found {
    fn add(&mut self, level: Level, rule: &Rule, error: &DetailedError) {
        let prefix = format!("for policy `{}`, ", rule.id());
        let message = error
            .message
            .strip_prefix(&prefix)
            .unwrap_or(&error.message);
        let label = error.source_locations.first();
        let offset = label.map_or(rule.offset, |label| label.loc.start);
        let problem = Problem {
            level,
            ..rule::at(
                &rule.file,
                offset,
                Some(rule.id()),
                message.to_owned(),
                error.help.clone(),
            )
        };
        self.by_place
            .entry((rule.id().to_owned(), offset, level))
            .and_modify(|(known, times)| {
                *times += 1;
                // Which tool comes first must not change from run to run.
                if problem.message < known.message {
                    *known = problem.clone();
                }
            })
            .or_insert((problem, 1));
    }

    fn into_problems(self) -> Vec<Problem> {
        self.by_place
            .into_values()
            .map(|(mut problem, times)| {
                if times > 1 {
                    problem
                        .message
                        .push_str(&format!("; and so for {} more", times - 1));
                }
                problem
            })
            .collect()
    }
}

fn sorted(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by(|a, b| {
        let place = |problem: &Problem| {
            (
                problem.level,
                problem.file.clone(),
                problem.line,
                problem.column,
            )
        };
        place(a).cmp(&place(b))
    });
    problems
}
