//! `smcp agents`: who calls, by which key, in which groups.

mod record;

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use serde::Deserialize;
use serde_json::{Value, json};
use smcp_common::clock::{Clock as _, SystemClock};
use smcp_common::config::Environment;

use self::record::{Agent, Issued, Revoked, name_groups, table};
use super::with_client;
use crate::cli::{
    Agents, AgentsAdd, AgentsGroups, AgentsList, AgentsRevoke, AgentsRotate, AgentsSet, AtATime,
};
use crate::client::Client;
use crate::failure::BadUsage;
use crate::terminal::{Style, note, print, print_json, warn};

/// Carries out a command on agents.
pub(crate) fn run(what: Agents) -> anyhow::Result<ExitCode> {
    match what {
        Agents::Add(options) => with_client(&options.connection, async |client| {
            add(client, &options).await
        }),
        Agents::List(options) => with_client(&options.connection, async |client| {
            list(client, &options).await
        }),
        Agents::Set(options) => with_client(&options.connection, async |client| {
            set(client, &options).await
        }),
        Agents::Rotate(options) => with_client(&options.connection, async |client| {
            rotate(client, &options).await
        }),
        Agents::Revoke(options) => with_client(&options.connection, async |client| {
            revoke(client, &options).await
        }),
        Agents::Groups(options) => with_client(&options.connection, async |client| {
            groups(client, &options).await
        }),
    }
}

async fn add(client: &mut Client, options: &AgentsAdd) -> anyhow::Result<ExitCode> {
    let groups: BTreeSet<_> = options.groups.iter().collect();
    let asked = json!({
        "name": options.name,
        "groups": groups,
        "expires_in_s": options.expires_in.map(|time| time.as_secs()),
        "max_running": options.max_running,
    });
    let answer = client.ask("agents__add", asked).await?;
    hand_out(options.connection.json, answer)
}

async fn rotate(client: &mut Client, options: &AgentsRotate) -> anyhow::Result<ExitCode> {
    let asked = json!({
        "name": options.name,
        "overlap_s": options.overlap.as_secs(),
        "expires_in_s": options.expires_in.map(|time| time.as_secs()),
    });
    let answer = client.ask("agents__rotate", asked).await?;
    hand_out(options.connection.json, answer)
}

/// Prints a key to standard output, where a pipe takes it, and to standard error what is to be said of it.
fn hand_out(as_json: bool, answer: Value) -> anyhow::Result<ExitCode> {
    if as_json {
        print_json(&answer)?;
    } else {
        let issued = Issued::deserialize(answer)?;
        note(&issued.render())?;
        print(&issued.key)?;
    }
    if io::stdout().is_terminal() {
        warn("this key is shown once and kept nowhere: store it now")?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(client: &mut Client, options: &AgentsList) -> anyhow::Result<ExitCode> {
    let mut answer = client.ask("agents__list", json!({})).await?;
    let agents = answer["agents"].take();
    if options.connection.json {
        print_json(&agents)?;
    } else {
        let style = Style::of_stdout(&Environment::of_process());
        let agents: Vec<Agent> = Vec::deserialize(agents)?;
        print(&table(&agents, SystemClock.now(), style))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn set(client: &mut Client, options: &AgentsSet) -> anyhow::Result<ExitCode> {
    let AtATime(most) = options.max_running;
    // An absent number could have been forgotten, so that no limit is a number, too.
    let asked = json!({"name": options.name, "max_running": most.unwrap_or_default()});
    let answer = client.ask("agents__set", asked).await?;
    if options.connection.json {
        print_json(&answer)?;
    } else {
        let most = match most {
            Some(1) => "no more than 1 job running".to_owned(),
            Some(most) => format!("no more than {most} jobs running"),
            None => "any number of jobs running".to_owned(),
        };
        print(&format!("{} may have {most} at a time", options.name))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn revoke(client: &mut Client, options: &AgentsRevoke) -> anyhow::Result<ExitCode> {
    let asked = json!({"name": options.name, "key": options.key, "stop": options.stop});
    let answer = client.ask("agents__revoke", asked).await?;
    if options.connection.json {
        print_json(&answer)?;
    } else if let Some(key) = &options.key {
        let before = answer["was_revoked_before"] == true;
        let already = if before {
            "was revoked already"
        } else {
            "is revoked"
        };
        print(&format!("key {key} of {} {already}", options.name))?;
    } else {
        print(&Revoked::deserialize(answer)?.render())?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn groups(client: &mut Client, options: &AgentsGroups) -> anyhow::Result<ExitCode> {
    let AgentsGroups {
        name,
        groups,
        add,
        remove,
        connection,
    } = options;
    let answer = if !groups.is_empty() {
        client
            .ask("agents__groups", json!({"name": name, "set": groups}))
            .await?
    } else if add.is_empty() && remove.is_empty() {
        let mut listed = client.ask("agents__list", json!({})).await?;
        let agents: Vec<Agent> = Vec::deserialize(listed["agents"].take())?;
        let found = agents.into_iter().find(|agent| agent.name == *name);
        let agent = found.ok_or_else(|| BadUsage(format!("there is no agent '{name}'")))?;
        json!({"name": name, "groups": agent.groups})
    } else {
        let asked = json!({"name": name, "add": add, "remove": remove});
        client.ask("agents__groups", asked).await?
    };
    if connection.json {
        print_json(&answer)?;
    } else {
        let groups = BTreeSet::deserialize(&answer["groups"])?;
        print(&format!("{name} is in {}", name_groups(&groups)))?;
    }
    Ok(ExitCode::SUCCESS)
}
