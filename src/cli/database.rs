//! `smcp db`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Storage;

#[derive(Debug, Subcommand)]
pub(crate) enum Db {
    /// Copy the database to a new file; SMCP may be running
    #[command(after_help = "\
To restore, stop SMCP and put the copy in the place of the database.

Example:
  smcp db backup /backup/smcp-2026-11-21.db")]
    Backup(DbBackup),
    /// Look for damage in the database and for gaps in the audit chain; SMCP may be running
    Check(DbCheck),
}

#[derive(Debug, Args)]
pub(crate) struct DbBackup {
    /// The new file; an existing one is never overwritten
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) storage: Storage,
}

#[derive(Debug, Args)]
pub(crate) struct DbCheck {
    /// Print JSON for programs instead of text for people
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) storage: Storage,
}
