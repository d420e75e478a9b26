//! What is answered about rules, as it is shown.

use std::fmt::Write as _;
use std::path::Path;

use serde::Deserialize;
use smcp_common::approval::list;
use smcp_common::clock::Timestamp;
use smcp_common::policy::{ExplainedRule, Level, Problem};

use crate::table::Table;
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
            let files = match &files[..] {
                [] => "the built-in rules alone".to_owned(),
                files => list(files),
            };
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
        let rules = match &self.rules[..] {
            [] => "none".to_owned(),
            rules => list(rules),
        };
        line("rules", &rules);
        for need in &self.needs {
            line("needs", need);
        }
        let groups = match &self.groups[..] {
            [] => "no group".to_owned(),
            groups => list(groups),
        };
        line("as", &format!("{}, in {groups}", self.agent));
        for rule in &self.considered {
            text.push('\n');
            text.push_str(&considered(rule, style));
        }
        text
    }
}

/// A rule, with what of it is so.
fn considered(rule: &ExplainedRule, style: Style) -> String {
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

fn decision(word: &str, style: Style) -> String {
    match word {
        "deny" => style.red(word),
        "allow" => style.green(word),
        other => style.yellow(other),
    }
}

/// What `policy__test` answers.
#[derive(Debug, Deserialize)]
pub(super) struct Tested {
    cases: Vec<TestedCase>,
    pub(super) failed: usize,
}

#[derive(Debug, Deserialize)]
struct TestedCase {
    name: String,
    ok: bool,
    differences: Vec<String>,
}

impl Tested {
    pub(super) fn render(&self, style: Style) -> String {
        let mut text = String::new();
        for case in self.cases.iter().filter(|case| !case.ok) {
            let differences = case.differences.join("; ");
            writeln!(
                text,
                "{} {}: {}",
                style.red("differs"),
                case.name,
                one_line(&differences)
            )
            .unwrap_or_default();
        }
        let all = self.cases.len();
        let told = match (self.failed, all) {
            (0, 1) => "The case is decided as expected.".to_owned(),
            (0, all) => format!("All {all} cases are decided as expected."),
            (failed, all) => format!("{failed} of {all} cases are decided otherwise."),
        };
        text.push_str(&told);
        text.push('\n');
        text
    }
}

/// What `policy__show` answers.
#[derive(Debug, Deserialize)]
pub(super) struct Shown {
    agent: String,
    groups: Vec<String>,
    tools: Vec<ShownTool>,
}

#[derive(Debug, Deserialize)]
struct ShownTool {
    tool: String,
    attached: bool,
    permits: Vec<ShownRule>,
    forbids: Vec<ShownRule>,
}

#[derive(Debug, Deserialize)]
struct ShownRule {
    rule: String,
    conditional: bool,
    needs: Vec<String>,
}

impl Shown {
    pub(super) fn render(&self, style: Style) -> String {
        let groups = match &self.groups[..] {
            [] => "no group".to_owned(),
            groups => list(groups),
        };
        let mut text = format!("{} is in {groups}.\n", self.agent);
        if self.tools.is_empty() {
            text.push_str("No rule permits it any tool.\n");
            return text;
        }
        let mut table = Table::new(["TOOL", "BY RULE", "IF", "NEEDS"]);
        for tool in &self.tools {
            let forbids: Vec<_> = tool.forbids.iter().map(|rule| rule.rule.clone()).collect();
            for (n, permit) in tool.permits.iter().enumerate() {
                let mut conditions = Vec::new();
                if permit.conditional {
                    conditions.push("its conditions hold".to_owned());
                }
                if !forbids.is_empty() {
                    conditions.push(format!("{} does not forbid it", forbids.join(", ")));
                }
                if !tool.attached {
                    conditions.push("it is attached".to_owned());
                }
                let conditions = match &conditions[..] {
                    [] => "always".to_owned(),
                    conditions => list(conditions),
                };
                let name = if n == 0 {
                    tool.tool.clone()
                } else {
                    String::new()
                };
                let needs = match &permit.needs[..] {
                    [] => "-".to_owned(),
                    needs => needs.join("; "),
                };
                table.row([name, permit.rule.clone(), conditions, needs]);
            }
        }
        text.push_str(&table.render(|row, _, cell| match row {
            0 => style.bold(cell),
            _ => cell.to_owned(),
        }));
        text
    }
}

/// What `policy__replay` answers.
#[derive(Debug, Deserialize)]
pub(super) struct Replayed {
    same: u64,
    changed: u64,
    undecidable: u64,
    gone: u64,
    changes: Vec<Change>,
    undecided: Vec<Undecided>,
}

#[derive(Debug, Deserialize)]
struct Change {
    seq: i64,
    at: Timestamp,
    agent: String,
    tool: String,
    was: String,
    is: String,
    by: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Undecided {
    seq: i64,
    at: Timestamp,
    agent: String,
    tool: String,
    unknown: Vec<String>,
}

impl Replayed {
    pub(super) fn render(&self, style: Style) -> String {
        let mut table = Table::new(["RECORD", "AT", "AGENT", "TOOL", "WAS", "WOULD BE", "BY"]);
        for change in &self.changes {
            let by = match &change.by[..] {
                [] => "no rule".to_owned(),
                by => by.join(", "),
            };
            table.row([
                change.seq.to_string(),
                change.at.to_string(),
                change.agent.clone(),
                change.tool.clone(),
                change.was.clone(),
                change.is.clone(),
                by,
            ]);
        }
        for call in &self.undecided {
            let unknown = match &call.unknown[..] {
                [] => "its arguments are not recorded".to_owned(),
                names => format!("{} is not recorded", list(names)),
            };
            table.row([
                call.seq.to_string(),
                call.at.to_string(),
                call.agent.clone(),
                call.tool.clone(),
                String::new(),
                "undecidable".to_owned(),
                unknown,
            ]);
        }
        let mut text = String::new();
        if !self.changes.is_empty() || !self.undecided.is_empty() {
            text = table.render(|row, column, cell| match (row, column) {
                (0, _) => style.bold(cell),
                (_, 4 | 5) => decision(cell, style),
                _ => cell.to_owned(),
            });
        }
        let gone = match self.gone {
            0 => String::new(),
            gone => format!(", {gone} of tools that are gone"),
        };
        writeln!(
            text,
            "{} would be decided otherwise, {} as they were, {} cannot be told{gone}.",
            self.changed, self.same, self.undecidable
        )
        .unwrap_or_default();
        text
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
             permit near does not apply (a.cedar:3)\n\
             \x20 + principal in Smcp::Group::\"ci\"\n\
             \x20 - context.session.weekday < 6\n\
             \x20 ? context.input.x > 3\n\
             \n\
             forbid never applies (a.cedar:9)\n\
             \x20   forbid (\n\
             \x20   …);\n"
        );
    }

    #[test]
    fn what_an_agent_may_do_is_a_table() {
        let rule = |rule: &str, conditional: bool, needs: &[&str]| json!({"rule": rule, "conditional": conditional, "needs": needs});
        let answer = json!({"agent": "ci", "groups": [], "tools": [
            {"tool": "a__b", "attached": true, "permits": [rule("one", false, &[])], "forbids": []},
            {"tool": "c__d", "attached": false, "permits": [rule("two", true, &["the approval of ops"]), rule("three", true, &[])],
             "forbids": [rule("not-now", true, &[])]},
        ]});
        let told = Shown::deserialize(answer).unwrap().render(Style::default());
        let lines: Vec<Vec<_>> = told
            .lines()
            .map(|line| {
                line.split("  ")
                    .map(str::trim)
                    .filter(|cell| !cell.is_empty())
                    .collect()
            })
            .collect();
        let conditions = "its conditions hold, not-now does not forbid it and it is attached";
        assert_eq!(
            lines,
            [
                vec!["ci is in no group."],
                vec!["TOOL", "BY RULE", "IF", "NEEDS"],
                vec!["a__b", "one", "always", "-"],
                vec!["c__d", "two", conditions, "the approval of ops"],
                vec!["three", conditions, "-"],
            ]
        );
    }
}
