//! `smcp settings`.

use clap::{Args, Subcommand};

use super::Connection;

#[derive(Debug, Subcommand)]
pub(crate) enum Settings {
    /// List what can be set while SMCP runs, and what it is
    List(SettingsList),
    /// Show one setting: its value, its default, what it may be, and who changed it
    #[command(after_help = "Example:\n  smcp settings get retention.age_s")]
    Get(SettingsGet),
    /// Change a setting; it counts at once, and after a restart
    #[command(after_help = "\
Durations are given in seconds, or with units such as 90s, 12h or 30d.

Examples:
  smcp settings set retention.age_s 30d
  smcp settings set retention.jobs 1000000
  smcp settings set retention.jobs default")]
    Set(SettingsSet),
}

#[derive(Debug, Args)]
pub(crate) struct SettingsList {
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct SettingsGet {
    /// The setting, as `smcp settings list` names it
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct SettingsSet {
    /// The setting, as `smcp settings list` names it
    pub(crate) name: String,
    /// Its new value, or default
    #[arg(allow_negative_numbers = true)]
    pub(crate) value: String,
    #[command(flatten)]
    pub(crate) connection: Connection,
}
