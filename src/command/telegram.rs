//! `smcp telegram login`: a person's session, from the plugin's own login program to the secrets.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::json;
use smcp_common::secret::{Plain, check_value};

use super::secrets::{store, whose};
use super::with_client;
use crate::cli::{Telegram, TelegramLogin};
use crate::client::Client;
use crate::failure::BadUsage;
use crate::terminal::{print, print_json};

/// The plugin that logs in, and its program for that.
const PLUGIN: &str = "botfather";
const PROGRAM: &str = "login.py";
/// What it tells, and nothing else is stored; the session comes last, as it works only with the others.
const NAMES: [&str; 3] = ["TELEGRAM_API_ID", "TELEGRAM_API_HASH", "TELEGRAM_SESSION"];

/// The answer of `plugins__list`.
#[derive(Deserialize)]
struct Listing {
    plugins: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    directory: PathBuf,
    interpreter: Option<PathBuf>,
    integrity: Option<Integrity>,
}

#[derive(Deserialize)]
struct Integrity {
    state: String,
}

/// What the login program prints.
#[derive(Deserialize)]
struct Account {
    account: String,
    secrets: BTreeMap<String, String>,
}

/// Carries out a command on Telegram.
pub(crate) fn run(what: Telegram) -> anyhow::Result<ExitCode> {
    match what {
        Telegram::Login(options) => login(&options),
    }
}

fn login(options: &TelegramLogin) -> anyhow::Result<ExitCode> {
    if !io::stdin().is_terminal() {
        let why = "this asks for what only a person knows, and needs a terminal: run it in one (ssh -t, docker exec -it). A session that was \
                   made elsewhere is stored by: smcp secrets set TELEGRAM_SESSION, and likewise TELEGRAM_API_ID and \
                   TELEGRAM_API_HASH";
        return Err(BadUsage(why.to_owned()).into());
    }
    let agent = options.agent.as_deref();
    with_client(&options.connection, async |client| {
        let (interpreter, program) = program(client).await?;
        let account = logged_in(&interpreter, &program)?;
        for name in NAMES {
            let value = account.secrets.get(name);
            let value = Plain::new(value.cloned().unwrap_or_default());
            check_value(value.reveal())
                .map_err(anyhow::Error::from)
                .with_context(|| format!("{} has told no {name}", program.display()))?;
            store(client, name, agent, &value).await.with_context(|| {
                format!(
                    "{name} is not stored; end the new session of {} in Telegram, under Settings, Devices, and log in anew",
                    account.account
                )
            })?;
        }
        if options.connection.json {
            print_json(&json!({"account": account.account, "agent": agent, "secrets": NAMES}))?;
        } else {
            print(&format!(
                "logged in as {}; stored for {}:\n  {}\n",
                account.account,
                whose(agent),
                NAMES.join("\n  ")
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// The plugin's interpreter and its login program, which must be on this machine.
async fn program(client: &mut Client) -> anyhow::Result<(PathBuf, PathBuf)> {
    if !client.is_local() {
        let why = "the API is not on this machine: log in where its plugins are";
        return Err(BadUsage(why.to_owned()).into());
    }
    let answer = client.ask("plugins__list", json!({})).await?;
    let plugins = Listing::deserialize(answer)?.plugins;
    let Some(plugin) = plugins.into_iter().find(|plugin| plugin.name == PLUGIN) else {
        bail!(
            "the plugin {PLUGIN} is not there; smcp plugins list tells where plugins are looked for"
        );
    };
    if plugin
        .integrity
        .is_some_and(|integrity| integrity.state == "quarantined")
    {
        bail!(
            "the plugin {PLUGIN} is quarantined: smcp plugins diff {PLUGIN} shows what has changed"
        );
    }
    let program = plugin.directory.join(PROGRAM);
    match plugin.interpreter {
        Some(interpreter) if program.is_file() => Ok((interpreter, program)),
        Some(_) => bail!("there is no {}", program.display()),
        None => bail!("no Python was found for the plugin {PLUGIN}: smcp plugins list tells more"),
    }
}

/// Runs the login program on our terminal.
fn logged_in(interpreter: &Path, program: &Path) -> anyhow::Result<Account> {
    #[expect(
        clippy::disallowed_methods,
        reason = "an operator's own command on the operator's own terminal; no caller chooses it or its arguments"
    )]
    let mut command = Command::new(interpreter);
    let done = command
        // It leaves nothing in the plugin's directory.
        .arg("-B")
        .arg(program)
        .stdin(Stdio::inherit())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {}", interpreter.display()))?;
    if !done.status.success() {
        bail!("nothing has been stored");
    }
    // Its error would quote what was printed.
    serde_json::from_slice(&done.stdout)
        .map_err(|_| anyhow::anyhow!("{} has printed no account", program.display()))
}
