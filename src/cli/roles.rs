//! `smcp up`, `api`, `worker` and `stdio`: the processes of SMCP.

use std::path::PathBuf;

use clap::Args;

/// Where SMCP keeps what it knows.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Storage")]
pub(crate) struct Storage {
    /// Directory of the database and keys [env: SMCP_DATA_DIR] [default: ~/.local/share/smcp]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// SQLite file [env: SMCP_DATABASE_URL] [default: smcp.db in the data directory]
    #[arg(long, value_name = "FILE")]
    pub(crate) database: Option<String>,
}

/// Where the API listens, and to whom.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Listening")]
pub(crate) struct Listener {
    /// Address to listen on [env: MCP_HOST] [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) host: Option<String>,
    /// Port to listen on; 0 takes a free one [env: MCP_PORT] [default: 8000]
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// Listen on every address of this machine; needs an API key (MCP_API_KEY)
    #[arg(long)]
    pub(crate) allow_external: bool,
    /// Ask callers on this machine for an API key, too
    #[arg(long)]
    pub(crate) require_auth: bool,
    /// Time limit of tools that declare none; 0 means none [env: MCP_PLUGIN_TIMEOUT] [default: 300]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub(crate) plugin_timeout: Option<f64>,
}

#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "\
Settings can also stand in a file smcp.toml, here or in the data directory.
Ctrl-C lets running jobs finish; a second Ctrl-C stops at once.

Examples:
  smcp up
  smcp up --plugins ./my-plugins --workers 4
  MCP_API_KEY=secret smcp up --allow-external --port 9000")]
pub(crate) struct Up {
    #[command(flatten)]
    pub(crate) listener: Listener,
    #[command(flatten)]
    pub(crate) storage: Storage,
    /// Worker processes to keep running [env: SMCP_WORKERS] [default: as `smcp workers scale` has said, else 1]
    #[arg(long, value_name = "N", help_heading = "Workers")]
    pub(crate) workers: Option<u16>,
    #[command(flatten, next_help_heading = "Workers")]
    pub(crate) plugins: PluginDirectories,
}

#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "\
The API runs no plugin: it needs a worker on the same database.

Example:
  smcp api --data-dir /var/lib/smcp --port 8000")]
pub(crate) struct Api {
    #[command(flatten)]
    pub(crate) listener: Listener,
    #[command(flatten)]
    pub(crate) storage: Storage,
    #[command(flatten)]
    pub(crate) supervision: Supervision,
}

#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "\
A worker runs one job at a time and listens on no port.

Example:
  smcp worker --data-dir /var/lib/smcp --plugins /opt/smcp/plugins")]
pub(crate) struct Worker {
    #[command(flatten)]
    pub(crate) plugins: PluginDirectories,
    /// Time limit of scheduled runs of tools that declare none; 0 means none [env: MCP_PLUGIN_TIMEOUT] [default: 300]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub(crate) plugin_timeout: Option<f64>,
    #[command(flatten)]
    pub(crate) storage: Storage,
    #[command(flatten)]
    pub(crate) supervision: Supervision,
    /// Started by smcp up, which ends it where fewer workers are wanted
    #[arg(long, hide = true)]
    pub(crate) managed: bool,
}

#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "\
For the settings of an MCP client: {\"command\": \"smcp\", \"args\": [\"stdio\"]}. Each line of standard
input and output is one JSON-RPC message; logs go to standard error.

Jobs go into the same queue as those of smcp up, which may run or not. Where no
worker runs, one is started; it ends with this process, after the job that it
has begun. The end of standard input ends the session.

Examples:
  smcp stdio
  smcp stdio --data-dir /var/lib/smcp --workers 0")]
pub(crate) struct Stdio {
    #[command(flatten)]
    pub(crate) storage: Storage,
    /// Worker processes to start, whether others run or not [default: 1 as soon as there is no other]
    #[arg(long, value_name = "N", help_heading = "Workers")]
    pub(crate) workers: Option<u16>,
    #[command(flatten, next_help_heading = "Workers")]
    pub(crate) plugins: PluginDirectories,
    /// Time limit of tools that declare none; 0 means none [env: MCP_PLUGIN_TIMEOUT] [default: 300]
    #[arg(
        long,
        value_name = "SECONDS",
        allow_negative_numbers = true,
        help_heading = "Workers"
    )]
    pub(crate) plugin_timeout: Option<f64>,
}

/// Where plugins are looked for.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PluginDirectories {
    /// Directories of plugins, joined by ':' [env: MCP_PLUGINS_DIR] [default: ./plugins, else the bundled ones]
    #[arg(long = "plugins", value_name = "DIRS")]
    pub(crate) directories: Option<String>,
}

/// How a role knows that it is a child of `smcp up`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Supervision {
    /// Stop when standard input ends; tell on standard output where the API listens
    #[arg(long, hide = true)]
    pub(crate) supervised: bool,
}
