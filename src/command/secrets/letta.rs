//! `smcp secrets import-letta`: what a Letta server keeps for its agents, stored here. Only this command asks the server;
//! nothing of it reaches a plugin but by a secret that the plugin declares.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::json;
use smcp_common::config::Environment;
use smcp_common::secret::{Plain, check_name, check_value};

use super::{store, whose};
use crate::cli::SecretsImportLetta;
use crate::command::{block_on, with_client};
use crate::failure::BadUsage;
use crate::terminal::{counted, print, print_json, warn};

const DEFAULT_URL: &str = "http://127.0.0.1:8284";
/// As many agents as one answer has.
const MAX_AGENTS: usize = 100;
/// How long the server may take.
const PATIENCE: Duration = Duration::from_secs(15);
const NAMES: [&str; 4] = [
    "LETTA_SERVER_URL",
    "LETTA_SERVER_PASSWORD",
    "LETTA_API_KEY",
    "LETTA_AGENT_ID",
];

/// Carries out the import.
pub(super) fn import(options: &SecretsImportLetta) -> anyhow::Result<ExitCode> {
    let server = Server::find(&Environment::of_process())?;
    let agents = block_on(server.agents())?;
    if agents.len() >= MAX_AGENTS {
        warn(&format!(
            "only the first {MAX_AGENTS} agents were looked at; name one by LETTA_AGENT_ID"
        ))?;
    }
    let (found, contested) = merged(agents);
    for name in contested {
        warn(&format!(
            "agents have different values of {name}; that of the last one counts"
        ))?;
    }
    let agent = options.agent.as_deref();
    with_client(&options.connection, async |client| {
        let (mut stored, mut skipped) = (Vec::new(), Vec::new());
        for (name, value) in &found {
            if let Err(error) = check_name(name).and_then(|()| check_value(value.reveal())) {
                warn(&format!("{name} is skipped: {error}"))?;
                skipped.push(name);
                continue;
            }
            store(client, name, agent, value).await?;
            stored.push(name);
        }
        if options.connection.json {
            print_json(&json!({"agent": agent, "stored": stored, "skipped": skipped}))?;
        } else {
            let names: Vec<_> = stored.iter().map(|name| format!("\n  {name}")).collect();
            let count = counted(stored.len(), "secret");
            print(&format!(
                "stored {count} of {} for {}{}\n",
                server.url,
                whose(agent),
                names.concat()
            ))?;
        }
        Ok(if skipped.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    })
}

/// A Letta server, and how to ask it.
#[derive(Debug, PartialEq)]
struct Server {
    url: String,
    key: Option<Plain>,
    /// Of one agent; without it, of all.
    agent: Option<String>,
}

/// An agent, as far as it matters here.
#[derive(Deserialize)]
struct Agent {
    #[serde(default)]
    tool_exec_environment_variables: Vec<Variable>,
    #[serde(default)]
    secrets: Vec<Variable>,
}

#[derive(Deserialize)]
struct Variable {
    key: String,
    value: Option<String>,
}

impl Server {
    /// The server that the environment names, and for what it does not say, the user's `~/.letta/.env`.
    fn find(environment: &Environment) -> anyhow::Result<Self> {
        let file = environment
            .text("HOME")
            .map(|home| Path::new(&home).join(".letta/.env"));
        let text = match file.as_deref().map(std::fs::read_to_string) {
            Some(Ok(text)) => text,
            Some(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).context("cannot read ~/.letta/.env");
            }
            Some(Err(_)) | None => String::new(),
        };
        let written = exports(&text);
        let known = |name: &str| {
            environment
                .text(name)
                .or_else(|| written.get(name).cloned())
        };
        let url = known("LETTA_SERVER_URL").unwrap_or_else(|| DEFAULT_URL.to_owned());
        let url = url.trim_end_matches('/').to_owned();
        if !url.starts_with("http://") {
            return Err(BadUsage(format!(
                "LETTA_SERVER_URL is '{url}', but must be an http address: this program has no TLS, so that an https server \
                 is reached through a tunnel only, such as: ssh -L 8284:127.0.0.1:8284 HOST"
            ))
            .into());
        }
        Ok(Self {
            url,
            key: known("LETTA_SERVER_PASSWORD")
                .or_else(|| known("LETTA_API_KEY"))
                .map(Plain::new),
            agent: known("LETTA_AGENT_ID"),
        })
    }

    async fn agents(&self) -> anyhow::Result<Vec<Agent>> {
        let asked = || format!("the Letta server at {}", self.url);
        let path = match &self.agent {
            Some(agent)
                if agent
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) =>
            {
                format!("v1/agents/{agent}?include=agent.secrets")
            }
            Some(agent) => {
                return Err(
                    BadUsage(format!("LETTA_AGENT_ID is '{agent}', which is no id")).into(),
                );
            }
            None => format!("v1/agents?limit={MAX_AGENTS}&include=agent.secrets"),
        };
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
            .build()
            .context("cannot start the HTTP client")?;
        let mut request = client.get(format!("{}/{path}", self.url));
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.reveal());
        }
        let answer = request
            .send()
            .await
            .with_context(|| format!("cannot reach {}", asked()))?;
        let status = answer.status();
        if !status.is_success() {
            let advice = match status.as_u16() {
                401 | 403 => "; set LETTA_SERVER_PASSWORD or LETTA_API_KEY",
                404 if self.agent.is_some() => "; is LETTA_AGENT_ID right?",
                _ => "",
            };
            bail!("{} answered {status}{advice}", asked());
        }
        let body = answer
            .bytes()
            .await
            .with_context(|| format!("cannot read the answer of {}", asked()))?;
        // What is wrong with it is not told: it has secrets.
        let read = match &self.agent {
            Some(_) => serde_json::from_slice(&body).map(|agent| vec![agent]),
            None => serde_json::from_slice(&body),
        };
        read.map_err(|_| anyhow::anyhow!("{} gave an answer that cannot be read", asked()))
    }
}

