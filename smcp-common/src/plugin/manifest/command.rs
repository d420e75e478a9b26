//! One entry of `commands`.

use std::collections::HashMap;

use serde_json::Value;

use super::fields::{Fields, Findings};
use crate::job::{Effect, Retry, RetryOn};
use crate::plugin::name::is_name_character;
use crate::plugin::parameter::canonical;
use crate::plugin::{Annotations, Lane, OnDisconnect, Output, Parameter, Template, Tool, ToolName};
use crate::sandbox::Terms;

/// A command as declared: a tool that does not know its plugin yet.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Command {
    pub(super) name: String,
    description: Option<String>,
    parameters: Vec<Parameter>,
    own_schema: Option<Value>,
    annotations: Annotations,
    timeout_ms: Option<u64>,
    effect: Effect,
    lane: Lane,
    retry: Option<Retry>,
    on_disconnect: OnDisconnect,
    output: Output,
    output_schema: Option<Value>,
    pub(super) secrets: Option<Vec<String>>,
    sandbox: Option<Terms>,
    stores: Vec<String>,
}

impl Command {
    /// Reads the command at `path`; nothing where it has no name that could be called.
    pub(super) fn read(value: &Value, path: &str, findings: &mut Findings) -> Option<Self> {
        let mut fields = Fields::of_value(value, path.to_owned(), &KEYS, findings)?;
        let name = name(&mut fields);
        let description = fields
            .string("description")
            .filter(|text| !text.is_empty())
            .map(str::to_owned);
        let (own_schema, parameters) = match super::input::read(&mut fields) {
            Some((schema, parameters)) => (Some(schema), parameters),
            None => (None, parameters(&mut fields)),
        };
        let annotations = annotations(&mut fields);
        let effect = fields
            .one_of("effect", &EFFECTS, Effect::as_str)
            .unwrap_or_else(|| annotations.effect());
        let timeout_ms = timeout(&mut fields);
        let lane = lane(&mut fields, &parameters);
        let retry = retry(&mut fields);
        let on_disconnect = fields
            .one_of("on_disconnect", &OnDisconnect::ALL, OnDisconnect::as_str)
            .unwrap_or_default();
        let (output, output_schema) = output(&mut fields);
        let secrets = super::secrets::command(&mut fields);
        let sandbox = super::wishes::sandbox(&mut fields);
        let stores = super::secrets::stores(&mut fields);
        Some(Self {
            name: name?,
            description,
            parameters,
            own_schema,
            annotations: annotations.hinting(effect),
            timeout_ms,
            effect,
            lane,
            retry,
            on_disconnect,
            output,
            output_schema,
            secrets,
            sandbox,
            stores,
        })
    }

    /// This command as the tool `name` of `plugin`.
    pub(super) fn into_tool(self, name: ToolName, plugin: &str) -> Tool {
        Tool {
            name,
            plugin: plugin.to_owned(),
            description: self
                .description
                .unwrap_or_else(|| Tool::default_description(plugin, &self.name)),
            command: self.name,
            parameters: self.parameters,
            own_schema: self.own_schema,
            open: false,
            annotations: self.annotations,
            timeout_ms: self.timeout_ms,
            effect: self.effect,
            lane: self.lane,
            retry: self.retry,
            on_disconnect: self.on_disconnect,
            output: self.output,
            output_schema: self.output_schema,
            secrets: self.secrets,
            sandbox: self.sandbox,
            stores: self.stores,
        }
    }
}

pub(super) const KEYS: [&str; 16] = [
    "name",
    "description",
    "parameters",
    "input_schema",
    "annotations",
    "timeout_seconds",
    "retry",
    "lane",
    "parallel",
    "effect",
    "on_disconnect",
    "output",
    "output_schema",
    "secrets",
    "sandbox",
    "stores",
];
pub(super) const ANNOTATION_KEYS: [&str; 5] = [
    "title",
    "readOnlyHint",
    "destructiveHint",
    "idempotentHint",
    "openWorldHint",
];
pub(super) const RETRY_KEYS: [&str; 5] =
    ["max_attempts", "initial_ms", "factor", "max_ms", "retry_on"];
pub(super) const EFFECTS: [Effect; 3] = [Effect::ReadOnly, Effect::Idempotent, Effect::Once];

const YEAR_SECONDS: f64 = 31_536_000.0;
const DAY_MS: u64 = 86_400_000;

fn name(fields: &mut Fields<'_, '_>) -> Option<String> {
    let name = fields.name()?;
    if !name.chars().all(is_name_character) {
        fields.wrong(
            "name",
            format!(
                "'{name}' must match ^[a-zA-Z0-9_-]+$, as it becomes a part of the tool's name"
            ),
        );
    }
    Some(name.to_owned())
}

