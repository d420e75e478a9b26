//! The command line of `smcp doctor`.

use clap::Args;

use super::{PluginDirectories, Storage};

#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "\
SMCP need not be running. What a line claims has been tried out as the user who
runs this command: run it as the user of the workers, under the same service
manager or in the same container.

A key is enforced, PARTIAL or ABSENT. The exit code is 1 where no plugin would be
run, or where a hostile probe got through.

Examples:
  smcp doctor
  smcp doctor --json | jq '.sandbox.keys.memory'
  sudo -u smcp smcp doctor")]
pub(crate) struct Doctor {
    /// Print JSON for programs instead of text for people
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) plugins: PluginDirectories,
    #[command(flatten)]
    pub(crate) storage: Storage,
}
