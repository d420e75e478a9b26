//! `smcp plugins diff` and `accept`: looking at a plugin, and having it served.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use smcp_common::clock::Timestamp;
use smcp_common::config::Environment;

use crate::arguments::signature;
use crate::cli::{PluginsAccept, PluginsDiff};
use crate::client::Client;
use crate::failure::BadUsage;
use crate::terminal::{Style, counted, one_line, print, print_json, print_raw};

/// A value that is longer is cut; `--json` has all of it.
const VALUE_CHARS: usize = 100;

/// The answer of `plugins__diff`.
#[derive(Debug, Deserialize)]
struct Difference {
    plugin: String,
    directory: String,
    digest: String,
    accepted: Option<Accepted>,
    tools: Tools,
    changes: Vec<Change>,
    problems: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Accepted {
    digest: String,
    at: Timestamp,
    by: String,
}

#[derive(Debug, Deserialize)]
struct Tools {
    added: Vec<Tool>,
    removed: Vec<Tool>,
    changed: Vec<Changed>,
}

#[derive(Debug, Deserialize)]
struct Tool {
    name: String,
    description: String,
    effect: String,
    annotations: Map<String, Value>,
    input_schema: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
struct Changed {
    name: String,
    changes: Vec<Change>,
}

#[derive(Debug, Deserialize)]
struct Change {
    what: String,
    before: Value,
    after: Value,
}

/// Shows what has changed.
pub(super) async fn diff(client: &mut Client, options: &PluginsDiff) -> anyhow::Result<ExitCode> {
    let answer = look(client, &options.name).await?;
    show(&answer, options.connection.json)?;
    Ok(ExitCode::SUCCESS)
}

/// Has a plugin served, once somebody has looked at it.
pub(super) async fn accept(
    client: &mut Client,
    options: &PluginsAccept,
) -> anyhow::Result<ExitCode> {
    let json = options.connection.json;
    let digest = match &options.digest {
        Some(digest) => Some(digest.clone()),
        None => agreed_to(client, options).await?,
    };
    let Some(digest) = digest else {
        return Ok(ExitCode::SUCCESS);
    };
    let request = json!({ "plugin": options.name, "digest": digest });
    let answer = client.ask("plugins__accept", request).await?;
    if json {
        print_json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    if options.digest.is_some() {
        show(&answer, false)?;
    }
    print(&outcome(&answer))?;
    Ok(ExitCode::SUCCESS)
}

/// Shows what has changed; answers the digest of that, once it is agreed to. `None` where it is accepted already.
async fn agreed_to(client: &mut Client, options: &PluginsAccept) -> anyhow::Result<Option<String>> {
    let json = options.connection.json;
    let answer = look(client, &options.name).await?;
    let difference = Difference::deserialize(&answer)?;
    let accepted = difference.is_accepted();
    // With --json there is one document, and that is of the acceptance, if it comes to one.
    if accepted || !json || !options.yes {
        show(&answer, json)?;
    }
    if !accepted && !options.yes && !agreed(&difference, json)? {
        bail!(BadUsage("nothing has been accepted".to_owned()));
    }
    Ok((!accepted).then_some(difference.digest))
}

async fn look(client: &mut Client, name: &str) -> anyhow::Result<Value> {
    let request = json!({ "plugin": name });
    client.ask("plugins__diff", request).await
}

fn show(answer: &Value, json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(answer);
    }
    let style = Style::of_stdout(&Environment::of_process());
    print(&Difference::deserialize(answer)?.render(style))
}

/// Asks whoever sits at the terminal.
fn agreed(difference: &Difference, json: bool) -> anyhow::Result<bool> {
    let Difference { plugin, digest, .. } = difference;
    if json || !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        bail!(BadUsage(format!(
            "nothing has been accepted; add --yes, or --digest {digest} for exactly what is shown here"
        )));
    }
    print_raw(&format!("Accept {plugin} as it is now? [y/N] "))?;
    io::stdout().flush().context("cannot ask")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("cannot ask")?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

fn outcome(answer: &Value) -> String {
    let plugin = one_line(answer["plugin"].as_str().unwrap_or_default());
    let state = answer["integrity"]["state"].as_str();
    match (answer["served"] == true, state) {
        (true, Some("accepted")) => format!("{plugin} is accepted, and served"),
        (true, None) => format!(
            "{plugin} is accepted; nothing depends on that as long as plugins.pin is \"off\""
        ),
        (true, Some(_)) => format!(
            "{plugin} is accepted as it was shown, but has changed again since: look at it once more"
        ),
        (false, _) => format!("{plugin} is accepted, and served as soon as a worker looks at it"),
    }
}

impl Difference {
    fn is_accepted(&self) -> bool {
        let accepted = self.accepted.as_ref();
        accepted.is_some_and(|accepted| accepted.digest == self.digest)
    }

    fn render(&self, style: Style) -> String {
        let mut text = format!(
            "{} in {}\n",
            style.bold(&self.plugin),
            one_line(&self.directory)
        );
        // Writing to a String cannot fail.
        match &self.accepted {
            Some(accepted) => writeln!(
                text,
                "accepted  {} by {} at {}",
                accepted.digest,
                one_line(&accepted.by),
                accepted.at
            ),
            None => writeln!(text, "accepted  never"),
        }
        .unwrap_or_default();
        if self.is_accepted() {
            text.push_str("It is what was accepted.\n");
            return text;
        }
        writeln!(text, "now       {}\n", self.digest).unwrap_or_default();
        self.render_tools(&mut text, style);
        for change in &self.changes {
            writeln!(text, "{}", change.render(style)).unwrap_or_default();
        }
        for problem in &self.problems {
            writeln!(text, "{} {}", style.yellow("problem:"), one_line(problem))
                .unwrap_or_default();
        }
        if self.accepted.is_some() {
            text.push_str("What the tools do may have changed where nothing of this has: compare the files themselves.\n");
        }
        text
    }

