//! A built-in tool: what is said of it, and what carries it out.

use std::future::Future;
use std::pin::Pin;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Map, Value};
use smcp_common::policy::{ADMINISTER, FOLLOW};

use crate::app::App;
use crate::caller::Caller;
use crate::refusal::Refusal;

pub(super) type Answer<'a> = Pin<Box<dyn Future<Output = Result<Value, Refusal>> + Send + 'a>>;
pub(super) type Run = for<'a> fn(&'a App, &'a Caller, Value) -> Answer<'a>;

/// A built-in tool.
pub struct Builtin {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) input_schema: Value,
    pub(super) changes: Changes,
    /// Its action group in rules.
    pub(super) group: &'static str,
    is_told_once: bool,
    pub(super) run: Run,
    pub(super) validator:
        LazyLock<Option<Validator>, Box<dyn FnOnce() -> Option<Validator> + Send>>,
}

/// What a tool does to the world, for its annotations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Changes {
    Nothing,
    /// Something, and the same however often it is called.
    Once,
    /// Something with each call.
    Each,
}

impl Builtin {
    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// True where its arguments must be kept nowhere: neither stored, nor logged, nor given back to the client to show
    /// them again.
    pub fn takes_secrets(&self) -> bool {
        self.secrets().next().is_some()
    }

    /// True where calling it again does nothing more than calling it once.
    pub fn may_repeat(&self) -> bool {
        match self.changes {
            Changes::Nothing | Changes::Once => true,
            Changes::Each => false,
        }
    }

    /// True where its answer holds a key: it must not be kept for a client that loses it.
    pub const fn is_told_once(&self) -> bool {
        self.is_told_once
    }

    pub(super) fn new(
        name: &'static str,
        description: &'static str,
        changes: Changes,
        properties: &Value,
        required: &[&str],
        run: Run,
    ) -> Self {
        let input_schema = serde_json::json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        });
        let schema = input_schema.clone();
        let validator: Box<dyn FnOnce() -> Option<Validator> + Send> =
            Box::new(move || jsonschema::validator_for(&schema).ok());
        Self {
            name,
            description,
            input_schema,
            changes,
            group: FOLLOW,
            is_told_once: false,
            run,
            validator: LazyLock::new(validator),
        }
    }

    /// Its arguments as they will be taken: what is absent is what the schema says.
    pub(crate) fn with_defaults(&self, mut arguments: Map<String, Value>) -> Map<String, Value> {
        let properties = self.input_schema["properties"].as_object();
        for (name, property) in properties.into_iter().flatten() {
            if let Some(default) = property.get("default")
                && !arguments.contains_key(name)
            {
                arguments.insert(name.clone(), default.clone());
            }
        }
        arguments
    }

    /// The names of its secret arguments, which its schema marks as `writeOnly`.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &String> {
        let properties = self.input_schema["properties"].as_object();
        let secret = properties.into_iter().flatten();
        secret
            .filter(|(_, property)| property["writeOnly"] == true)
            .map(|(name, _)| name)
    }

    /// The same tool, for administrators: what it changes or shows is everybody's.
    pub(super) fn for_operators(mut self) -> Self {
        self.group = ADMINISTER;
        self
    }

    /// The same, with an answer that is kept nowhere.
    pub(super) fn told_once(mut self) -> Self {
        self.is_told_once = true;
        self
    }
}

impl std::fmt::Debug for Builtin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builtin")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