fn parameters(fields: &mut Fields<'_, '_>) -> Vec<Parameter> {
    let mut kept: Vec<Parameter> = Vec::new();
    let mut known = HashMap::new();
    for (j, value) in fields
        .array("parameters")
        .unwrap_or_default()
        .iter()
        .enumerate()
    {
        let key = format!("parameters[{j}]");
        let path = fields.at(&key);
        let Some(parameter) = super::parameter::read(value, path, fields.findings()) else {
            continue;
        };
        // Refusing the plugin would be stricter than the original, under which such plugins run.
        if let Some(first) = known.get(&canonical(&parameter.name)) {
            fields.ignored(
                &key,
                format!("is ignored: it is the same flag as parameters[{first}]"),
            );
            continue;
        }
        known.insert(canonical(&parameter.name), j);
        kept.push(parameter);
    }
    kept
}

fn annotations(fields: &mut Fields<'_, '_>) -> Annotations {
    let Some(mut fields) = fields.nested("annotations", &ANNOTATION_KEYS) else {
        return Annotations::default();
    };
    Annotations {
        title: fields.string("title").map(str::to_owned),
        read_only_hint: fields.boolean("readOnlyHint"),
        destructive_hint: fields.boolean("destructiveHint"),
        idempotent_hint: fields.boolean("idempotentHint"),
        open_world_hint: fields.boolean("openWorldHint"),
    }
}

/// The time limit in milliseconds, at least one.
fn timeout(fields: &mut Fields<'_, '_>) -> Option<u64> {
    let seconds = fields
        .number("timeout_seconds")?
        .as_f64()
        .unwrap_or_default();
    if seconds > 0.0 && seconds <= YEAR_SECONDS {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive and at most a year"
        )]
        return Some((seconds * 1000.0).ceil() as u64);
    }
    fields.wrong("timeout_seconds", "must be more than 0 and at most a year");
    None
}

fn lane(fields: &mut Fields<'_, '_>, parameters: &[Parameter]) -> Lane {
    let template = fields.string("lane");
    let parallel = fields.boolean("parallel") == Some(true);
    match template {
        None if parallel => Lane::Parallel,
        None => Lane::Plugin,
        Some(_) if parallel => {
            fields.wrong(
                "parallel",
                "excludes a lane: what runs in a lane runs one after the other",
            );
            Lane::Plugin
        }
        Some(text) => match text
            .parse::<Template>()
            .and_then(|template| template.resolve(parameters))
        {
            Ok(template) => Lane::Template(template),
            Err(error) => {
                fields.wrong("lane", error.to_string());
                Lane::Plugin
            }
        },
    }
}

fn retry(fields: &mut Fields<'_, '_>) -> Option<Retry> {
    let mut fields = fields.nested("retry", &RETRY_KEYS)?;
    let default = Retry::default();
    let max_attempts = fields.integer("max_attempts", &(1..=100));
    let initial_ms = fields
        .integer("initial_ms", &(0..=DAY_MS))
        .unwrap_or(default.initial_ms);
    let factor = fields
        .number("factor")
        .and_then(serde_json::Number::as_f64)
        .unwrap_or(default.factor);
    if !(1.0..=100.0).contains(&factor) {
        fields.wrong("factor", "must be between 1 and 100");
    }
    let max_ms = fields.integer("max_ms", &(0..=7 * DAY_MS));
    if max_ms.is_some_and(|max_ms| max_ms < initial_ms) {
        fields.wrong(
            "max_ms",
            format!("must not be less than initial_ms, which is {initial_ms}"),
        );
    }
    Some(Retry {
        max_attempts: max_attempts
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(default.max_attempts),
        initial_ms,
        factor,
        max_ms: max_ms.unwrap_or(default.max_ms.max(initial_ms)),
        retry_on: fields
            .some_of("retry_on", &RetryOn::ALL, RetryOn::as_str)
            .unwrap_or(default.retry_on),
    })
}

fn output(fields: &mut Fields<'_, '_>) -> (Output, Option<Value>) {
    let output = fields.one_of("output", &Output::ALL, Output::as_str);
    let Some(schema) = fields.object("output_schema") else {
        return (output.unwrap_or_default(), None);
    };
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        // Clients that check tools/list would refuse the list as a whole.
        fields.wrong("output_schema", "must have the type \"object\" at its root");
    }
    if output == Some(Output::Text) {
        fields.wrong("output_schema", "needs an output of json or mcp");
    }
    (
        output.unwrap_or(Output::Json),
        Some(Value::Object(schema.clone())),
    )
}
