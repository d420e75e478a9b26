//! The tools of plugins as the API serves them: read from the catalogue, ready to validate arguments.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::Validator;
use serde_json::{Map, Value};
use smcp_common::plugin::{Integrity, Tool, ToolName, normalise};
use smcp_common::queue::{Queue, QueueError};

use crate::output_schema::OutputSchema;
use crate::refusal::Refusal;

/// The tools, read again when the catalogue has changed.
#[derive(Debug)]
pub struct ToolTable(Mutex<Arc<Tools>>);

/// The tools of one version of the catalogue, by name.
#[derive(Debug, Default)]
pub struct Tools {
    version: i64,
    by_name: BTreeMap<String, PluginTool>,
    problems: Vec<(String, String)>,
    /// Plugins whose tools are not served, and whether anything of them was ever accepted.
    quarantined: BTreeMap<String, bool>,
    aliases: Aliases,
}

/// The operator's names for tools, each with the tool's own.
type Aliases = Arc<BTreeMap<String, ToolName>>;

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
    /// No tools yet; `aliases` are other names for those that will come.
    pub fn new(aliases: BTreeMap<String, ToolName>) -> Self {
        let tools = Tools {
            aliases: Arc::new(aliases),
            ..Tools::default()
        };
        Self(Mutex::new(Arc::new(tools)))
    }

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
        let tools = Arc::new(Tools::read(queue, &known.aliases)?);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&tools);
        Ok(tools)
    }
}

impl Tools {
    fn read(queue: &Queue, aliases: &Aliases) -> Result<Self, QueueError> {
        let catalogue = queue.catalogue()?;
        let quarantined = catalogue.plugins.iter().filter_map(|plugin| {
            let Some(Integrity::Quarantined { accepted }) = &plugin.integrity else {
                return None;
            };
            Some((plugin.name.clone(), accepted.is_some()))
        });
        let quarantined = quarantined.collect();
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
            quarantined,
            aliases: Arc::clone(aliases),
        })
    }

    /// What is wrong with the schemas of a plugin's tools.
    pub fn problems<'t>(&'t self, plugin: &'t str) -> impl Iterator<Item = &'t str> {
        let of_plugin = self.problems.iter().filter(move |(of, _)| of == plugin);
        of_plugin.map(|(_, problem)| problem.as_str())
    }

    /// The quarantined plugin that a tool of that name would belong to, and whether anything of it was ever accepted.
    pub fn quarantined(&self, name: &str) -> Option<(&str, bool)> {
        let belongs = |plugin: &str| {
            let command = name.strip_prefix(plugin);
            command.is_some_and(|command| command.starts_with("__"))
        };
        let mut quarantined = self.quarantined.iter();
        let (plugin, accepted) = quarantined.find(|(plugin, _)| belongs(plugin))?;
        Some((plugin, *accepted))
    }

    /// The tool of that name: its own, an alias, or `plugin.command`, as older clients write `plugin__command`.
    pub fn find(&self, name: &str) -> Option<&PluginTool> {
        self.named(name)
            .or_else(|| self.by_name.get(&name.replacen('.', "__", 1)))
    }

    /// The tool of exactly that name, its own or an alias.
    pub fn named(&self, name: &str) -> Option<&PluginTool> {
        let aliased = || self.by_name.get(self.aliased(name)?);
        self.by_name.get(name).or_else(aliased)
    }

    /// The own name of the tool of exactly that name; what is no tool stays as it is.
    pub fn own_name(&self, name: String) -> String {
        let tool = self.named(&name);
        tool.map_or(name, |tool| tool.tool.name.to_string())
    }

    /// The own name of the tool that an alias stands for, whether or not there is such a tool.
    pub fn aliased(&self, alias: &str) -> Option<&str> {
        self.aliases.get(alias).map(ToolName::as_str)
    }

    /// All tools, each under the names that callers are shown: its aliases, else its own.
    pub fn listed(&self) -> impl Iterator<Item = (&str, &PluginTool)> {
        // A tool's own name wins over an alias that is spelled the same, which is of no effect then.
        let in_effect = |alias: &str| !self.by_name.contains_key(alias);
        let aliases: Vec<_> = self
            .aliases
            .iter()
            .filter(|(alias, _)| in_effect(alias))
            .filter_map(|(alias, tool)| Some((alias.as_str(), self.by_name.get(tool.as_str())?)))
            .collect();
        let renamed: BTreeSet<_> = aliases.iter().map(|(_, tool)| &tool.tool.name).collect();
        let own = self
            .by_name
            .iter()
            .map(|(name, tool)| (name.as_str(), tool));
        let own: Vec<_> = own
            .filter(|(_, tool)| !renamed.contains(&tool.tool.name))
            .collect();
        own.into_iter().chain(aliases)
    }

    /// The own names of all tools, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
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
