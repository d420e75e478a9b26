//! What `tools/list` says: the tools that some arguments and some time could allow the agent, as far as it keeps those of plugins
//! attached, page by page.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rmcp::ErrorData;
use rmcp::model::{ListToolsResult, Tool, ToolAnnotations};
use smcp_common::plugin::Annotations;

use crate::app::App;
use crate::builtin;
use crate::caller::Caller;
use crate::policy::{Attached, rules};
use crate::refusal::Refusal;
use crate::tools::PluginTool;

/// The tools that the caller sees, sorted by name.
pub(super) fn tools(app: &App, caller: &Caller) -> Result<Vec<Tool>, Refusal> {
    let listed = rules(app)?.listed(&app.queue.subject(&caller.agent)?);
    let attached = Attached::of(app, caller)?;
    let plugins = app.tools.current(&app.queue)?;
    let mut tools: Vec<_> = plugins
        .listed()
        .filter(|(_, tool)| {
            let name = tool.tool.name.as_str();
            attached.has(name) && listed.contains(name)
        })
        .map(|(name, tool)| of_plugin(name, tool))
        .collect();
    tools.extend(builtin::definitions(app, &listed)?);
    tools.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tools)
}

/// Tools on one page.
const PAGE: usize = 200;
/// What a cursor says before the name of the last tool on the page.
const AFTER: &str = "after ";

/// The page of `tools`, sorted by name, to which `cursor` leads; the first one without.
///
/// A cursor holds the name of the last tool that was given, so that tools may come and go between pages.
///
/// # Errors
/// A cursor that this server has not given.
pub(super) fn page(
    mut tools: Vec<Tool>,
    cursor: Option<&str>,
) -> Result<ListToolsResult, ErrorData> {
    if let Some(cursor) = cursor {
        let last = last_listed(cursor).ok_or_else(|| unknown_cursor(cursor))?;
        tools.retain(|tool| *tool.name > *last);
    }
    let more = tools.len() > PAGE;
    tools.truncate(PAGE);
    let last = tools.last().filter(|_| more);
    let next_cursor =
        last.map(|last| BASE64_URL_SAFE_NO_PAD.encode(format!("{AFTER}{}", last.name)));
    let mut page = ListToolsResult::with_all_items(tools);
    page.next_cursor = next_cursor;
    Ok(page)
}

fn last_listed(cursor: &str) -> Option<String> {
    let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    Some(text.strip_prefix(AFTER)?.to_owned())
}

fn unknown_cursor(cursor: &str) -> ErrorData {
    let cursor: String = cursor.chars().take(80).collect();
    let message = format!(
        "tools/list has given no cursor '{cursor}': take the nextCursor of the page before, or none for the first page"
    );
    ErrorData::invalid_params(message, None)
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
        tool,
        input_schema,
        output_schema,
        ..
    } = tool;
    let mut listed = Tool::new(
        name.to_owned(),
        tool.description.clone(),
        Arc::new(input_schema.clone()),
    );
    // Clients of later revisions look for the title here.
    listed.title.clone_from(&tool.annotations.title);
    listed.annotations = annotations(&tool.annotations);
    if let Some(schema) = output_schema {
        listed.output_schema = Some(Arc::new(schema.listed.clone()));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn tools(numbers: impl Iterator<Item = usize>) -> Vec<Tool> {
        numbers
            .map(|n| Tool::new(format!("p__t{n:03}"), "", Arc::default()))
            .collect()
    }

    fn names(page: &ListToolsResult) -> Vec<&str> {
        page.tools.iter().map(|tool| &*tool.name).collect()
    }

    #[test]
    fn pages_follow_each_other_while_tools_come_and_go() {
        assert_eq!(page(tools(0..200), None).unwrap().next_cursor, None);
        let first = page(tools(0..450), None).unwrap();
        assert_eq!(names(&first)[199], "p__t199");
        let cursor = first.next_cursor.unwrap();
        // The last tool of the first page and the first of the second are gone, and there is a new one before.
        let now = tools((0..450).filter(|n| ![199, 200].contains(n)));
        let second = page(now, Some(&cursor)).unwrap();
        assert_eq!(
            (names(&second)[0], names(&second)[199]),
            ("p__t201", "p__t400")
        );
        let third = page(tools(0..402), second.next_cursor.as_deref()).unwrap();
        assert_eq!(names(&third), ["p__t401"]);
        assert_eq!(third.next_cursor, None);
        let after_all = page(tools(0..10), Some(&cursor)).unwrap();
        assert!(after_all.tools.is_empty());
        assert_eq!(after_all.next_cursor, None);
    }

    #[test]
    fn a_cursor_of_somebody_else_is_refused() {
        for cursor in ["", "2", "p__t199", "?", "cF9fdDE5OQ"] {
            let error = page(tools(0..10), Some(cursor)).unwrap_err();
            assert_eq!(error.code.0, -32602);
            assert!(error.message.contains(&format!("'{cursor}'")), "{error:?}");
        }
    }
}
