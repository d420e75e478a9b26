//! `smcp tools`: what can be called, and how.

use std::fmt::Write as _;
use std::process::ExitCode;

use rmcp::model::Tool;
use smcp_common::config::Environment;

use super::with_client;
use crate::arguments::signature;
use crate::cli::Tools;
use crate::terminal::{Style, one_line, print, print_json};

/// Lists the tools.
pub(crate) fn run(options: &Tools) -> anyhow::Result<ExitCode> {
    with_client(&options.connection, async |client| {
        let tools = client.tools().await?;
        if options.connection.json {
            print_json(&tools)?;
        } else {
            print(&render(
                &tools,
                Style::of_stdout(&Environment::of_process()),
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Each tool with the parameters that it takes, and below it what it is for.
fn render(tools: &[Tool], style: Style) -> String {
    let mut text = String::new();
    for tool in tools {
        let signature = signature(&tool.input_schema);
        let head = format!("{} {}", style.bold(&tool.name), signature);
        // Writing to a String cannot fail.
        writeln!(text, "{}", head.trim_end()).unwrap_or_default();
        let description = tool.description.as_deref().unwrap_or_default();
        if let Some(first) = description.lines().find(|line| !line.trim().is_empty()) {
            writeln!(text, "    {}", style.dim(&one_line(first.trim()))).unwrap_or_default();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tool_is_shown_with_its_parameters_and_purpose() {
        let tools: Vec<Tool> = serde_json::from_value(json!([
            {
                "name": "demo_math__calculate",
                "description": "\nEvaluate an expression.\nMore.",
                "inputSchema": {
                    "type": "object",
                    "properties": {"digits": {"type": "integer"}, "expression": {"type": "string"}},
                    "required": ["expression"],
                },
            },
            {"name": "health", "inputSchema": {"type": "object"}},
        ]))
        .unwrap();
        let expected = "demo_math__calculate expression=STRING [digits=INTEGER]\n    Evaluate an expression.\nhealth\n";
        assert_eq!(render(&tools, Style::default()), expected);
    }
}
