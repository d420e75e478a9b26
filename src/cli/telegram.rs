//! `smcp telegram`.

use clap::{Args, Subcommand};

use super::Connection;

#[derive(Debug, Subcommand)]
pub(crate) enum Telegram {
    /// Log in to Telegram as a person, and store the session for the plugin botfather
    Login(TelegramLogin),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Asks on the terminal for an application's API id and hash, which are made at
https://my.telegram.org/apps, for the phone number, for the code that Telegram
sends, and for the account's password where there is one. The plugin's own
login.py does so, on this machine and outside of any sandbox. What comes of it
is stored, encrypted, as the secrets TELEGRAM_SESSION, TELEGRAM_API_ID and
TELEGRAM_API_HASH, and shown to nobody. Whoever has the session is that person:
use an account that is there for bots.

Examples:
  smcp telegram login                              for the calls of everybody
  smcp telegram login --agent ci                   for the calls of one agent")]
pub(crate) struct TelegramLogin {
    /// Only for the calls of that agent, which get it before one for everybody
    #[arg(long, value_name = "AGENT")]
    pub(crate) agent: Option<String>,
    #[command(flatten)]
    pub(crate) connection: Connection,
}