    fn render_tools(&self, text: &mut String, style: Style) {
        let Tools {
            added,
            removed,
            changed,
        } = &self.tools;
        if added.is_empty() && removed.is_empty() && changed.is_empty() {
            text.push_str("Its tools are described as they were.\n");
            return;
        }
        let count = |tools: usize, what| format!("{} {what}", counted(tools, "tool"));
        let counts = [
            count(added.len(), "added"),
            count(removed.len(), "removed"),
            count(changed.len(), "changed"),
        ];
        writeln!(text, "{}", counts.join(", ")).unwrap_or_default();
        for tool in added {
            let line = format!("+ {} {}", tool.name, signature(&tool.input_schema));
            writeln!(text, "{}", style.green(one_line(&line).trim_end())).unwrap_or_default();
            writeln!(text, "    {}", cut(&tool.description)).unwrap_or_default();
            let hints = Value::Object(tool.annotations.clone());
            let hints = if tool.annotations.is_empty() {
                String::new()
            } else {
                format!(", {}", cut(&hints.to_string()))
            };
            writeln!(text, "    effect: {}{hints}", one_line(&tool.effect)).unwrap_or_default();
        }
        for tool in removed {
            writeln!(text, "{}", style.red(&format!("- {}", tool.name))).unwrap_or_default();
        }
        for Changed { name, changes } in changed {
            writeln!(text, "{}", style.yellow(&format!("~ {name}"))).unwrap_or_default();
            for change in changes {
                writeln!(text, "    {}", change.render(style)).unwrap_or_default();
            }
        }
    }
}

impl Change {
    fn render(&self, style: Style) -> String {
        let what = one_line(&self.what);
        match (&self.before, &self.after) {
            (Value::Null, after) => format!("{what}: {} {}", style.green("new"), value(after)),
            (before, Value::Null) => {
                format!("{what}: {}, was {}", style.red("gone"), value(before))
            }
            (before, after) => format!("{what}: {} → {}", value(before), value(after)),
        }
    }
}

fn value(value: &Value) -> String {
    cut(&value.to_string())
}

fn cut(text: &str) -> String {
    let text = one_line(text);
    if text.chars().count() <= VALUE_CHARS {
        return text;
    }
    let mut cut: String = text.chars().take(VALUE_CHARS - 1).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference() -> Value {
        json!({
            "plugin": "ship", "directory": "/p/ship", "digest": "bb", "integrity": null,
            "accepted": {"digest": "aa", "at": 0, "by": "worker:w"},
            "tools": {
                "added": [{"name": "ship__purge", "description": "Purges.\nAll.", "effect": "once", "annotations": {"destructiveHint": true},
                           "input_schema": {"type": "object", "properties": {"target": {"type": "string"}}, "required": ["target"]}}],
                "removed": [{"name": "ship__status", "description": "S", "effect": "read_only", "annotations": {}, "input_schema": {}}],
                "changed": [{"name": "ship__deploy", "changes": [
                    {"what": "effect", "before": "once", "after": "read_only"},
                    {"what": "parameter force", "before": null, "after": {"kind": "boolean"}},
                    {"what": "parameter wait", "before": {"kind": "integer"}, "after": null},
                ]}],
            },
            "changes": [{"what": "interpreter", "before": "/a", "after": "/b"}],
            "problems": ["odd"],
        })
    }

    fn rendered(value: Value) -> String {
        let difference = Difference::deserialize(value).unwrap();
        difference.render(Style::default())
    }

    #[test]
    fn what_has_changed_is_shown() {
        let expected = r#"ship in /p/ship
accepted  aa by worker:w at 1970-01-01T00:00:00.000Z
now       bb

1 tool added, 1 tool removed, 1 tool changed
+ ship__purge target=STRING
    Purges. All.
    effect: once, {"destructiveHint":true}
- ship__status
~ ship__deploy
    effect: "once" → "read_only"
    parameter force: new {"kind":"boolean"}
    parameter wait: gone, was {"kind":"integer"}
interpreter: "/a" → "/b"
problem: odd
What the tools do may have changed where nothing of this has: compare the files themselves.
"#;
        assert_eq!(rendered(difference()), expected);
    }

    #[test]
    fn what_is_accepted_has_nothing_to_show() {
        let mut same = difference();
        same["digest"] = json!("aa");
        assert!(rendered(same).ends_with("\nIt is what was accepted.\n"));
        let mut new = difference();
        new["accepted"] = Value::Null;
        assert!(rendered(new).contains("\naccepted  never\nnow       bb\n"));
    }

    #[test]
    fn what_came_of_it_is_told() {
        let said = |served: bool, state: Option<&str>| {
            let integrity = state.map(|state| json!({ "state": state }));
            outcome(&json!({"plugin": "ship", "served": served, "integrity": integrity}))
        };
        assert_eq!(said(true, Some("accepted")), "ship is accepted, and served");
        assert!(said(true, None).contains("\"off\""));
        assert!(said(true, Some("quarantined")).contains("changed again"));
        assert!(said(false, Some("quarantined")).ends_with("as soon as a worker looks at it"));
    }
}
