//! Agents and keys as people read them.

use std::collections::BTreeSet;

use serde::Deserialize;
use smcp_common::agent::{LEGACY, LOCAL, OPERATOR};
use smcp_common::clock::Timestamp;

use crate::duration;
use crate::table::Table;
use crate::terminal::{Style, one_line};

/// An agent, as `agents__list` shows it.
#[derive(Debug, Deserialize)]
pub(super) struct Agent {
    pub(super) name: String,
    built_in: bool,
    pub(super) groups: BTreeSet<String>,
    max_running: Option<u32>,
    revoked_at: Option<Timestamp>,
    keys: Vec<Key>,
}

#[derive(Debug, Deserialize)]
struct Key {
    id: String,
    prefix: String,
    live: bool,
    expires_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
}

/// The answer of `agents__add` and `agents__rotate`.
#[derive(Debug, Deserialize)]
pub(super) struct Issued {
    name: String,
    pub(super) key: String,
    expires_at: Option<Timestamp>,
    /// Of a new agent.
    groups: Option<BTreeSet<String>>,
    /// Of a rotation.
    #[serde(default)]
    replaced: Vec<String>,
    replaced_until: Option<Timestamp>,
}

/// The answer of `agents__revoke` for a whole agent.
#[derive(Debug, Deserialize)]
pub(super) struct Revoked {
    name: String,
    cancelled: usize,
    keys: usize,
    schedules: usize,
    stopped: usize,
    workflows: usize,
}

impl Issued {
    /// What is to be known beside the key.
    pub(super) fn render(&self) -> String {
        let name = &self.name;
        let end = self.expires_at.map_or_else(
            || "good until it is revoked".to_owned(),
            |at| format!("good until {at}"),
        );
        if let Some(groups) = &self.groups {
            return format!("added {name}, in {}; its key, {end}:", name_groups(groups));
        }
        let others = match (&*self.replaced, self.replaced_until) {
            ([], _) | (_, None) => "there was no other".to_owned(),
            ([_], Some(until)) => format!("the old one is good until {until} at the latest"),
            (many, Some(until)) => format!(
                "the {} old ones are good until {until} at the latest",
                many.len()
            ),
        };
        format!("new key of {name}, {end}; {others}:")
    }
}

impl Revoked {
    /// What has ended with the agent.
    pub(super) fn render(&self) -> String {
        let counted = [
            (self.keys, "key", "keys", "ended"),
            (self.cancelled, "waiting job", "waiting jobs", "cancelled"),
            (self.stopped, "running job", "running jobs", "told to stop"),
            (self.schedules, "schedule", "schedules", "paused"),
            (self.workflows, "workflow", "workflows", "stopped"),
        ];
        let mut text = format!("{} is revoked", self.name);
        for (count, one, many, what) in counted {
            match count {
                0 => {}
                1 => text.push_str(&format!("; 1 {one} {what}")),
                count => text.push_str(&format!("; {count} {many} {what}")),
            }
        }
        text
    }
}

/// A row for each key that lets somebody in, and one for each agent that has none.
pub(super) fn table(agents: &[Agent], now: Timestamp, style: Style) -> String {
    let mut table = Table::new([
        "AGENT",
        "GROUPS",
        "MAX RUNNING",
        "KEY",
        "BEGINS",
        "LAST USED",
        "EXPIRES",
    ]);
    for agent in agents {
        let mut row = |key: &str, begins: &str, used: &str, expires: String| {
            let groups: Vec<_> = agent.groups.iter().map(String::as_str).collect();
            let groups = or_dash(&groups.join(","));
            let most = agent.max_running.map(|most| most.to_string());
            table.row([
                one_line(&agent.name),
                groups,
                most.unwrap_or_else(|| "-".to_owned()),
                key.to_owned(),
                begins.to_owned(),
                used.to_owned(),
                expires,
            ]);
        };
        if agent.revoked_at.is_some() {
            row("revoked", "-", "-", "-".to_owned());
            continue;
        }
        let mut live = agent.keys.iter().filter(|key| key.live).peekable();
        if live.peek().is_none() {
            row(agent.other_key(), "-", "-", "-".to_owned());
        }
        for key in live {
            let used = key.last_used_at.map_or_else(
                || "never".to_owned(),
                |at| format!("{} ago", duration::render(now.since(at))),
            );
            let expires = key.expires_at.map_or_else(
                || "never".to_owned(),
                |at| format!("in {}", duration::render(at.since(now))),
            );
            row(&key.id, &key.prefix, &used, expires);
        }
    }
    table.render(|row, column, cell| match (row, column, cell) {
        (0, _, _) => style.bold(cell),
        (_, 3, "revoked" | "none") => style.red(cell),
        _ => cell.to_owned(),
    })
}

