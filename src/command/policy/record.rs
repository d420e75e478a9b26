//! What is answered about rules, as it is shown.

use std::fmt::Write as _;
use std::path::Path;

use serde::Deserialize;
use smcp_common::approval::list;
use smcp_common::clock::Timestamp;
use smcp_common::policy::{ExplainedRule, Level, Problem};

use crate::terminal::{Style, one_line};

/// What `policy__check` answers.
#[derive(Debug, Deserialize)]
pub(super) struct Checked {
    pub(super) ok: bool,
    problems: Vec<Problem>,
    error: Option<String>,
    in_force: InForce,
    directory: String,
}

#[derive(Debug, Deserialize)]
struct InForce {
    version: i64,
    hash: String,
    zone: String,
    files: Vec<String>,
    at: Timestamp,
}

impl Checked {
    pub(super) fn render(&self, looked_at: Option<&Path>, style: Style) -> String {
        let mut text = String::new();
        for problem in &self.problems {
            let line = problem.to_string();
            let line = match problem.level {
                Level::Error => style.red(&line),
                Level::Stale | Level::Warning => style.yellow(&line),
            };
            text.push_str(&line);
            text.push('\n');
        }
        if let Some(error) = &self.error {
            text.push_str(&style.red(error));
            text.push('\n');
        }
        let verdict = match looked_at {
            Some(directory) if self.ok => format!("{} can be put in force.", directory.display()),
            Some(directory) => format!("{} would be refused.", directory.display()),
            None if self.ok => format!("The rules of {} are in force.", self.directory),
            None => format!(
                "The rules of {} are refused; others are in force.",
                self.directory
            ),
        };
        text.push_str(&verdict);
        text.push('\n');
        if looked_at.is_none() {
            let InForce {
                version,
                hash,
                zone,
                files,
                at,
            } = &self.in_force;
            let files = listed(files, "the built-in rules alone");
            let short: String = hash.chars().take(12).collect();
            writeln!(
                text,
                "In force: {files}; version {version} since {at}, hash {short}, times of day of {zone}."
            )
            .unwrap_or_default();
        }
        text
    }
}

/// What `policy__explain` answers.
#[derive(Debug, Deserialize)]
pub(super) struct Explained {
    decision: String,
    agent: String,
    groups: Vec<String>,
    rules: Vec<String>,
    needs: Vec<String>,
    message: Option<String>,
    considered: Vec<ExplainedRule>,
}

impl Explained {
    pub(super) fn render(&self, style: Style) -> String {
        let mut text = decision(&self.decision, style);
        text.push('\n');
        let mut line = |name: &str, value: &str| {
            let name = style.bold(&format!("{name:<7}"));
            writeln!(text, "{name} {}", one_line(value)).unwrap_or_default();
        };
        if let Some(message) = &self.message {
            line("why", message);
        }
        line("rules", &listed(&self.rules, "none"));
        for need in &self.needs {
            line("needs", need);
        }
        let groups = listed(&self.groups, "no group");
        line("as", &format!("{}, in {groups}", self.agent));
        let mut considered: Vec<_> = self.considered.iter().collect();
        // What applies, then what is nearest to it, and the built-in rules last.
        considered.sort_by_key(|rule| {
            let unmet = rule
                .clauses
                .iter()
                .filter(|clause| clause.holds != Some(true));
            (
                rule.applies != Some(true),
                rule.file == "builtin",
                unmet.count(),
            )
        });
        for rule in considered {
            text.push('\n');
            text.push_str(&considered_rule(rule, style));
        }
        text
    }
}

/// A rule, with what of it is so.
fn considered_rule(rule: &ExplainedRule, style: Style) -> String {
    let applies = match rule.applies {
        Some(true) => "applies",
        Some(false) => "does not apply",
        None => "cannot be evaluated",
    };
    let place = format!("{}:{}", rule.file, rule.line);
    let mut text = format!(
        "{} {} {applies} {}\n",
        rule.effect,
        style.bold(&rule.id),
        style.dim(&format!("({place})"))
    );
    if rule.clauses.is_empty() && rule.applies == Some(true) {
        for line in rule.text.lines() {
            writeln!(text, "    {line}").unwrap_or_default();
        }
    }
    for clause in &rule.clauses {
        let line = one_line(&clause.text);
        let line = match clause.holds {
            Some(true) => style.green(&format!("  + {line}")),
            Some(false) => style.red(&format!("  - {line}")),
            None => style.yellow(&format!("  ? {line}")),
        };
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// Names in a sentence, or what stands for none.
pub(in crate::command) fn listed(names: &[String], none: &str) -> String {
    if names.is_empty() {
        none.to_owned()
    } else {
        list(names)
    }
}

/// The word for a decision, in its colour.
pub(in crate::command) fn decision(word: &str, style: Style) -> String {
    match word {
        "deny" => style.red(word),
        "allow" => style.green(word),
        other => style.yellow(other),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_decision_comes_first_and_each_clause_says_whether_it_is_so() {
        let answer = json!({
            "decision": "deny", "agent": "ci", "groups": ["ci", "users"], "rules": [], "needs": [],
            "message": "No rule permits it.",
            "considered": [
                {"id": "near", "file": "a.cedar", "line": 3, "effect": "permit", "text": "permit (…);", "applies": false, "clauses": [
                    {"text": "principal in Smcp::Group::\"ci\"", "holds": true},
                    {"text": "context.session.weekday < 6", "holds": false},
                    {"text": "context.input.x > 3", "holds": null},
                ]},
                {"id": "never", "file": "a.cedar", "line": 9, "effect": "forbid", "text": "forbid (\n…);", "applies": true},
            ],
        });
        let explained = Explained::deserialize(answer).unwrap();
        assert_eq!(
            explained.render(Style::default()),
            "deny\n\
             why     No rule permits it.\n\
             rules   none\n\
             as      ci, in ci and users\n\
             \n\
             forbid never applies (a.cedar:9)\n\
             \x20   forbid (\n\
             \x20   …);\n\
             \n\
             permit near does not apply (a.cedar:3)\n\
             \x20 + principal in Smcp::Group::\"ci\"\n\
             \x20 - context.session.weekday < 6\n\
             \x20 ? context.input.x > 3\n"
        );
    }
}
