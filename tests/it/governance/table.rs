//! The table of decisions.

use std::fs;

use serde_json::{Value, json};

use super::{GUIDE, Governed, said};
use crate::agents;
use crate::http::Transport;
use crate::world::eventually;

const RULES: &str = include_str!("rules.cedar");
const TABLE: &str = include_str!("decisions.txt");

const AGENTS: [(&str, &[&str]); 24] = [
    ("new", &[]),
    ("boss", &["operators"]),
    ("uma", &["users"]),
    ("ci", &[]),
    ("ann", &["ops"]),
    ("dev", &["dev"]),
    ("dora", &["dev", "ops"]),
    ("bart", &["barred", "users"]),
    ("calc", &[]),
    ("rita", &["readers"]),
    ("mo", &["readers", "users"]),
    ("olga", &[]),
    ("tim", &[]),
    ("nina", &[]),
    ("flo", &[]),
    ("hank", &[]),
    ("tracy", &["trainees"]),
    ("brie", &[]),
    ("nat", &["users"]),
    ("pat", &[]),
    ("eve", &[]),
    ("audi", &["auditors"]),
    ("owl", &["owls"]),
    ("ina", &["inside", "users"]),
];

/// The block of the guide that begins like this, as it has it.
fn guide(begin: &str) -> &'static str {
    let (_, block) = GUIDE.split_once(begin).unwrap();
    block.split_once("```").unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn every_decision_of_the_table_is_told_and_recorded() {
    let governed = Governed::new(
        &AGENTS,
        &[("guide.cedar", guide("```cedar\n")), ("table.cedar", RULES)],
    );
    let detach = json!({"action": "detach", "tool": "devops__deploy"});
    let nat = governed.client("nat").await;
    nat.json("sanctum__tools", detach).await;

    let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
    let rows: Vec<_> = lines.filter(|line| !line.is_empty()).map(Row::of).collect();
    assert!(rows.len() >= 60);
    let mut wrong = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        let found = row.found(&governed, number).await;
        if found != row.expected {
            wrong.push(format!("{}\n    but it is: {found}", row.line));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // The table of the guide, as it says to try it.
    let file = governed.world.path("policies.test.toml");
    let cases = guide("# policies.test.toml\n");
    fs::write(&file, cases).unwrap();
    let expected = format!(
        "All {} cases are decided as expected.\n",
        cases.matches("[[case]]").count()
    );
    let tried = ["policy", "test", file.to_str().unwrap()];
    assert_eq!(agents::said(&governed.world, &tried), expected);
    governed.world.assert_sound();
}

/// A row of the table.
struct Row {
    line: &'static str,
    agent: &'static str,
    how: &'static str,
    tool: &'static str,
    arguments: Value,
    expected: &'static str,
}

impl Row {
    fn of(line: &'static str) -> Self {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [agent, how, tool, arguments, expected] = cells[..] else {
            panic!("this is no row: {line}")
        };
        Self {
            line,
            agent,
            how,
            tool,
            arguments: serde_json::from_str(arguments).unwrap(),
            expected,
        }
    }

    /// What is decided, as it is told; with a remark where something else is recorded.
    async fn found(&self, governed: &Governed, number: usize) -> String {
        if let Some(asked) = self.asked() {
            let call = json!({"name": "policy__explain", "arguments": asked});
            let told = governed.call(Transport::StreamableHttp, "operator", call);
            return said(&told.await);
        }
        let before = last(governed);
        let mut told = self.told(governed, number).await;
        let Some((rules, via)) = record(governed, before, self.agent) else {
            let remark = if self.how == "builtin" && told["error"].is_null() {
                ""
            } else {
                " (which is not recorded)"
            };
            return said(&told) + remark;
        };
        // Of what is carried out, the record alone tells the rules.
        if told["error"].is_null() && told["rules"].is_null() {
            told["rules"] = rules.clone();
        }
        let told_rules = told["error"]["rules"].as_array();
        let told_rules = told_rules.or_else(|| told["rules"].as_array());
        let same_rules = told_rules.cloned().unwrap_or_default() == *rules.as_array().unwrap();
        let same_way = match self.how {
            "schedule" | "workflow" => via == self.how,
            _ => via == "call",
        };
        let mut found = said(&told);
        if !(same_rules && same_way) {
            found += &format!(" (recorded is {rules} via {via})");
        }
        found
    }

    /// What is asked of the rules, where it is not tried here and now.
    fn asked(&self) -> Option<Value> {
        let mut asked =
            json!({"agent": self.agent, "tool": self.tool, "arguments": self.arguments});
        let words: Vec<_> = self.how.split(' ').collect();
        for circumstance in words.chunks(2) {
            let [name, value] = circumstance else {
                return None;
            };
            let name = match *name {
                "from" => "address",
                "over" => "transport",
                name => name,
            };
            asked[name] = json!(value);
        }
        Some(asked)
    }

    async fn told(&self, governed: &Governed, number: usize) -> Value {
        let Self {
            agent,
            tool,
            arguments,
            ..
        } = self;
        let named = |name: &str, arguments: Value| json!({"name": name, "arguments": arguments});
        let mut job = json!({"tool": tool, "arguments": arguments});
        let call = match self.how {
            "call" | "sse" => {
                let mut call = named(tool, arguments.clone());
                call["_meta"] = json!({"smcp/dry-run": true});
                call
            }
            "builtin" => named(tool, arguments.clone()),
            "submit" => {
                job["dry_run"] = json!(true);
                named("jobs__submit", job)
            }
            "run" => named("jobs__submit", job),
            "schedule" => {
                job["name"] = json!(format!("row-{number}"));
                job["cron"] = json!("0 0 1 1 *");
                named("schedules__create", job)
            }
            "workflow" => {
                job["id"] = json!("only");
                named("workflows__submit", json!({"steps": [job]}))
            }
            how => panic!("nobody knows how to {how}: {}", self.line),
        };
        let transport = match self.how {
            "sse" => Transport::Sse,
            _ => Transport::StreamableHttp,
        };
        let mut told = governed.call(transport, agent, call).await;
        if !told["error"].is_null() {
            return told;
        }
        let job = match self.how {
            "builtin" => return json!({"decision": "allow"}),
            "call" | "sse" | "submit" => return told,
            "schedule" => {
                let trigger = named("schedules__trigger", json!({"id": told["id"]}));
                told = governed.call(transport, agent, trigger).await;
                told["job"].take()
            }
            "workflow" => job_of_only_step(governed, told["id"].as_str().unwrap()),
            _ => told["id"].take(),
        };
        let job = governed
            .world
            .smcp_json(&["jobs", "show", job.as_str().unwrap()]);
        let waits = job["state"] == "awaiting_approval";
        json!({"decision": if waits { "approval" } else { "allow" }})
    }
}

fn job_of_only_step(governed: &Governed, workflow: &str) -> Value {
    eventually("the step has begun", || {
        let mut shown = governed.world.smcp_json(&["workflows", "show", workflow]);
        let job = shown["steps"][0]["job"].take();
        job.is_string().then_some(job)
    })
}

/// The number of the last audit record.
fn last(governed: &Governed) -> i64 {
    let sql = governed.world.sql();
    sql.query_row("SELECT max(seq) FROM audit", [], |row| row.get(0))
        .unwrap()
}

/// The rules of the last decision about that agent since then, and by which way the call came.
fn record(governed: &Governed, since: i64, agent: &str) -> Option<(Value, String)> {
    let decisions = "SELECT json_extract(data, '$.rules'), json_extract(data, '$.via') FROM audit
        WHERE seq > ?1 AND agent = ?2 AND kind IN ('call.allowed', 'call.denied', 'job.queued') ORDER BY seq DESC LIMIT 1";
    let sql = governed.world.sql();
    let found = sql.query_row(decisions, (since, agent), |row| {
        Ok((row.get::<_, String>(0)?, row.get(1)?))
    });
    let (rules, via) = found.ok()?;
    Some((serde_json::from_str(&rules).unwrap(), via))
}
