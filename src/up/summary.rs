//! What a newcomer is told when everything runs.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use rmcp::model::Tool;
use serde_json::{Map, Value};

use crate::arguments::required;
use crate::command::plugins::Listing;
use crate::terminal::{self, Style};

/// The tool that a newcomer should try, and its arguments.
const FAVOURITE: (&str, &str) = ("demo_math__calculate", "expression='2+2'");
/// Tools that are named; more are counted.
const NAMED: usize = 12;

/// What there is.
#[derive(Debug)]
pub(super) struct Summary {
    /// Where the API listens.
    pub(super) address: SocketAddr,
    /// The data directory.
    pub(super) data_dir: PathBuf,
    /// Worker processes.
    pub(super) workers: u16,
    /// The plugins; `None` where they are still being described.
    pub(super) listing: Option<Listing>,
    /// The tools that can be called.
    pub(super) tools: Vec<Tool>,
    /// How our own program is called so that it finds this API.
    pub(super) call: String,
}

impl Summary {
    /// For people.
    pub(super) fn render(&self, style: Style) -> String {
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
        line(
            "workers",
            &match self.workers {
                0 => format!("0: nothing runs; see: {} workers scale 1", self.call),
                workers => workers.to_string(),
            },
        );
        let names = self.plugin_tools();
        line(
            "tools",
            &match &self.listing {
                Some(_) => counted(&names),
                None => format!("still being described; see: {} plugins list", self.call),
            },
        );
        let asking = self.listing.as_ref().map_or(0, Listing::asking_in_vain);
        if asking > 0 {
            // Whoever does not use them need not grant it: what they ask for is told where one looks for it.
            let plugins = terminal::counted(asking, "plugin");
            let ask = if asking == 1 { "asks" } else { "ask" };
            let see = format!(
                "{plugins} {ask} for more than is granted; see: {} plugins list",
                self.call
            );
            line("", &see);
        }
        for problem in self.listing.iter().flat_map(Listing::mistakes) {
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

/// Where a client on this machine connects: an address that stands for all of them is none to connect to.
pub(super) fn url(address: SocketAddr) -> String {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

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
    fn without_workers_it_is_said_that_nothing_runs() {
        let summary = Summary {
            workers: 0,
            ..summary(&[], &[])
        };
        let text = summary.render(Style::default());
        assert!(text.contains("\n  workers  0: nothing runs; see: smcp workers scale 1\n"));
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
}
