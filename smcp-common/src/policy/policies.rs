//! Rules in force, ready to be asked.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use cedar_policy::{
    AuthorizationError, Authorizer, Decision as Answer, Entities, Entity, Policy, PolicyId,
    PolicySet, Request, Schema, get_lang_version,
};
use chrono_tz::Tz;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::governed::Governed;
use super::name::Kinds;
use super::rule::{self, Rule};
use super::{
    Action, Decision, Fault, Obligations, Problem, Question, RuleFile, Subject, Verdict, schema,
    scope,
};
use crate::canonical;

/// Of so many agents the entities are kept ready.
const PEOPLE: usize = 256;

/// The built-in rules and an operator's, with the tools that they decide about. Immutable: another rule or another tool
/// makes another one.
#[derive(Debug)]
pub struct Policies {
    pub(super) kinds: Kinds,
    /// By id.
    pub(super) rules: BTreeMap<String, Rule>,
    /// The files of the operator's rules.
    pub(super) files: Vec<RuleFile>,
    pub(super) tools: HashMap<String, Governed>,
    pub(super) schema: Schema,
    pub(super) zone: Tz,
    /// The tools and their groups.
    entities: Entities,
    people: Mutex<HashMap<Subject, Arc<Person>>>,
    hash: String,
    /// What the validator says, asked for when somebody looks.
    pub(super) validated: OnceLock<Vec<Problem>>,
}

/// What is kept ready of an agent.
#[derive(Debug)]
struct Person {
    entities: Entities,
    listed: OnceLock<Arc<BTreeSet<String>>>,
}

/// What Cedar says of a question, whatever the permits ask for.
struct Evaluated {
    allowed: bool,
    rules: Vec<String>,
}

impl Policies {
    /// Makes the rules of `files` ready to decide about `tools`; `zone` is that of weekdays and times of day. Whether the
    /// rules name only what is there is not asked here, but by [`Policies::problems`].
    ///
    /// # Errors
    /// [`Fault::Rules`], with everything that is wrong with single files.
    pub fn compile(files: &[RuleFile], tools: &[Action], zone: Tz) -> Result<Self, Fault> {
        let kinds = Kinds::new()?;
        let rules = rule::read(files).map_err(Fault::Rules)?;
        let mut governed: Vec<_> = tools
            .iter()
            .map(|action| Governed::new(&kinds, action.clone()))
            .collect();
        let schema = schema::build(&mut governed)?;
        // With the schema, as only that brings the groups of tools: without them, rules on groups would match nothing.
        let entities = Entities::from_entities([], Some(&schema))
            .map_err(|_| Fault::Internal("the entities of the tools"))?;
        let tools_by_name: HashMap<_, _> = governed
            .into_iter()
            .map(|tool| (tool.action.name.clone(), tool))
            .collect();
        Ok(Self {
            hash: hash(&rules, zone),
            rules: rules
                .into_iter()
                .map(|rule| (rule.id().to_owned(), rule))
                .collect(),
            files: files.to_vec(),
            tools: tools_by_name,
            schema,
            zone,
            entities,
            people: Mutex::default(),
            kinds,
            validated: OnceLock::new(),
        })
    }

    /// The hash of the rules in hexadecimal: SHA-256 over their ids and meanings, the built-in ones included, the zone and
    /// the version of the language. White space, comments and the order of rules, files and annotations make no difference, nor do the
    /// tools: those are bound by the digests of their plugins.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// What the operator's rules were read from.
    pub fn files(&self) -> &[RuleFile] {
        &self.files
    }

    /// The zone of weekdays and times of day.
    pub const fn zone(&self) -> Tz {
        self.zone
    }

    /// What a `forbid` says to those whom it forbids something, where its author has given words to it.
    pub fn message(&self, rule: &str) -> Option<&str> {
        self.rules.get(rule)?.terms.message.as_deref()
    }

    /// Decides.
    pub fn decide(&self, question: &Question<'_>) -> Decision {
        match self.evaluate(question) {
            Ok(Evaluated { allowed, rules }) if allowed => self.allowed(rules),
            Ok(Evaluated { rules, .. }) => self.decision(Verdict::Deny, rules, None),
            Err((rules, problem)) => self.decision(Verdict::Error, rules, Some(problem)),
        }
    }

    fn allowed(&self, mut rules: Vec<String>) -> Decision {
        let mut permits: Vec<_> = rules.iter().filter_map(|id| self.rules.get(id)).collect();
        if permits.iter().any(|rule| !rule.is_builtin()) {
            permits.retain(|rule| !rule.is_builtin());
            rules = permits.iter().map(|rule| rule.id().to_owned()).collect();
        }
        let asked = permits.iter().map(|rule| &rule.terms.obligations);
        let obligations = Obligations::strictest(asked);
        let verdict = match obligations.approval {
            Some(_) => Verdict::Approval,
            None => Verdict::Allow,
        };
        Decision {
            obligations,
            ..self.decision(verdict, rules, None)
        }
    }

    fn decision(&self, verdict: Verdict, rules: Vec<String>, problem: Option<String>) -> Decision {
        Decision {
            verdict,
            rules,
            obligations: Obligations::default(),
            policy: self.hash.clone(),
            problem,
        }
    }

