//! The tools of plugins as the API serves them: read from the catalogue, ready to validate arguments.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::Validator;
use serde_json::{Map, Value};
use smcp_common::plugin::{Tool, normalise};
use smcp_common::queue::{Queue, QueueError};

use crate::refusal::Refusal;

/// The tools, read again when the catalogue has changed.
#[derive(Debug, Default)]
pub struct ToolTable(Mutex<Arc<Tools>>);

/// The tools of one version of the catalogue, by name.
#[derive(Debug, Default)]
pub struct Tools {
    version: i64,
    tools: BTreeMap<String, PluginTool>,
}

/// A plugin's tool that can be called.
#[derive(Debug)]
pub struct PluginTool {
    /// What the plugin says of it.
    pub tool: Tool,
    /// What its arguments must look like.
    pub input_schema: Map<String, Value>,
    validator: Validator,
}

impl ToolTable {
    /// The tools of the current catalogue.
    ///
    /// # Errors
    /// Database errors.
    pub fn current(&self, queue: &Queue) -> Result<Arc<Tools>, QueueError> {
        let version = queue.catalogue_version()?;
        let known = Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if known.version == version {
            return Ok(known);
        }
        let tools = Arc::new(Tools::read(queue)?);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&tools);
        Ok(tools)
    }
}

impl Tools {
    fn read(queue: &Queue) -> Result<Self, QueueError> {
        let catalogue = queue.catalogue()?;
        let all = catalogue.plugins.into_iter().flat_map(|plugin| plugin.tools);
        let tools = all.filter_map(|tool| Some((tool.name.to_string(), PluginTool::new(tool)?))).collect();
        Ok(Self { version: catalogue.version, tools })
    }

    /// The tool of that name; `plugin.command`, as older clients write it, means `plugin__command`.
    pub fn find(&self, name: &str) -> Option<&PluginTool> {
        self.tools.get(name).or_else(|| self.tools.get(&name.replacen('.', "__", 1)))
    }

    /// All tools, by name.
    pub fn all(&self) -> impl Iterator<Item = &PluginTool> {
        self.tools.values()
    }

    /// The names of all tools, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tools.keys().map(String::as_str)
    }

    /// Whether there is a tool of exactly that name.
    pub fn has(&self, name: &str) -> bool {
        self.tools.contains_key(name)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.tools.len()
    }
}

impl PluginTool {
    fn new(tool: Tool) -> Option<Self> {
        let Value::Object(input_schema) = tool.input_schema() else { return None };
        match jsonschema::validator_for(&Value::Object(input_schema.clone())) {
            Ok(validator) => Some(Self { tool, input_schema, validator }),
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(tool.name = %tool.name, error, "a tool is left out: its input schema cannot be used");
                None
            }
        }
    }

    /// Exactly the arguments that will run: spelled as declared, defaults filled in, nulls dropped.
    ///
    /// # Errors
    /// `invalid_arguments`, which names each argument and what was expected.
    pub fn arguments(&self, given: Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
        let arguments = Value::Object(normalise(&self.tool, given));
        let problems = problems(&self.validator, &arguments);
        match arguments {
            Value::Object(arguments) if problems.is_empty() => Ok(arguments),
            _ => {
                let known: Vec<_> = self.tool.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
                Err(unfit(self.tool.name.as_str(), &problems, &known))
            }
        }
    }
}

/// What is wrong with `instance`, one finding an argument; values are not repeated, as they may be secrets.
pub(crate) fn problems(validator: &Validator, instance: &Value) -> Vec<String> {
    let word = |error: jsonschema::ValidationError<'_>| {
        let place = error.instance_path().to_string();
        let place = place.trim_start_matches('/').replace('/', ".");
        let said = error.masked().to_string();
        if place.is_empty() { said } else { format!("argument '{place}': {said}") }
    };
    validator.iter_errors(instance).take(10).map(word).collect()
}

/// The refusal that names every problem, and the parameters that there are.
pub(crate) fn unfit(tool: &str, problems: &[String], known: &[&str]) -> Refusal {
    let parameters = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Refusal::invalid_arguments(format!(
        "Invalid arguments for {tool}: {}. Its parameters are: {parameters}.",
        problems.join("; ")
    ))
}
