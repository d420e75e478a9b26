//! A digest of what is run when a plugin is: another digest means that it has to be described, and where plugins are
//! pinned accepted, again.
//!
//! It covers the files of the plugin's directory, with their modes, the interpreter that was found for it, its settings,
//! and the files outside of its directory that it has declared to be a part of it. It does not cover what is installed (`.venv`, `venv`, `node_modules`), what is hidden, what a build leaves behind (`target`),
//! what is behind a link to a directory, and the content of an interpreter outside of the plugin's directory.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use smcp_common::canonical::hex;
use smcp_common::clock::{Clock as _, SystemClock, Timestamp};
use smcp_common::config::Environment;
use smcp_common::plugin::Plugin;

/// Changes where the same files come to another digest, whereupon every plugin has to be accepted anew.
const FORM: &[u8] = b"smcp plugin 1";
/// Directories that hold what is installed or generated, not what the plugin says of itself.
const PASSED_OVER: [&str; 4] = [COMPILED, "node_modules", "venv", "target"];
/// What Python has compiled, and runs in the place of the sources beside it where their times and sizes agree.
const COMPILED: &str = "__pycache__";
/// A larger file is not read again as long as the system says that nobody has changed it.
const READ_BYTES: u64 = 1024 * 1024;
/// A file that was changed so short a time before may be changed again without another time of change.
const RACY: Duration = Duration::from_secs(2);
/// Files outside of the plugin's directory are read at every look, and so may be only so large.
const MAX_ELSEWHERE_BYTES: u64 = 1024 * 1024;
/// A plugin of more files than this is a mistake, such as a link to the root directory.
const MAX_FILES: usize = 10_000;

/// Makes digests, and remembers those of large files.
#[derive(Debug, Default)]
pub(crate) struct Digests {
    environment: Environment,
    large: Mutex<HashMap<PathBuf, (Stat, Hash)>>,
}

type Hash = [u8; 32];

/// Device, inode, size, time of change (which no program can set) and of modification: equal ones mean equal content.
type Stat = (u64, u64, u64, (i64, i64), (i64, i64));

impl Digests {
    /// For a worker of that environment, which has the settings of its plugins.
    pub(crate) fn new(environment: Environment) -> Self {
        Self {
            environment,
            large: Mutex::default(),
        }
    }

    /// The digest of `plugin`, of which it is known where it is, what it is run by and which files elsewhere belong to it.
    ///
    /// # Errors
    /// What the system says when a directory or file cannot be read, or that there are too many.
    pub(crate) async fn of(self: &Arc<Self>, plugin: &Plugin) -> io::Result<String> {
        let digests = Arc::clone(self);
        let plugin = Plugin {
            interpreter: plugin.interpreter.clone(),
            files: plugin.files.clone(),
            ..Plugin::found(&plugin.name, &plugin.directory)
        };
        let made = move || digests.make(&plugin);
        tokio::task::spawn_blocking(made)
            .await
            .map_err(io::Error::other)?
    }

    pub(super) fn make(&self, plugin: &Plugin) -> io::Result<String> {
        let (directory, interpreter) =
            (Path::new(&plugin.directory), plugin.interpreter.as_deref());
        let own = interpreter
            .map(|path| self.own_interpreter(directory, Path::new(path)))
            .transpose()?
            .flatten();
        let mut parts = Parts::new(interpreter, own);
        self.walk(directory, Path::new(""), &mut parts)?;
        // Only what is there, so that other plugins come to what they came to before.
        for (name, value) in self.environment.settings_of(&plugin.name) {
            parts.setting(name, value);
        }
        for path in &plugin.files {
            let part = elsewhere(path)?;
            parts.field(b"elsewhere");
            parts.add(path, None, &part)?;
        }
        Ok(parts.digest())
    }

    /// What an interpreter in the plugin's own directory really is.
    fn own_interpreter(&self, directory: &Path, path: &Path) -> io::Result<Option<Part>> {
        if !path.starts_with(directory) {
            return Ok(None);
        }
        let real = fs::canonicalize(path)?;
        let what = if real.starts_with(fs::canonicalize(directory)?) {
            self.content(&real)?
        } else {
            Part::Elsewhere(real.into_os_string().into_encoded_bytes())
        };
        Ok(Some(what))
    }

