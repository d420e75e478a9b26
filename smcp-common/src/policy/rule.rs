//! Files of rules: each read by itself, each rule with its name and its place.

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy::ffi::DetailedError;
use cedar_policy::{Effect, ParseErrors, Policy, PolicyId, PolicySet};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::problem::position;
use super::terms::{Misfit, Terms};
use super::{Level, Problem};

/// The name under which the built-in rules are shown.
const BUILTIN_FILE: &str = "builtin";
const BUILTIN_RULES: &str = include_str!("builtin.cedar");
/// What the ids of built-in rules begin with, and no others.
const BUILTIN_PREFIX: &str = "builtin:";

/// A file of rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleFile {
    /// Its name in the directory of rules, such as `deploy.cedar`.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// A rule.
#[derive(Debug)]
pub(super) struct Rule {
    /// Under its `@id`.
    pub policy: Policy,
    /// What its annotations say.
    pub terms: Terms,
    /// Its meaning as JSON: without comments, white space and the order of annotations.
    pub json: Value,
    /// Its file.
    pub file: Arc<RuleFile>,
    /// Where it begins there, in bytes.
    pub offset: usize,
    /// Where that is as line and column.
    pub position: (usize, usize),
}

impl Rule {
    pub(super) fn id(&self) -> &str {
        &self.terms.id
    }

    pub(super) fn is_builtin(&self) -> bool {
        self.id().starts_with(BUILTIN_PREFIX)
    }

    pub(super) fn is_permit(&self) -> bool {
        self.policy.effect() == Effect::Permit
    }

    /// As it was written.
    pub(super) fn text(&self) -> String {
        self.policy.to_cedar().unwrap_or_default()
    }
}

/// The built-in rules and those of `files`, sorted by id.
///
/// # Errors
/// Everything that is wrong with single files, and with the ids.
pub(super) fn read(files: &[RuleFile]) -> Result<Vec<Rule>, Vec<Problem>> {
    let builtin = Arc::new(RuleFile {
        name: BUILTIN_FILE.to_owned(),
        text: BUILTIN_RULES.to_owned(),
    });
    let files = files.iter().cloned().map(Arc::new);
    let mut problems = Vec::new();
    let mut by_id: BTreeMap<String, Rule> = BTreeMap::new();
    for file in std::iter::once(Arc::clone(&builtin)).chain(files) {
        for rule in read_file(&file, &mut problems) {
            if rule.is_builtin() && !Arc::ptr_eq(&file, &builtin) {
                let message =
                    format!("an id that begins with {BUILTIN_PREFIX} is for built-in rules");
                problems.push(at(&file, rule.offset, Some(rule.id()), message, None));
            } else if let Some(first) = by_id.get(rule.id()) {
                let (line, column) = first.position;
                let message = format!(
                    "there is another rule of this id in {}:{line}:{column}",
                    first.file.name
                );
                problems.push(at(&file, rule.offset, Some(rule.id()), message, None));
            } else {
                by_id.insert(rule.id().to_owned(), rule);
            }
        }
    }
    if problems.is_empty() {
        Ok(by_id.into_values().collect())
    } else {
        Err(problems)
    }
}

fn read_file(file: &Arc<RuleFile>, problems: &mut Vec<Problem>) -> Vec<Rule> {
    let set: PolicySet = match file.text.parse() {
        Ok(set) => set,
        Err(errors) => {
            problems.extend(unparsable(file, &errors));
            return Vec::new();
        }
    };
    for template in set.templates() {
        let offset = file.text.find(&template.to_cedar()).unwrap_or_default();
        let message =
            "a template (?principal, ?resource) would apply to nobody; write the rule out";
        problems.push(at(file, offset, None, message.to_owned(), None));
    }
    // Cedar numbers them as they come, and hands them out in any order.
    let mut policies: Vec<_> = set.policies().collect();
    policies.sort_unstable_by_key(|policy| number(policy));
    let mut end = 0;
    let mut rules = Vec::new();
    for policy in policies {
        let text = policy.to_cedar().unwrap_or_default();
        let rest = file.text.get(end..).unwrap_or_default();
        let offset = end + rest.find(&text).unwrap_or_default();
        end = offset + text.len();
        match (Terms::read(policy), policy.to_json()) {
            (Ok(terms), Ok(json)) => rules.push(Rule {
                policy: policy.new_id(PolicyId::new(&terms.id)),
                terms,
                json,
                file: Arc::clone(file),
                offset,
                position: position(&file.text, offset),
            }),
            (Ok(terms), Err(error)) => {
                problems.push(at(file, offset, Some(&terms.id), error.to_string(), None));
            }
            (Err(misfits), _) => {
                let id = policy.annotation("id").filter(|id| !id.is_empty());
                for misfit in misfits {
                    problems.push(unfit(file, offset, &text, id, &misfit));
                }
            }
        }
    }
    rules
}

/// The number in Cedar's own id, `policy12`.
fn number(policy: &Policy) -> usize {
    let id: &str = policy.id().as_ref();
    id.trim_start_matches("policy")
        .parse()
        .unwrap_or(usize::MAX)
}

fn unparsable(file: &RuleFile, errors: &ParseErrors) -> Vec<Problem> {
    errors
        .iter()
        .map(|error| {
            let error = DetailedError::from(error);
            let label = error.source_locations.first();
            let offset = label.map_or(0, |label| label.loc.start);
            let said = label.and_then(|label| label.label.clone());
            let message = match said {
                Some(said) => format!("{}: {said}", error.message),
                None => error.message,
            };
            at(file, offset, None, message, error.help)
        })
        .collect()
}

fn unfit(file: &RuleFile, offset: usize, text: &str, id: Option<&str>, misfit: &Misfit) -> Problem {
    let Misfit {
        annotation,
        message,
    } = misfit;
    if annotation.is_empty() {
        return at(file, offset, id, message.clone(), None);
    }
    let written = format!("@{annotation}");
    let within = text.find(&written).unwrap_or_default();
    at(
        file,
        offset + within,
        id,
        format!("{written} {message}"),
        None,
    )
}

/// An error at a byte of a file.
pub(super) fn at(
    file: &RuleFile,
    offset: usize,
    rule: Option<&str>,
    message: String,
    help: Option<String>,
) -> Problem {
    let (line, column) = position(&file.text, offset);
    Problem {
        level: Level::Error,
        file: file.name.clone(),
        line,
        column,
        rule: rule.map(str::to_owned),
        message,
        help,
    }
}