/// The variables of all agents, the later ones winning; and the names of those that agents do not agree on.
fn merged(agents: Vec<Agent>) -> (BTreeMap<String, Plain>, Vec<String>) {
    let mut found = BTreeMap::<String, Plain>::new();
    let mut contested = Vec::new();
    for agent in agents {
        // Within an agent, its secrets go before its variables.
        let mut own = BTreeMap::new();
        for Variable { key, value } in agent
            .tool_exec_environment_variables
            .into_iter()
            .chain(agent.secrets)
        {
            own.extend(value.map(|value| (key, Plain::new(value))));
        }
        for (key, value) in own {
            if found.get(&key).is_some_and(|known| *known != value) && !contested.contains(&key) {
                contested.push(key.clone());
            }
            found.insert(key, value);
        }
    }
    (found, contested)
}

/// The `export NAME=VALUE` lines of a file, as far as they speak of Letta; quotes around a value are dropped.
fn exports(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let Some((name, value)) = line
            .trim()
            .strip_prefix("export ")
            .and_then(|rest| rest.split_once('='))
        else {
            continue;
        };
        let (name, value) = (name.trim(), value.trim());
        let quoted = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
        let value = quoted('"').or_else(|| quoted('\'')).unwrap_or(value);
        if NAMES.contains(&name) && !value.is_empty() {
            found.insert(name.to_owned(), value.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_environment_does_not_say_is_taken_from_the_file() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".letta")).unwrap();
        let text = "# mine\nexport LETTA_SERVER_URL=\"http://h:1/\"\nexport LETTA_API_KEY='k e y'\nLETTA_AGENT_ID=x\n\
                    export OTHER=1\nexport LETTA_SERVER_PASSWORD=\n";
        std::fs::write(home.path().join(".letta/.env"), text).unwrap();
        let home = home.path().to_string_lossy().into_owned();
        let found = |more: &[(&str, &str)]| {
            let pairs = more.iter().copied().chain([("HOME", home.as_str())]);
            Server::find(&pairs.collect())
        };
        let server = |url: &str, key: &str, agent: Option<&str>| Server {
            url: url.into(),
            key: Some(Plain::new(key.into())),
            agent: agent.map(ToOwned::to_owned),
        };
        assert_eq!(found(&[]).unwrap(), server("http://h:1", "k e y", None));
        assert_eq!(
            found(&[
                ("LETTA_SERVER_PASSWORD", "p"),
                ("LETTA_AGENT_ID", "agent-1")
            ])
            .unwrap(),
            server("http://h:1", "p", Some("agent-1"))
        );
        let refused = found(&[("LETTA_SERVER_URL", "https://h")]).unwrap_err();
        assert!(refused.to_string().contains("no TLS"), "{refused}");
        let none = Server::find(&Environment::default()).unwrap();
        assert_eq!((none.url.as_str(), none.key), (DEFAULT_URL, None));
    }

    #[test]
    fn of_several_agents_the_last_one_counts_and_differences_are_told() {
        let agents = json!([
            {"id": "a", "tool_exec_environment_variables": [{"key": "A", "value": "1"}, {"key": "B", "value": "1"}],
             "secrets": [{"key": "A", "value": "2"}, {"key": "N", "value": null}]},
            {"secrets": [{"key": "A", "value": "2"}, {"key": "B", "value": "3"}]},
        ]);
        let (found, contested) = merged(serde_json::from_value(agents).unwrap());
        let found: Vec<_> = found
            .iter()
            .map(|(key, value)| (key.as_str(), value.reveal()))
            .collect();
        assert_eq!(found, [("A", "2"), ("B", "3")]);
        assert_eq!(contested, ["B"]);
    }
}
