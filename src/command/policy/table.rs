//! What is answered about rules in many lines, as it is shown.

use std::fmt::Write as _;

use serde::Deserialize;
use smcp_common::approval::list;
use smcp_common::clock::Timestamp;

use super::record::{decision, listed};
use crate::table::Table;
use crate::terminal::{Style, one_line};

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

impl ShownTool {
    fn is_for_everybody(&self) -> bool {
        let by = self.permits.iter().map(|permit| permit.rule.as_str());
        self.forbids.is_empty() && by.eq(["builtin:everybody-may-follow-its-own"])
    }
}

#[derive(Debug, Deserialize)]
struct ShownRule {
    rule: String,
    conditional: bool,
    needs: Vec<String>,
}

impl Shown {
    pub(super) fn render(&self, style: Style) -> String {
        let groups = listed(&self.groups, "no group");
        let mut text = format!("{} is in {groups}.\n", self.agent);
        if self.tools.is_empty() {
            text.push_str("No rule permits it any tool.\n");
            return text;
        }
        let mut table = Table::new(["TOOL", "BY RULE", "IF", "NEEDS"]);
        let mut own = 0;
        for tool in &self.tools {
            // What everybody may do would hide what matters.
            if tool.is_for_everybody() {
                own += 1;
                continue;
            }
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
                let conditions = listed(&conditions, "always");
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
        if own < self.tools.len() {
            text.push_str(&table.render(|row, _, cell| match row {
                0 => style.bold(cell),
                _ => cell.to_owned(),
            }));
        }
        if own > 0 {
            writeln!(
                text,
                "Beside these, as everybody: the built-in tools for what is its own ({own}; --json lists them)."
            )
            .unwrap_or_default();
        }
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
    fn what_an_agent_may_do_is_a_table() {
        let rule = |rule: &str, conditional: bool, needs: &[&str]| json!({"rule": rule, "conditional": conditional, "needs": needs});
        let answer = json!({"agent": "ci", "groups": [], "tools": [
            {"tool": "a__b", "attached": true, "permits": [rule("one", false, &[])], "forbids": []},
            {"tool": "c__d", "attached": false, "permits": [rule("two", true, &["the approval of ops"]), rule("three", true, &[])],
             "forbids": [rule("not-now", true, &[])]},
            {"tool": "jobs__get", "attached": true, "permits": [rule("builtin:everybody-may-follow-its-own", false, &[])], "forbids": []},
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
                vec![
                    "Beside these, as everybody: the built-in tools for what is its own (1; --json lists them)."
                ],
            ]
        );
    }
}
