//! A workflow as the API tells of it, drawn as a tree: each step below the last of those that it waits for, its checks
//! and the step that is run at its failure below it.

use std::collections::HashMap;
use std::fmt::Write as _;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;
use smcp_common::clock::Timestamp;
use smcp_common::job::Failure;

use crate::duration;
use crate::terminal::{Style, one_line};

/// What we show of a workflow.
#[derive(Debug, Deserialize)]
pub(super) struct Workflow {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) agent: String,
    pub(super) state: String,
    schedule: Option<String>,
    cancel: Option<Cancel>,
    error: Option<Failure>,
    pub(super) created_at: Timestamp,
    finished_at: Option<Timestamp>,
    #[serde(default)]
    steps: Vec<Step>,
}

#[derive(Debug, Deserialize)]
struct Cancel {
    at: Timestamp,
    by: String,
    reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Step {
    id: String,
    tool: String,
    state: String,
    needs: Vec<String>,
    runs_at_failure_of: Vec<String>,
    job: Option<String>,
    job_state: Option<String>,
    attempts: Vec<Value>,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    verify: Option<Verify>,
    checks: Vec<Check>,
    error: Option<Failure>,
}

#[derive(Debug, Deserialize)]
struct Verify {
    tool: String,
    need: u32,
    of: u32,
}

#[derive(Debug, Deserialize)]
struct Check {
    n: u32,
    job: String,
    state: Option<String>,
    started_at: Timestamp,
    ended_at: Option<Timestamp>,
}

/// A line of the tree, and what hangs below it.
struct Branch {
    line: String,
    below: Vec<Self>,
}

impl Workflow {
    /// Reads a workflow that a built-in tool answered with.
    pub(super) fn read(value: &Value) -> anyhow::Result<Self> {
        Self::deserialize(value).context("the workflow cannot be read")
    }

    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        self.finished_at.is_some()
    }

    /// Everything, for people.
    pub(super) fn render(&self, now: Timestamp, style: Style) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            // Writing to a String cannot fail.
            writeln!(text, "{} {value}", style.bold(&format!("{name:<10}"))).unwrap_or_default();
        };
        line("workflow", &self.id);
        if let Some(name) = &self.name {
            line("name", &one_line(name));
        }
        line("state", &style.state(&self.state));
        line("agent", &self.agent);
        if let Some(schedule) = &self.schedule {
            line("schedule", schedule);
        }
        line("created", &self.created_at.to_string());
        if let Some(finished) = self.finished_at {
            let took = duration::render(finished.since(self.created_at));
            line(
                "finished",
                &format!("{finished} ({took} after it was created)"),
            );
        }
        if let Some(Cancel { at, by, reason }) = &self.cancel {
            let reason = reason
                .as_ref()
                .map(|reason| format!(": {}", one_line(reason)))
                .unwrap_or_default();
            line("cancel", &format!("asked by {by} at {at}{reason}"));
        }
        if let Some(Failure { code, message }) = &self.error {
            line("why", &format!("{code}: {}", one_line(message)));
        }
        text.push('\n');
        for root in self.below(None, &self.depths(), now, style) {
            writeln!(text, "{}", root.line).unwrap_or_default();
            draw(&root.below, "", &mut text);
        }
        text
    }

    /// A line for each step or check that is in another state than `told`.
    pub(super) fn changes(&self, told: &mut HashMap<String, String>, style: Style) -> Vec<String> {
        let mut lines = Vec::new();
        for step in self.steps.iter().filter(|step| step.state != "waiting") {
            let first_check = step.checks.first().map(|check| check.started_at);
            let at = match step.state.as_str() {
                "verifying" => first_check.or(step.started_at),
                _ => step.ended_at.or(step.started_at),
            };
            let at = at.unwrap_or(self.created_at);
            let why = step.error.as_ref().map(|error| one_line(&error.message));
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            let is_over = step.ended_at.is_some();
            if !is_over {
                change(
                    told,
                    &mut lines,
                    step.id.clone(),
                    &step.state,
                    at,
                    "",
                    style,
                );
            }
            for check in &step.checks {
                let state = check.state.as_deref().unwrap_or("unknown");
                let name = format!("{} check {}", step.id, check.n);
                let at = check.ended_at.unwrap_or(check.started_at);
                change(told, &mut lines, name, state, at, "", style);
            }
            if is_over {
                change(
                    told,
                    &mut lines,
                    step.id.clone(),
                    &step.state,
                    at,
                    &why,
                    style,
                );
            }
        }
        lines
    }

    /// What hangs below a step, or the steps that hang below none.
    fn below(
        &self,
        parent: Option<&str>,
        depths: &HashMap<&str, usize>,
        now: Timestamp,
        style: Style,
    ) -> Vec<Branch> {
        let steps = self.steps.iter();
        steps
            .filter(|step| step.parent(depths) == parent)
            .map(|step| {
                let checks = step.checks.iter().map(|check| Branch {
                    line: check.line(now, style),
                    below: Vec::new(),
                });
                Branch {
                    line: step.line(now, style, parent),
                    below: checks
                        .chain(self.below(Some(&step.id), depths, now, style))
                        .collect(),
                }
            })
            .collect()
    }

    /// How many steps one follows the other before each step.
    fn depths(&self) -> HashMap<&str, usize> {
        let mut depths: HashMap<&str, usize> = HashMap::new();
        // A way is no longer than there are steps; without cycles, that many rounds reach every end.
        for _ in &self.steps {
            for step in &self.steps {
                let needs = step.needs.iter();
                let depth = needs
                    .map(|id| 1 + depths.get(id.as_str()).copied().unwrap_or(0))
                    .max();
                depths.insert(&step.id, depth.unwrap_or(0));
            }
        }
        depths
    }
}

