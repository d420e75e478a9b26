//! What `tools/list` says: the built-in tools, and the tools of plugins that the agent keeps attached.

use std::sync::Arc;

use rmcp::model::{Tool, ToolAnnotations};
use serde_json::Value;
use smcp_common::plugin::Annotations;

use crate::app::App;
use crate::builtin;
use crate::caller::Caller;
use crate::policy::Attached;
use crate::refusal::Refusal;
use crate::tools::PluginTool;

/// The tools that the caller sees, sorted by name.
pub(super) fn tools(app: &App, caller: &Caller) -> Result<Vec<Tool>, Refusal> {
    let attached = Attached::of(app, caller)?;
    let plugins = app.tools.current(&app.queue)?;
    let mut tools: Vec<_> = plugins
        .listed()
        .filter(|(_, tool)| attached.has(tool.tool.name.as_str()))
        .map(|(name, tool)| of_plugin(name, tool))
        .collect();
    tools.extend(builtin::definitions(app)?);
    tools.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tools)
}

/// The tool of that name, for the transport's own checks.
pub(super) fn tool(app: &App, name: &str) -> Option<Tool> {
    app.tools
        .current(&app.queue)
        .ok()?
        .find(name)
        .map(|tool| of_plugin(name, tool))
}

/// A plugin's tool as `name`, which may be an alias.
fn of_plugin(name: &str, tool: &PluginTool) -> Tool {
    let PluginTool {
        tool, input_schema, ..
    } = tool;
    let mut listed = Tool::new(
        name.to_owned(),
        tool.description.clone(),
        Arc::new(input_schema.clone()),
    );
    listed.annotations = annotations(&tool.annotations);
    if let Some(Value::Object(schema)) = &tool.output_schema {
        listed.output_schema = Some(Arc::new(schema.clone()));
    }
    listed
}

fn annotations(given: &Annotations) -> Option<ToolAnnotations> {
    if *given == Annotations::default() {
        return None;
    }
    let mut annotations = ToolAnnotations::new();
    annotations.title.clone_from(&given.title);
    annotations.read_only_hint = given.read_only_hint;
    annotations.destructive_hint = given.destructive_hint;
    annotations.idempotent_hint = given.idempotent_hint;
    annotations.open_world_hint = given.open_world_hint;
    Some(annotations)
}