    /// Asks Cedar. The error has the ids of the rules that could not be evaluated, and why.
    fn evaluate(&self, question: &Question<'_>) -> Result<Evaluated, (Vec<String>, String)> {
        let none = |problem: String| (Vec::new(), problem);
        let tool = self
            .governed(question)
            .ok_or_else(|| none("no rule can know this tool".to_owned()))?;
        let request = self.request(tool, question).map_err(none)?;
        let person = self.person(question.subject).map_err(none)?;
        Self::ask(&request, self.slice(tool), &person.entities)
    }

    /// The tool that is asked about. A plugin's tool of the same name as a built-in one is not that.
    pub(super) fn governed(&self, question: &Question<'_>) -> Option<&Governed> {
        let tool = self.tools.get(question.tool)?;
        (tool.action.plugin == question.plugin).then_some(tool)
    }

    /// One evaluation of `set`.
    fn ask(
        request: &Request,
        set: &PolicySet,
        entities: &Entities,
    ) -> Result<Evaluated, (Vec<String>, String)> {
        let response = Authorizer::new().is_authorized(request, set, entities);
        // Cedar passes over a rule that errs; were it a forbid, the call would get through.
        let erring = sorted(response.diagnostics().errors().map(|error| match error {
            AuthorizationError::PolicyEvaluationError(error) => error.policy_id(),
        }));
        if !erring.is_empty() {
            return Err((erring, "a rule could not be evaluated".to_owned()));
        }
        Ok(Evaluated {
            allowed: response.decision() == Answer::Allow,
            rules: sorted(response.diagnostics().reason()),
        })
    }

    /// The question as Cedar is asked it.
    pub(super) fn request(
        &self,
        tool: &Governed,
        question: &Question<'_>,
    ) -> Result<Request, String> {
        let agent = self.kinds.agent(&question.subject.agent);
        tool.request(question, agent, self.zone, &self.schema)
    }

    /// Whether one rule alone applies; `None` where it cannot be evaluated.
    pub(super) fn alone(
        &self,
        policy: Policy,
        request: &Request,
        subject: &Subject,
    ) -> Option<bool> {
        let set = PolicySet::from_policies([policy]).ok()?;
        let person = self.person(subject).ok()?;
        let evaluated = Self::ask(request, &set, &person.entities).ok()?;
        Some(!evaluated.rules.is_empty())
    }

    /// The rules that can concern `tool`, by id.
    pub(super) fn rules_of<'p>(&'p self, tool: &'p Governed) -> impl Iterator<Item = &'p Rule> {
        let concerns = |rule: &&Rule| {
            scope::covers_action(&self.kinds, &rule.policy, &tool.action)
                && scope::covers_plugin(&self.kinds, &rule.policy, &tool.action.plugin)
        };
        self.rules.values().filter(concerns)
    }

    fn slice<'p>(&'p self, tool: &'p Governed) -> &'p PolicySet {
        tool.slice.get_or_init(|| {
            let rules = self.rules_of(tool).map(|rule| rule.policy.clone());
            // Ids are unique: there is nothing to fail. If it did, a set without permits would deny everything.
            PolicySet::from_policies(rules).unwrap_or_default()
        })
    }

    /// The tools that some arguments and some time could allow the agent, by name: what it is listed. Only the scopes of rules and
    /// forbids without conditions are looked at.
    pub fn listed(&self, subject: &Subject) -> Arc<BTreeSet<String>> {
        match self.person(subject) {
            Ok(person) => Arc::clone(person.listed.get_or_init(|| {
                let tools = self.tools.values();
                let names = tools
                    .filter(|tool| self.could_allow(tool, subject))
                    .map(|tool| tool.action.name.clone());
                Arc::new(names.collect())
            })),
            Err(_) => Arc::default(),
        }
    }

    fn could_allow(&self, tool: &Governed, subject: &Subject) -> bool {
        let mut concerning = self
            .rules_of(tool)
            .filter(|rule| scope::covers_subject(&self.kinds, &rule.policy, subject));
        let mut permitted = false;
        let forbidden = concerning.any(|rule| {
            permitted |= rule.is_permit();
            !rule.is_permit() && !rule.policy.has_non_scope_constraint()
        });
        permitted && !forbidden
    }

    fn person(&self, subject: &Subject) -> Result<Arc<Person>, String> {
        let mut people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(person) = people.get(subject) {
            return Ok(Arc::clone(person));
        }
        if people.len() >= PEOPLE {
            people.clear();
        }
        let groups = subject.groups.iter().map(|group| self.kinds.group(group));
        let agent = Entity::new_no_attrs(self.kinds.agent(&subject.agent), groups.collect());
        let person = Arc::new(Person {
            entities: self
                .entities
                .clone()
                .add_entities([agent], None)
                .map_err(|_| "the agent has no form in rules".to_owned())?,
            listed: OnceLock::new(),
        });
        people.insert(subject.clone(), Arc::clone(&person));
        Ok(person)
    }
}

/// Cedar's order differs from run to run.
fn sorted<'i>(ids: impl Iterator<Item = &'i PolicyId>) -> Vec<String> {
    let ids: BTreeSet<_> = ids.map(ToString::to_string).collect();
    ids.into_iter().collect()
}

/// `rules` are sorted by id.
fn hash(rules: &[Rule], zone: Tz) -> String {
    let mut hash = Sha256::new();
    for rule in rules {
        hash.update(canonical::to_string(&json!([rule.id(), rule.json])));
        hash.update("\n");
    }
    let version = get_lang_version().to_string();
    hash.update(canonical::to_string(&json!([zone.name(), version])));
    canonical::hex(&hash.finalize())
}
