//! Where the measured databases are, and how they are opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use smcp_common::audit::DigestKey;
use smcp_common::clock::SystemClock;
use smcp_common::key_file::Key;
use smcp_common::queue::{Commit, Options, Queue, Wake};
use tempfile::TempDir;

/// A directory that goes with all databases in it when the measurement ends.
#[derive(Debug)]
pub(crate) struct Scratch(TempDir);

impl Scratch {
    /// A directory below `parent`. The default is on the disk of the build, as /tmp may be in memory.
    pub(crate) fn below(parent: Option<PathBuf>) -> anyhow::Result<Self> {
        let parent = match parent {
            Some(parent) => parent,
            None => beside_profile()?.join("bench"),
        };
        let made = std::fs::create_dir_all(&parent).and_then(|()| TempDir::new_in(&parent));
        let directory =
            made.with_context(|| format!("cannot make a directory in {}", parent.display()))?;
        Ok(Self(directory))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// A directory of its own for one run.
    pub(crate) fn fresh(&self) -> anyhow::Result<TempDir> {
        Ok(TempDir::new_in(self.path())?)
    }

    /// Keeps what `directory` of a run holds, where it outlives all of this; answers where.
    pub(crate) fn keep(&self, directory: TempDir) -> anyhow::Result<PathBuf> {
        let kept = format!("kept-{}", std::process::id());
        let kept = self.path().with_file_name(kept);
        std::fs::rename(directory.keep(), &kept)?;
        Ok(kept)
    }
}

/// The directory that Cargo builds to: this program is in the directory of a profile there.
fn beside_profile() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.parent().and_then(Path::parent);
    Ok(target
        .context("this program has no directory; give one with --dir")?
        .to_owned())
}

/// Durability, as the command line has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Durability {
    /// Every commit survives a power loss
    Full,
    /// Every commit survives the death of any process
    Normal,
}

impl Durability {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Normal => "normal",
        }
    }

    pub(crate) fn to_json(self) -> Value {
        json!(self.as_str())
    }
}

/// Which durabilities are measured.
#[derive(Debug, Args)]
pub(crate) struct Durabilities {
    /// Only with this durability [default: both]
    #[arg(long)]
    durability: Option<Durability>,
}

impl Durabilities {
    pub(crate) fn iter(&self) -> impl Iterator<Item = Durability> {
        [Durability::Full, Durability::Normal]
            .into_iter()
            .filter(|durability| self.durability.is_none_or(|only| only == *durability))
    }
}

/// Opens the queue as an API (`Grouped`) or a worker (`Inline`) does.
pub(crate) fn open(
    path: &Path,
    durability: Durability,
    commit: Commit,
    wake: Wake,
) -> anyhow::Result<Queue> {
    let options = Options {
        path: path.to_owned(),
        durability: match durability {
            Durability::Full => smcp_common::queue::Durability::Full,
            Durability::Normal => smcp_common::queue::Durability::Normal,
        },
        commit,
        wake,
        check: false,
        digest_key: DigestKey::new(&Key::default()),
        secrets_key: smcp_common::secret::KeyFile::at(path.with_file_name("secrets.key")),
    };
    Ok(Queue::open(&options, Arc::new(SystemClock))?)
}
