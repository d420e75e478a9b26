//! The tools of plugins as the API serves them: read from the catalogue, ready to validate arguments.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::Validator;
use serde_json::{Map, Value};
use smcp_common::plugin::{Tool, normalise};
use smcp_common::queue::{Queue, QueueError};

use crate::output_schema::OutputSchema;
use crate::refusal::Refusal;

/// The tools, read again when the catalogue has changed.
#[derive(Debug, Default)]
pub struct ToolTable(Mutex<Arc<Tools>>);

/// The tools of one version of the catalogue, by name.
#[derive(Debug, Default)]
pub struct Tools {
    version: i64,
    by_name: BTreeMap<String, PluginTool>,
    problems: Vec<(String, String)>,
}

/// A plugin's tool that can be called.
#[derive(Debug)]
pub struct PluginTool {
    /// What the plugin says of it.
    pub tool: Tool,
    /// What its arguments must look like.
    pub input_schema: Map<String, Value>,
    /// What its structured output must look like; `None` where it declares nothing that can be used.
    pub output_schema: Option<OutputSchema>,
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
        let all = catalogue
            .plugins
            .into_iter()
            .flat_map(|plugin| plugin.tools);
        let (mut by_name, mut problems) = (BTreeMap::new(), Vec::new());
        for tool in all {
            let (name, plugin) = (tool.name.to_string(), tool.plugin.clone());
            let (tool, found) = PluginTool::new(tool);
            if let Some(tool) = tool {
                by_name.insert(name, tool);
            }
            problems.extend(found.into_iter().map(|problem| (plugin.clone(), problem)));
        }
        Ok(Self {
            version: catalogue.version,
            by_name,
            problems,
        })
    }

    /// What is wrong with the schemas of a plugin's tools.
    pub fn problems<'t>(&'t self, plugin: &'t str) -> impl Iterator<Item = &'t str> {
        let of_plugin = self.problems.iter().filter(move |(of, _)| of == plugin);
        of_plugin.map(|(_, problem)| problem.as_str())
    }

    /// The tool of that name; `plugin.command`, as older clients write it, means `plugin__command`.
    pub fn find(&self, name: &str) -> Option<&PluginTool> {
        self.by_name
            .get(name)
            .or_else(|| self.by_name.get(&name.replacen('.', "__", 1)))
    }

    /// All tools, by name.
    pub fn all(&self) -> impl Iterator<Item = &PluginTool> {
        self.by_name.values()
    }

    /// The names of all tools, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// Whether there is a tool of exactly that name.
    pub fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.by_name.len()
    }
}

impl PluginTool {
    /// The tool, unless its arguments could not be checked; and what is wrong with its schemas.
    fn new(tool: Tool) -> (Option<Self>, Vec<String>) {
        let mut problems = Vec::new();
        let Value::Object(input_schema) = tool.input_schema() else {
            return (None, problems);
        };
        let validator = jsonschema::validator_for(&Value::Object(input_schema.clone()))
            .map_err(|error| {
                format!(
                    "{} is left out: its input schema cannot be used: {error}",
                    tool.name
                )
            })
            .map_err(|problem| problems.push(problem))
            .ok();
        let output_schema = tool
            .output_schema
            .as_ref()
            .map(OutputSchema::new)
            .transpose();
        let output_schema = output_schema
            .map_err(|error| {
                format!(
                    "{} is served without its output_schema, which cannot be used: {error}",
                    tool.name
                )
            })
            .map_err(|problem| problems.push(problem))
            .ok()
            .flatten();
        for problem in &problems {
            tracing::warn!(tool.name = %tool.name, problem, "a schema of a tool cannot be used");
        }
        let served = validator.map(|validator| Self {
            tool,
            input_schema,
            output_schema,
            validator,
        });
        (served, problems)
    }

    /// Exactly the arguments that will run: spelled as declared, defaults filled in, nulls dropped.
    ///
    /// # Errors
    /// `invalid_arguments`, which names each argument and what was expected.
    pub fn arguments(&self, given: Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
        let arguments = normalise(&self.tool, given);
        let problems = problems(
            &self.validator,
            &Value::Object(arguments.clone()),
            "argument",
        );
        if problems.is_empty() {
            return Ok(arguments);
        }
        let parameters = self.tool.parameters.iter();
        let known: Vec<_> = parameters
            .map(|parameter| parameter.name.as_str())
            .collect();
        Err(unfit(self.tool.name.as_str(), &problems, &known))
    }
}

/// What is wrong with `instance`, one finding a `part` of it; values are not repeated, as they may be secrets.
pub(crate) fn problems(validator: &Validator, instance: &Value, part: &str) -> Vec<String> {
    let word = |error: jsonschema::ValidationError<'_>| {
        let place = error.instance_path().to_string();
        let place = place.trim_start_matches('/').replace('/', ".");
        let said = error.masked().to_string();
        if place.is_empty() {
            said
        } else {
            format!("{part} '{place}': {said}")
        }
    };
    validator.iter_errors(instance).take(10).map(word).collect()
}

/// The refusal that names every problem, and the parameters that there are.
pub(crate) fn unfit(tool: &str, problems: &[String], known: &[&str]) -> Refusal {
    let parameters = if known.is_empty() {
        "none".to_owned()
    } else {
        known.join(", ")
    };
    Refusal::invalid_arguments(format!(
        "Invalid arguments for {tool}: {}. Its parameters are: {parameters}.",
        problems.join("; ")
    ))
}