/// The groups in a sentence.
pub(super) fn name_groups(groups: &BTreeSet<String>) -> String {
    let names: Vec<_> = groups.iter().map(String::as_str).collect();
    match &*names {
        [] => "no group".to_owned(),
        [one] => format!("group {one}"),
        many => format!("groups {}", many.join(", ")),
    }
}

impl Agent {
    /// How an agent is known that has no key in the database.
    fn other_key(&self) -> &'static str {
        match &*self.name {
            LOCAL if self.built_in => "no key needed",
            LEGACY if self.built_in => "MCP_API_KEY",
            OPERATOR if self.built_in => "operator.key",
            _ => "none",
        }
    }
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-" } else { text }.to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn issued(more: &serde_json::Value) -> String {
        let mut answer = json!({"name": "ci", "key": "smcp_x", "key_id": "1", "expires_at": null});
        for (key, value) in more.as_object().unwrap() {
            answer[key] = value.clone();
        }
        Issued::deserialize(answer).unwrap().render()
    }

    #[test]
    fn a_key_is_handed_out_with_what_is_to_be_known_of_it() {
        assert_eq!(
            issued(&json!({"groups": [], "max_running": null})),
            "added ci, in no group; its key, good until it is revoked:"
        );
        assert_eq!(
            issued(&json!({"groups": ["b", "a"], "expires_at": 0})),
            "added ci, in groups a, b; its key, good until 1970-01-01T00:00:00.000Z:"
        );
        assert_eq!(
            issued(&json!({"replaced": ["1"], "replaced_until": 0})),
            "new key of ci, good until it is revoked; the old one is good until 1970-01-01T00:00:00.000Z at the latest:"
        );
        assert_eq!(
            issued(&json!({"replaced": [], "replaced_until": 0})),
            "new key of ci, good until it is revoked; there was no other:"
        );
    }

    #[test]
    fn what_ends_with_an_agent_is_counted() {
        let answer = json!({"name": "ci", "cancelled": 2, "keys": 1, "schedules": 1, "stopped": 0, "workflows": 0});
        assert_eq!(
            Revoked::deserialize(answer).unwrap().render(),
            "ci is revoked; 1 key ended; 2 waiting jobs cancelled; 1 schedule paused"
        );
    }

    #[test]
    fn each_key_has_a_row_and_each_agent_without_one_says_how_it_is_known() {
        let key = |id: &str, live: bool, used: Option<i64>, expires: Option<i64>| {
            json!({"id": id, "prefix": "smcp_abcd", "live": live, "created_at": 0, "revoked_at": null,
                   "last_used_at": used.map(|s| NOW.as_millis() - 1000 * s),
                   "expires_at": expires.map(|s| NOW.as_millis() + 1000 * s)})
        };
        let agent = |name: &str, built_in: bool, keys: serde_json::Value| {
            json!({"name": name, "built_in": built_in, "groups": ["users"], "max_running": null, "created_at": null,
                   "created_by": null, "revoked_at": null, "keys": keys})
        };
        let mut agents = vec![
            agent(
                "ci",
                false,
                json!([
                    key("1", true, Some(180), Some(86_400)),
                    key("2", false, None, None),
                    key("3", true, None, None)
                ]),
            ),
            agent("local", true, json!([])),
            agent("mute", false, json!([])),
            agent("old", false, json!([key("4", false, None, None)])),
        ];
        agents[0]["max_running"] = json!(2);
        agents[2]["groups"] = json!([]);
        agents[3]["revoked_at"] = json!(0);
        let agents: Vec<Agent> = agents
            .into_iter()
            .map(|agent| Agent::deserialize(agent).unwrap())
            .collect();
        assert_eq!(
            table(&agents, NOW, Style::default()),
            "AGENT  GROUPS  MAX RUNNING  KEY            BEGINS     LAST USED  EXPIRES\n\
             ci     users   2            1              smcp_abcd  3 m ago    in 1 d\n\
             ci     users   2            3              smcp_abcd  never      never\n\
             local  users   -            no key needed  -          -          -\n\
             mute   -       -            none           -          -          -\n\
             old    users   -            revoked        -          -          -\n"
        );
    }
}