impl Step {
    /// The step below which it is drawn: the first whose failure it is for, or the one it waits for longest.
    fn parent(&self, depths: &HashMap<&str, usize>) -> Option<&str> {
        if let Some(handled) = self.runs_at_failure_of.first() {
            return Some(handled);
        }
        let needs = self.needs.iter();
        needs
            .max_by_key(|id| depths.get(id.as_str()))
            .map(String::as_str)
    }

    fn line(&self, now: Timestamp, style: Style, parent: Option<&str>) -> String {
        let mut line = format!(
            "{}  {}  {}",
            style.bold(&self.id),
            style.state(&self.state),
            self.tool
        );
        let mut add = |text: &str| {
            line.push_str("  ");
            line.push_str(text);
        };
        if self.state == "running"
            && let Some(state) = self.job_state.as_ref().filter(|state| *state == "queued")
        {
            add(&format!("({state})"));
        }
        if let Some(started) = self.started_at {
            add(&time(started, self.ended_at.unwrap_or(now)));
        }
        if self.attempts.len() > 1 {
            add(&format!("{} attempts", self.attempts.len()));
        }
        if let Some(Verify { tool, need, of }) = &self.verify {
            let good = self
                .checks
                .iter()
                .filter(|check| check.state.as_deref() == Some("succeeded"));
            add(&format!(
                "verified by {need} of {of} {tool}: {} succeeded",
                good.count()
            ));
        }
        if !self.runs_at_failure_of.is_empty() {
            add(&style.dim(&format!(
                "at the failure of {}",
                self.runs_at_failure_of.join(", ")
            )));
        }
        let others: Vec<_> = self
            .needs
            .iter()
            .filter(|id| Some(id.as_str()) != parent)
            .map(String::as_str)
            .collect();
        if !others.is_empty() {
            add(&style.dim(&format!("also after {}", others.join(", "))));
        }
        if let Some(job) = &self.job {
            add(&style.dim(&format!("job {job}")));
        }
        if let Some(Failure { code, message }) = &self.error {
            add(&format!("{code}: {}", one_line(message)));
        }
        line
    }
}

impl Check {
    fn line(&self, now: Timestamp, style: Style) -> String {
        format!(
            "check {}  {}  {}  {}",
            self.n,
            style.state(self.state.as_deref().unwrap_or("unknown")),
            time(self.started_at, self.ended_at.unwrap_or(now)),
            style.dim(&format!("job {}", self.job))
        )
    }
}

