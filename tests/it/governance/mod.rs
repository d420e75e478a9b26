//! Who may do what, when and under which rules, through the running binary: agents that are added, rules that are written into
//! the directory, decisions that clients are told and the audit has.

mod changes;
mod limits;
mod lost;
mod table;

use std::fs;

use serde_json::{Value, json};

use crate::agents::added;
use crate::http::{Session, Transport};
use crate::world::{Client, Role, World, eventually, text};

/// The guide, whose rules are in force in the tests.
const GUIDE: &str = include_str!("../../../docs/governance.md");

/// A world with agents and rules.
struct Governed {
    api: Option<Role>,
    _worker: Role,
    keys: Vec<(String, String)>,
    world: World,
}

impl Governed {
    /// One with these agents, in these groups, and with the rules of these files.
    fn new(agents: &[(&str, &[&str])], rules: &[(&str, &str)]) -> Self {
        let (world, [api, worker]) = World::new()
            .with_rule_fixture()
            .with("MCP_API_KEY", "secret")
            .with("SMCP_POLICY_ZONE", "Europe/Berlin")
            .started();
        let operator = fs::read_to_string(world.path("operator.key")).unwrap();
        let mut keys = vec![
            ("legacy".to_owned(), "secret".to_owned()),
            ("operator".to_owned(), operator.trim().to_owned()),
        ];
        for (agent, groups) in agents {
            let mut arguments = vec![*agent];
            arguments.extend(groups.iter().flat_map(|group| ["--group", group]));
            let key = added(&world, &arguments);
            keys.push(((*agent).to_owned(), key));
        }
        let governed = Self {
            api: Some(api),
            _worker: worker,
            keys,
            world,
        };
        for (name, text) in rules {
            governed.write(name, text);
        }
        let files: Vec<_> = rules
            .iter()
            .map(|(name, text)| json!({"name": name, "text": text}))
            .collect();
        eventually("the rules are in force", || {
            (governed.in_force() == Value::from(files.clone())).then_some(())
        });
        governed
    }

    /// Writes a file of rules.
    fn write(&self, name: &str, text: &str) {
        fs::write(self.world.path("policies").join(name), text).unwrap();
    }

    /// The files of the rules in force, by name.
    fn in_force(&self) -> Value {
        let sql = self.world.sql();
        let files = sql.query_row("SELECT files FROM policies", [], |row| {
            row.get::<_, String>(0)
        });
        serde_json::from_str(&files.unwrap()).unwrap()
    }

    /// Changes the groups of an agent.
    fn groups(&self, agent: &str, change: [&str; 2]) {
        let changed = self
            .world
            .smcp(&[&["agents", "groups", agent], change.as_slice()].concat());
        assert!(changed.status.success(), "{}", text(&changed.stderr));
    }

    /// The key of an agent; `local` has none.
    fn key(&self, agent: &str) -> Option<&str> {
        let mut keys = self.keys.iter();
        let (_, key) = keys.find(|(name, _)| name == agent)?;
        Some(key)
    }

    async fn client(&self, agent: &str) -> Client {
        match self.key(agent) {
            Some(key) => self.world.client_with_key(key).await,
            None => self.world.client().await,
        }
    }

    /// What the agent is told of a call, which is not carried out where it only asks.
    async fn call(&self, transport: Transport, agent: &str, call: Value) -> Value {
        let mut session = Session::open_as(&self.world, transport, self.key(agent)).await;
        let mut answer = session.ask("tools/call", call).await;
        answer["result"]["structuredContent"].take()
    }

    /// What the agent is told that asks what a call of a plugin's tool would do.
    async fn asked(&self, agent: &str, tool: &str, arguments: &Value) -> Value {
        let call = json!({"name": tool, "arguments": arguments, "_meta": {"smcp/dry-run": true}});
        self.call(Transport::StreamableHttp, agent, call).await
    }
}

/// What has been decided: `allow`, `approval` or `deny`, the code of a denial, and the rules.
fn said(told: &Value) -> String {
    let denied = &told["error"];
    let (decision, code, rules) = if denied.is_null() {
        (&told["decision"], &told["code"], &told["rules"])
    } else {
        (&json!("deny"), &denied["code"], &denied["rules"])
    };
    let rules = rules.as_array().into_iter().flatten();
    let words = [decision, code].into_iter().chain(rules);
    words
        .filter_map(Value::as_str)
        .collect::<Vec<_>>()
        .join(" ")
}
