//! `smcp secrets`.

use clap::{Args, Subcommand};

use super::Connection;

#[derive(Debug, Subcommand)]
pub(crate) enum Secrets {
    /// Store a secret; its value is read from standard input, or asked for without showing it
    Set(SecretsSet),
    /// List the secrets, who set them and which tools get them; never a value
    #[command(after_help = "Also lists the secrets that plugins need and nobody has set.")]
    List(SecretsList),
    /// Remove a secret
    Remove(SecretsRemove),
    /// Replace the key under which all secrets are stored, and encrypt them anew
    RotateKey(SecretsRotateKey),
    /// Store the secrets that a Letta server keeps for its agents
    ImportLetta(SecretsImportLetta),
}

#[derive(Debug, Args)]
#[command(after_help = "\
A value is never an argument: other users of this machine can read those. One
line end at its end is dropped. Plugins get a secret where they declare it.

Examples:
  smcp secrets set WEATHER_TOKEN                   asks for it, twice
  pass show weather | smcp secrets set WEATHER_TOKEN
  smcp secrets set DEPLOY_KEY --agent ci < ~/.ssh/deploy")]
pub(crate) struct SecretsSet {
    /// Its name: letters, digits and _
    pub(crate) name: String,
    /// Only for the calls of that agent, which get it before one for everybody
    #[arg(long, value_name = "AGENT")]
    pub(crate) agent: Option<String>,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct SecretsList {
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  smcp secrets remove WEATHER_TOKEN
  smcp secrets remove DEPLOY_KEY --agent ci")]
pub(crate) struct SecretsRemove {
    /// Its name
    pub(crate) name: String,
    /// The one for the calls of that agent; without it the one for everybody
    #[arg(long, value_name = "AGENT")]
    pub(crate) agent: Option<String>,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Calls go on meanwhile. The old key is gone afterwards: keep a copy of its file
as long as you keep backups of the database that were made before.")]
pub(crate) struct SecretsRotateKey {
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The server is LETTA_SERVER_URL [default: http://127.0.0.1:8284], with
LETTA_SERVER_PASSWORD or LETTA_API_KEY, and LETTA_AGENT_ID where only one agent
is meant; lines 'export NAME=VALUE' of ~/.letta/.env count for what is not set.
Nothing is changed there.

Examples:
  smcp secrets import-letta --agent ci             for the calls of one agent
  smcp secrets import-letta --everybody")]
pub(crate) struct SecretsImportLetta {
    /// Store them for the calls of that agent
    #[arg(long, value_name = "AGENT", required_unless_present = "everybody")]
    pub(crate) agent: Option<String>,
    /// Store them for the calls of everybody
    #[arg(long, conflicts_with = "agent")]
    pub(crate) everybody: bool,
    #[command(flatten)]
    pub(crate) connection: Connection,
}