fn time(from: Timestamp, to: Timestamp) -> String {
    let text = from.to_string();
    // The day is that of the workflow, of which more is said above.
    let clock = text
        .split_once('T')
        .map_or(text.as_str(), |(_, clock)| clock);
    format!("{clock} +{}", duration::render(to.since(from)))
}

fn change(
    told: &mut HashMap<String, String>,
    lines: &mut Vec<String>,
    name: String,
    state: &str,
    at: Timestamp,
    why: &str,
    style: Style,
) {
    if told.get(&name).is_some_and(|told| told == state) {
        return;
    }
    lines.push(format!(
        "{} {name}: {}{why}",
        style.dim(&at.to_string()),
        style.state(state)
    ));
    told.insert(name, state.to_owned());
}

fn draw(branches: &[Branch], indent: &str, text: &mut String) {
    for (n, branch) in branches.iter().enumerate() {
        let is_last = n + 1 == branches.len();
        let (fork, further) = if is_last {
            ("└─ ", "   ")
        } else {
            ("├─ ", "│  ")
        };
        // Writing to a String cannot fail.
        writeln!(text, "{indent}{fork}{}", branch.line).unwrap_or_default();
        draw(&branch.below, &format!("{indent}{further}"), text);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn step(id: &str, state: &str, needs: &[&str]) -> Value {
        json!({"id": id, "tool": "shop__x", "state": state, "needs": needs, "runs_at_failure_of": [], "job": null,
               "job_state": null, "attempts": [], "started_at": null, "ended_at": null, "verify": null, "checks": [],
               "error": null})
    }

    #[test]
    fn the_steps_are_drawn_below_those_they_wait_for() {
        let mut deploy = step("deploy", "failed", &["before"]);
        deploy["job"] = json!("019b");
        deploy["started_at"] = json!(1_000);
        deploy["ended_at"] = json!(3_500);
        deploy["attempts"] = json!([{}, {}]);
        deploy["verify"] = json!({"tool": "shop__health", "need": 3, "of": 5});
        deploy["checks"] = json!([
            {"n": 1, "job": "c1", "state": "succeeded", "started_at": 2_000, "ended_at": 2_100},
            {"n": 2, "job": "c2", "state": "failed", "started_at": 3_000, "ended_at": 3_100},
        ]);
        deploy["error"] = json!({"code": "verification_failed", "message": "Too\nfew."});
        let mut rollback = step("rollback", "running", &[]);
        rollback["runs_at_failure_of"] = json!(["deploy"]);
        rollback["job_state"] = json!("queued");
        let answer = json!({
            "id": "019a", "name": "shop", "agent": "ci", "state": "running", "schedule": null, "cancel": null,
            "error": null, "created_at": 0, "finished_at": null, "revision": 3,
            "steps": [
                step("before", "succeeded", &[]), deploy, rollback,
                step("tell", "skipped", &["before", "deploy"]), step("alone", "waiting", &[]),
            ],
        });
        let workflow = Workflow::read(&answer).unwrap();
        let expected = "\
workflow   019a
name       shop
state      running
agent      ci
created    1970-01-01T00:00:00.000Z

before  succeeded  shop__x
└─ deploy  failed  shop__x  00:00:01.000Z +2.5 s  2 attempts  verified by 3 of 5 shop__health: 1 succeeded  job 019b  verification_failed: Too few.
   ├─ check 1  succeeded  00:00:02.000Z +100 ms  job c1
   ├─ check 2  failed  00:00:03.000Z +100 ms  job c2
   ├─ rollback  running  shop__x  (queued)  at the failure of deploy
   └─ tell  skipped  shop__x  also after before
alone  waiting  shop__x
";
        assert_eq!(
            workflow.render(Timestamp::from_millis(4_000), Style::default()),
            expected
        );
        let mut told = HashMap::new();
        let lines = workflow.changes(&mut told, Style::default());
        assert_eq!(lines.len(), 6, "{lines:?}");
        assert!(
            lines.contains(&"1970-01-01T00:00:03.500Z deploy: failed: Too few.".to_owned()),
            "{lines:?}"
        );
        assert!(workflow.changes(&mut told, Style::default()).is_empty());
    }
}
