//! What `smcp up` prints when everything runs: where to connect, what is there, and what to try first.

use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use rmcp::model::Tool;
use serde_json::{Map, Value, json};
use smcp_common::config::{Environment, Flags};

use crate::arguments::required;
use crate::client::{Client, Key, Target, ToolError};
use crate::command::plugins::Listing;
use crate::settings::{self, Settings};
use crate::terminal::{Progress, Style, print};

/// How long to wait for the first look at the plugins, in seconds.
const PATIENCE_S: u64 = 10;
/// After that long, tell what we are waiting for.
const SILENCE: Duration = Duration::from_secs(1);
/// The tool that a newcomer should try, and its arguments.
const FAVOURITE: (&str, &str) = ("demo_math__calculate", "expression='2+2'");
/// Tools that are named; more are counted.
const NAMED: usize = 12;

/// Waits for the plugins to be described, and tells what there is.
///
/// # Errors
/// The API does not answer, or standard output cannot be written.
pub(super) async fn tell(settings: &Settings, address: SocketAddr) -> anyhow::Result<()> {
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
    let listing = listing(&mut client, environment).await?;
    let tools = client.tools().await?;
    client.close().await;
    let summary = Summary {
        address,
        data_dir: config.data_dir.clone(),
        workers: config.workers,
        listing,
        tools,
        call: command_line(settings, address, environment),
    };
    print(&summary.render(Style::of(&io::stdout(), environment)))
}

/// The plugins; `None` where they are still being described.
async fn listing(
    client: &mut Client,
    environment: &Environment,
) -> anyhow::Result<Option<Listing>> {
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

/// Where a client on this machine connects: an address that stands for all of them is none to connect to.
fn url(address: SocketAddr) -> String {
    let loopback = || {
        if address.is_ipv4() {
            IpAddr::from(Ipv4Addr::LOCALHOST)
        } else {
            Ipv6Addr::LOCALHOST.into()
        }
    };
    let ip = Some(address.ip())
        .filter(|ip| !ip.is_unspecified())
        .unwrap_or_else(loopback);
    format!("http://{}", SocketAddr::new(ip, address.port()))
}

#[derive(Debug)]
struct Summary {
    address: SocketAddr,
    data_dir: PathBuf,
    workers: u16,
    listing: Option<Listing>,
    tools: Vec<Tool>,
    call: String,
}

impl Summary {
    fn render(&self, style: Style) -> String {
        let mut text = format!("{}\n\n", style.green("SMCP is ready."));
        // Writing to a String cannot fail.
        let mut line = |name: &str, value: &str| {
            writeln!(text, "  {} {value}", style.bold(&format!("{name:<8}"))).unwrap_or_default();
        };
        let url = url(self.address);
        line(
            "MCP",
            &format!("{url}/mcp {}", style.dim("(Streamable HTTP)")),
        );
        line(
            "",
            &format!("{url}/sse {}", style.dim("(HTTP+SSE, for older clients)")),
        );
        if self.address.ip().is_unspecified() {
            line("", "and on every other address of this machine");
        }
        line("data", &self.data_dir.display().to_string());
        line("workers", &self.workers.to_string());
        let names = self.plugin_tools();
        line(
            "tools",
            &match &self.listing {
                Some(_) => counted(&names),
                None => format!("still being described; see: {} plugins list", self.call),
            },
        );
        for problem in self.listing.iter().flat_map(Listing::problems) {
            writeln!(text, "\n{} {problem}", style.yellow("warning:")).unwrap_or_default();
        }
        let (call, arguments) = (&self.call, self.first_call(&names));
        writeln!(
            text,
            "\nTry:  {}\nStop: Ctrl-C",
            style.bold(&format!("{call} {arguments}"))
        )
        .unwrap_or_default();
        text
    }

    fn plugin_tools(&self) -> Vec<&str> {
        self.listing
            .iter()
            .flat_map(|listing| &listing.plugins)
            .flat_map(|plugin| &plugin.tools)
            .map(String::as_str)
            .collect()
    }

    /// The favourite where it is there, else the tool that asks for least.
    fn first_call(&self, names: &[&str]) -> String {
        let (favourite, arguments) = FAVOURITE;
        if names.contains(&favourite) {
            return format!("call {favourite} {arguments}");
        }
        let simplest = self
            .tools
            .iter()
            .filter(|tool| names.contains(&tool.name.as_ref()))
            .min_by_key(|tool| required(&tool.input_schema).len());
        match simplest {
            Some(tool) => format!("call {}{}", tool.name, placeholders(&tool.input_schema)),
            None => "tools".to_owned(),
        }
    }
}

fn placeholders(schema: &Map<String, Value>) -> String {
    required(schema).iter().fold(String::new(), |text, name| {
        text + " " + name + "=" + &name.to_uppercase()
    })
}

fn counted(names: &[&str]) -> String {
    match names.len() {
        0 => "none".to_owned(),
        many @ 1..=NAMED => format!("{many}: {}", names.join(", ")),
        many => format!(
            "{many}: {}, and {} more",
            names[..NAMED].join(", "),
            many - NAMED
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(tools: &[(&str, &[&str])], problems: &[&str]) -> Summary {
        let names: Vec<_> = tools.iter().map(|(name, _)| name).collect();
        let listing = json!({
            "plugins": [{"name": "p", "directory": "/p", "interpreter": null, "tools": names, "problems": problems}],
            "catalogue": {"problems": []},
        });
        let tools = tools.iter().map(|(name, required)| {
            let tool =
                json!({"name": name, "inputSchema": {"type": "object", "required": required}});
            serde_json::from_value(tool).unwrap()
        });
        Summary {
            address: "0.0.0.0:8000".parse().unwrap(),
            data_dir: "/data".into(),
            workers: 2,
            listing: serde_json::from_value(listing).unwrap(),
            tools: tools.collect(),
            call: "smcp".into(),
        }
    }

    #[test]
    fn a_newcomer_is_told_where_what_and_how() {
        let expected = "\
SMCP is ready.

  MCP      http://127.0.0.1:8000/mcp (Streamable HTTP)
           http://127.0.0.1:8000/sse (HTTP+SSE, for older clients)
           and on every other address of this machine
  data     /data
  workers  2
  tools    2: demo_math__calculate, x__y

warning: plugin p: commands is required

Try:  smcp call demo_math__calculate expression='2+2'
Stop: Ctrl-C
";
        let tools: &[(&str, &[&str])] = &[("demo_math__calculate", &["expression"]), ("x__y", &[])];
        assert_eq!(
            summary(tools, &["commands is required"]).render(Style::default()),
            expected
        );
    }

    #[test]
    fn the_first_command_is_one_that_works_here() {
        let try_line = |summary: &Summary| {
            let text = summary.render(Style::default());
            text.lines()
                .find(|line| line.starts_with("Try:"))
                .unwrap()
                .to_owned()
        };
        let own = summary(
            &[
                ("a__deploy", &["app-name", "environment"]),
                ("a__greet", &["name"]),
            ],
            &[],
        );
        assert_eq!(try_line(&own), "Try:  smcp call a__greet name=NAME");
        assert_eq!(try_line(&summary(&[], &[])), "Try:  smcp tools");
    }

    #[test]
    fn many_tools_are_counted() {
        let names: Vec<_> = (0..20).map(|n| format!("t{n}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        assert!(
            counted(&names).starts_with("20: t0, ") && counted(&names).ends_with("t11, and 8 more")
        );
        assert_eq!(counted(&[]), "none");
    }

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