    fn walk(&self, root: &Path, below: &Path, parts: &mut Parts) -> io::Result<()> {
        let mut entries = fs::read_dir(root.join(below))?.collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (name, kind) = (entry.file_name(), entry.file_type()?);
            let path = below.join(&name);
            if !counts(&name, kind.is_dir()) && name != COMPILED {
                continue;
            }
            if kind.is_dir() {
                self.walk(root, &path, parts)?;
                continue;
            }
            let full = root.join(&path);
            let part = self.content(&full)?;
            let link = if kind.is_symlink() {
                Some(fs::read_link(&full)?.into_os_string().into_encoded_bytes())
            } else {
                None
            };
            parts.add(&path, link.as_deref(), &part)?;
        }
        Ok(())
    }

    /// What a path leads to.
    fn content(&self, path: &Path) -> io::Result<Part> {
        let Ok(metadata) = fs::metadata(path) else {
            return Ok(Part::Missing);
        };
        if metadata.is_dir() {
            return Ok(Part::Directory);
        }
        let mode = metadata.mode();
        if !metadata.is_file() {
            return Ok(Part::Special { mode });
        }
        let hash = if metadata.len() <= READ_BYTES {
            Sha256::digest(fs::read(path)?).into()
        } else {
            self.large(path, &metadata)?
        };
        Ok(Part::File { mode, hash })
    }

    fn large(&self, path: &Path, metadata: &Metadata) -> io::Result<Hash> {
        let stat = stat(metadata);
        let known = self.lock().get(path).copied();
        if let Some((_, hash)) = known.filter(|(known, _)| *known == stat) {
            return Ok(hash);
        }
        let begun = SystemClock.now();
        let hash = read(path)?;
        let changed = Timestamp::from_millis(
            metadata.ctime().saturating_mul(1_000) + metadata.ctime_nsec() / 1_000_000,
        );
        if changed.plus(RACY) < begun {
            self.lock().insert(path.to_owned(), (stat, hash));
        }
        Ok(hash)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, (Stat, Hash)>> {
        self.large.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The digest of a plugin that consists of these files, each with its mode.
pub(super) fn of_contents(interpreter: Option<&str>, files: &[(&str, u32, &str)]) -> String {
    let mut parts = Parts::new(interpreter, None);
    for (path, mode, content) in files {
        let (mode, hash) = (*mode, Sha256::digest(content).into());
        // There are a few.
        drop(parts.add(Path::new(path), None, &Part::File { mode, hash }));
    }
    parts.digest()
}

/// Whether a file or directory of that name, in a plugin's directory or below, is part of the plugin.
pub(super) fn counts(name: &OsStr, is_directory: bool) -> bool {
    let hidden = name.as_encoded_bytes().starts_with(b".");
    let passed_over = is_directory && PASSED_OVER.iter().any(|passed| name == *passed);
    !hidden && !passed_over
}

/// What one name stands for.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    File {
        mode: u32,
        hash: Hash,
    },
    /// Behind a link, so that it is a part of something else.
    Directory,
    Special {
        mode: u32,
    },
    Missing,
    /// An interpreter outside of the plugin's directory, by its real path.
    Elsewhere(Vec<u8>),
}

/// The digest so far.
struct Parts {
    hasher: Sha256,
    files: usize,
}

impl Parts {
    fn new(interpreter: Option<&str>, own: Option<Part>) -> Self {
        let mut parts = Self {
            hasher: Sha256::new(),
            files: 0,
        };
        parts.field(FORM);
        parts.field(interpreter.unwrap_or_default().as_bytes());
        if let Some(own) = own {
            parts.part(&own);
        }
        parts
    }

    fn add(&mut self, path: &Path, link: Option<&[u8]>, part: &Part) -> io::Result<()> {
        self.files += 1;
        if self.files > MAX_FILES {
            return Err(io::Error::other(format!(
                "it has more than {MAX_FILES} files"
            )));
        }
        self.field(path.as_os_str().as_bytes());
        if let Some(link) = link {
            self.field(b"link");
            self.field(link);
        }
        self.part(part);
        Ok(())
    }

    fn setting(&mut self, name: &str, value: &str) {
        self.field(b"setting");
        self.field(name.as_bytes());
        self.field(value.as_bytes());
    }

    fn part(&mut self, part: &Part) {
        match part {
            Part::File { mode, hash } => {
                self.field(b"file");
                self.field(&mode.to_le_bytes());
                self.field(hash);
            }
            Part::Directory => self.field(b"directory"),
            Part::Special { mode } => {
                self.field(b"special");
                self.field(&mode.to_le_bytes());
            }
            Part::Missing => self.field(b"missing"),
            Part::Elsewhere(path) => {
                self.field(b"elsewhere");
                self.field(path);
            }
        }
    }

    /// Its length goes before it, so that no two rows of fields are the same bytes.
    fn field(&mut self, bytes: &[u8]) {
        self.hasher.update((bytes.len() as u64).to_le_bytes());
        self.hasher.update(bytes);
    }

    fn digest(self) -> String {
        hex(&self.hasher.finalize())
    }
}

/// A file that a plugin has declared to be a part of it. Where the worker cannot read it, the plugin cannot either, so that
/// it makes no difference whether it is there.
fn elsewhere(path: &Path) -> io::Result<Part> {
    let Ok(metadata) = fs::metadata(path) else {
        return Ok(Part::Missing);
    };
    let mode = metadata.mode();
    if metadata.is_dir() {
        return Ok(Part::Directory);
    }
    if !metadata.is_file() {
        return Ok(Part::Special { mode });
    }
    let Ok(file) = File::open(path) else {
        return Ok(Part::Missing);
    };
    let mut content = Vec::new();
    // Of some files the system does not say how long they are.
    file.take(MAX_ELSEWHERE_BYTES + 1)
        .read_to_end(&mut content)?;
    if content.len() as u64 > MAX_ELSEWHERE_BYTES {
        return Err(io::Error::other(format!(
            "{} has more than {MAX_ELSEWHERE_BYTES} bytes, too many for an entry of plugin.files",
            path.display()
        )));
    }
    let hash = Sha256::digest(content).into();
    Ok(Part::File { mode, hash })
}

fn read(path: &Path) -> io::Result<Hash> {
    let (mut file, mut hasher) = (File::open(path)?, Sha256::new());
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().into()),
            read => hasher.update(&buffer[..read]),
        }
    }
}

fn stat(metadata: &Metadata) -> Stat {
    let changed = (metadata.ctime(), metadata.ctime_nsec());
    let modified = (metadata.mtime(), metadata.mtime_nsec());
    (
        metadata.dev(),
        metadata.ino(),
        metadata.len(),
        changed,
        modified,
    )
}

#[cfg(test)]
mod tests;
