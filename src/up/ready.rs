//! Asking the API, once it listens, what there is, so that `smcp up` can tell.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use smcp_common::config::{Environment, Flags};

use super::summary::{Summary, url};
use crate::client::{Client, Key, Target, ToolError};
use crate::command::plugins::Listing;
use crate::settings::{self, Settings};
use crate::terminal::{Progress, Style, print};

/// How long to wait for the first look at the plugins, in seconds.
const PATIENCE_S: u64 = 10;
/// After that long, tell what we are waiting for.
const SILENCE: Duration = Duration::from_secs(1);

/// Waits for the plugins to be described, and tells what there is.
///
/// # Errors
/// The API does not answer, or standard output cannot be written.
pub(super) async fn tell(
    settings: &Settings,
    address: SocketAddr,
    workers: u16,
) -> anyhow::Result<()> {
    let Settings {
        config,
        environment,
    } = settings;
    let file = config.operator_key_file();
    let secret = smcp_api::operator_key::read(&file)
        .with_context(|| format!("cannot read {}", file.display()))?;
    let key = Key {
        secret,
        origin: format!("the operator's key in {}", file.display()),
    };
    let mut client = Client::connect(&Target {
        url: url(address),
        key: Some(key),
    })
    .await?;
    let listing = listing(&mut client, workers, environment).await?;
    let tools = client.tools().await?;
    client.close().await;
    let summary = Summary {
        address,
        data_dir: config.data_dir.clone(),
        workers,
        listing,
        tools,
        call: command_line(settings, address, environment),
    };
    print(&summary.render(Style::of(&io::stdout(), environment)))
}

/// The plugins; `None` where they are still being described.
async fn listing(
    client: &mut Client,
    workers: u16,
    environment: &Environment,
) -> anyhow::Result<Option<Listing>> {
    if workers == 0 {
        // Nobody would look now.
        return client.ask_as("plugins__list", json!({})).await.map(Some);
    }
    let mut progress = Progress::on_stderr(environment);
    let asked = client.ask_as("plugins__reload", json!({ "timeout_s": PATIENCE_S }));
    tokio::pin!(asked);
    let answer = tokio::select! {
        answer = &mut asked => answer,
        () = tokio::time::sleep(SILENCE) => {
            progress.line("describing plugins…");
            asked.await
        }
    };
    match answer {
        Ok(listing) => Ok(Some(listing)),
        Err(error)
            if error
                .downcast_ref::<ToolError>()
                .is_some_and(|error| error.code == "no_worker") =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// How our own program is called so that it finds this API: by what a client without flags would not find.
fn command_line(settings: &Settings, address: SocketAddr, environment: &Environment) -> String {
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("smcp"));
    let on_path = environment.text("PATH").is_some_and(|path| {
        let found = std::env::split_paths(&path)
            .map(|directory| directory.join("smcp"))
            .find(|file| file.is_file());
        found.and_then(|file| file.canonicalize().ok()) == program.canonicalize().ok()
    });
    let mut line = String::new();
    let by_default = settings::load(&Flags::default())
        .ok()
        .map(|settings| settings.config);
    let differs = |ours: &dyn Fn(&smcp_common::config::Config) -> bool| {
        !by_default.as_ref().is_some_and(ours)
    };
    // Writing to a String cannot fail.
    if differs(&|config| config.data_dir == settings.config.data_dir) {
        write!(
            line,
            "SMCP_DATA_DIR={} ",
            quoted(&settings.config.data_dir.to_string_lossy())
        )
        .unwrap_or_default();
    }
    if differs(&|config| config.http.port == address.port()) {
        write!(line, "MCP_PORT={} ", address.port()).unwrap_or_default();
    }
    line + &if on_path {
        "smcp".to_owned()
    } else {
        quoted(&program.to_string_lossy())
    }
}

/// As a shell takes it for one word.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_for_a_shell_where_they_must_be() {
        let rows = [
            ("/a/b-c_d.e", "/a/b-c_d.e"),
            ("/a b", "'/a b'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ];
        for (text, expected) in rows {
            assert_eq!(quoted(text), expected);
        }
    }
}
