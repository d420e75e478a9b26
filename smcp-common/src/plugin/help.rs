//! What can be known of a plugin that has no `--describe`: the commands that its `--help` lists.

use std::collections::HashSet;

use super::{Annotations, Lane, OnDisconnect, Output, Problem, Tool, ToolName};
use crate::job::Effect;

/// The commands in a help text: the first words of the lines that are indented by two spaces under
/// `Available commands:`, up to an empty line or `Examples`. A command that is listed twice is given once.
pub fn commands(help_text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut listing = false;
    for line in help_text.lines() {
        let text = line.trim();
        if text.starts_with("Available commands:") {
            listing = true;
        } else if text.is_empty() || text.starts_with("Examples") {
            listing = false;
        } else if listing && line.starts_with("  ") {
            let word = text
                .split_whitespace()
                .next()
                .filter(|word| !HEADINGS.contains(word));
            found.extend(word.filter(|word| seen.insert(*word)).map(str::to_owned));
        }
    }
    found
}

/// The tools of a plugin that only has a help text, and the commands that cannot be tools. Nothing is known of their
/// parameters, so they take any.
pub fn tools(plugin: &str, help_text: &str) -> (Vec<Tool>, Vec<Problem>) {
    let mut tools = Vec::new();
    let mut problems = Vec::new();
    for command in commands(help_text) {
        match ToolName::join(plugin, &command) {
            Err(error) => problems.push(Problem::from(error.to_string())),
            Ok(name) => tools.push(Tool {
                name,
                plugin: plugin.to_owned(),
                description: Tool::default_description(plugin, &command),
                command,
                parameters: Vec::new(),
                own_schema: None,
                open: true,
                annotations: Annotations::default(),
                timeout_ms: None,
                effect: Effect::Once,
                lane: Lane::Plugin,
                retry: None,
                on_disconnect: OnDisconnect::Detach,
                output: Output::Text,
                output_schema: None,
                secrets: None,
                sandbox: None,
                stores: Vec::new(),
            }),
        }
    }
    (tools, problems)
}

/// First words that belong to the layout of a help text.
const HEADINGS: [&str; 3] = ["usage:", "options:", "Available"];

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "usage: cli.py [-h] {click-button,send-message} ...

options:
  -h, --help  show this help message and exit

Available commands:
  click-button    Click a button
  send-message    Send a message
      indented    Deeper lines count too
 narrow           One space does not
  options:        A heading does not
  send-message    Nor does a second listing
Examples:
  cli.py click-button --button-text Payments
";

    #[test]
    fn commands_are_read_from_the_list_only() {
        let rows = [
            (
                "P6 whole text",
                HELP,
                vec!["click-button", "send-message", "indented"],
            ),
            (
                "P6 ends at an empty line",
                "Available commands:\n  a  b\n\n  c\n",
                vec!["a"],
            ),
            (
                "P6 carriage returns",
                "Available commands:\r\n  a\r\n\r\n  c\r\n",
                vec!["a"],
            ),
            (
                "P6 indented heading",
                "   Available commands: all\n  a\n",
                vec!["a"],
            ),
            ("P6 no list", "usage: cli.py\n  a\n", vec![]),
            ("nothing", "", vec![]),
        ];
        for (row, help, expected) in rows {
            assert_eq!(commands(help), expected, "{row}");
        }
    }

    #[test]
    fn tools_take_anything_and_bad_names_are_reported() {
        let (tools, problems) = tools("botfather", "Available commands:\n  send  Send\n  {a,b}\n");
        assert_eq!(tools.len(), 1);
        assert_eq!(tools[0].name.as_str(), "botfather__send");
        assert_eq!(tools[0].description, "Execute botfather send command");
        assert!(tools[0].open);
        assert_eq!(
            problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "tool name 'botfather__{a,b}' has the character '{', but must match ^[a-zA-Z0-9_-]{1,64}$"
            ]
        );
    }
}
