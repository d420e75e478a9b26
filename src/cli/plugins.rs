//! `smcp plugins`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Connection;

#[derive(Debug, Subcommand)]
pub(crate) enum Plugins {
    /// List the plugins that the workers found, and what is wrong with them
    List(PluginsList),
    /// Write a small plugin to begin with
    #[command(after_help = "\
Its name becomes the first half of the names of its tools. What is there already is
left alone, and the exit code is 2.

Examples:
  smcp plugins new weather
  smcp plugins new weather --lang bash --dir ~/plugins")]
    New(PluginsNew),
    /// Try out the plugin in a directory, and say what is wrong with it
    #[command(after_help = "\
It does what a worker does before a call: it asks the plugin in its sandbox what it offers,
finds out what smcp.toml grants it, and has an interpreter do its imports. Commands are not
run, and SMCP need not be running. Where something is wrong the exit code is 1; a warning,
such as of something that is not granted, leaves it 0.

Example:
  smcp plugins check ./plugins/demo_math")]
    Check(PluginsCheck),
    /// Show how the tools of a plugin differ from those that were accepted
    #[command(after_help = "\
Only with plugins.pin = \"warn\" or \"require\" plugins are accepted at all. A quarantined
plugin is run for this, in a sandbox without network, to describe itself.

Example:
  smcp plugins diff deploy")]
    Diff(PluginsDiff),
    /// Accept a plugin that is new or has changed, so that it is served
    #[command(after_help = "\
It shows what has changed, and asks. In a pipe it needs --yes, or the digest of what you
have looked at, which `smcp plugins diff` tells; without, the exit code is 2. Where the
plugin has changed again since, nothing is accepted.

Examples:
  smcp plugins accept deploy
  smcp plugins accept deploy --digest \"$(smcp plugins diff deploy --json | jq -r .digest)\"")]
    Accept(PluginsAccept),
    /// Let a worker look at the plugin directories now, without waiting for it to notice a change
    Reload(PluginsList),
}

#[derive(Debug, Args)]
pub(crate) struct PluginsList {
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct PluginsNew {
    /// Its name: letters, digits, _ and -
    pub(crate) name: String,
    /// What it is written in
    #[arg(long, value_enum, default_value_t = Language::Python)]
    pub(crate) lang: Language,
    /// Directory of plugins that it is put into
    #[arg(long = "dir", value_name = "DIR", default_value = ".")]
    pub(crate) directory: PathBuf,
}

/// What a plugin is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// Python 3.9 or later, with the library smcp_plugin.py
    Python,
    /// One script
    Bash,
    /// One script for Node 18 or later, without packages
    Node,
    /// A project for cargo, without dependencies
    Rust,
}

#[derive(Debug, Args)]
pub(crate) struct PluginsCheck {
    /// The plugin's directory
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Print JSON for programs instead of text for people
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PluginsDiff {
    /// The plugin, as `smcp plugins list` names it
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct PluginsAccept {
    /// The plugin, as `smcp plugins list` names it
    pub(crate) name: String,
    /// Accept exactly what has this digest, and do not ask
    #[arg(long, value_name = "DIGEST")]
    pub(crate) digest: Option<String>,
    /// Accept what is there now, and do not ask
    #[arg(long, conflicts_with = "digest")]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) connection: Connection,
}
