//! Which Python runs a plugin that has no executable of its own.

mod homes;

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use std::{fmt, fs, io};

pub use self::homes::homes;
use smcp_common::secret::Redactor;

use super::environment::environment;
use super::process::{Exit, Invocation, Limits, capture};

/// How long an interpreter may take to tell its path.
const ASK_LIMIT: Duration = Duration::from_secs(10);

/// Finds interpreters, and remembers what they said of themselves until they change.
#[derive(Debug)]
pub struct Interpreters {
    supervisor: PathBuf,
    known: Mutex<HashMap<PathBuf, Known>>,
}

/// An interpreter that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter {
    /// Its real path, behind any version manager's shim; in a virtual environment the path there, in front of the link
    /// to the real one, which is how Python knows the environment.
    pub path: PathBuf,
    /// Where it was found.
    pub origin: Origin,
}

/// Where an interpreter was found, in the order in which they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `.venv/bin/python` in the plugin's directory.
    PluginVenv,
    /// What `SMCP_PYTHON` names.
    SmcpPython,
    /// The environment that `VIRTUAL_ENV` names.
    VirtualEnv,
    /// `python3`, or else `python`, on `PATH`.
    SearchPath,
}

/// Why there is no interpreter.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InterpreterError {
    /// No candidate exists and works.
    #[error("no Python interpreter found; tried {}", listed(tried))]
    NotFound {
        /// The candidates, and what was wrong with each.
        tried: Vec<String>,
    },
    /// The interpreter that the plugin or the operator chose does not work. Another one
    /// would lack what that one has installed, so none is taken in its place.
    #[error("the Python interpreter of {origin} does not work: {reason}")]
    Broken {
        /// Who chose it.
        origin: Origin,
        /// Its path, and what is wrong with it.
        reason: String,
    },
}

#[derive(Debug)]
struct Known {
    modified_at: Option<SystemTime>,
    path: PathBuf,
}

impl Interpreters {
    /// Asks interpreters with the help of `supervisor` (see [`Invocation::supervisor`]).
    pub fn new(supervisor: PathBuf) -> Self {
        Self {
            supervisor,
            known: Mutex::default(),
        }
    }

    /// The interpreter for the plugin in `plugin_dir` on a worker whose environment is `env`.
    ///
    /// # Errors
    /// [`InterpreterError`] when there is none, or the chosen one does not work.
    pub async fn resolve(
        &self,
        plugin_dir: &Path,
        env: &BTreeMap<String, String>,
    ) -> Result<Interpreter, InterpreterError> {
        let mut tried = Vec::new();
        for (origin, candidate) in candidates(plugin_dir, env) {
            let answer = match origin {
                Origin::PluginVenv => own(&candidate),
                Origin::SmcpPython | Origin::VirtualEnv | Origin::SearchPath => {
                    self.ask(&candidate, env).await
                }
            };
            let reason = match answer {
                Ok(path) => return Ok(Interpreter { path, origin }),
                Err(reason) => format!("{}: {reason}", candidate.display()),
            };
            match origin {
                // A dangling link counts as there: the environment lost its base.
                Origin::PluginVenv if candidate.is_symlink() || candidate.exists() => {
                    return Err(InterpreterError::Broken { origin, reason });
                }
                Origin::SmcpPython => return Err(InterpreterError::Broken { origin, reason }),
                Origin::PluginVenv | Origin::VirtualEnv | Origin::SearchPath => tried.push(reason),
            }
        }
        Err(InterpreterError::NotFound { tried })
    }

    /// The real interpreter behind what an operator has chosen, found by the path that `candidate` reports as its own.
    async fn ask(
        &self,
        candidate: &Path,
        env: &BTreeMap<String, String>,
    ) -> Result<PathBuf, String> {
        let metadata = fs::metadata(candidate).map_err(|error| missing(&error))?;
        let modified_at = metadata.modified().ok();
        if let Some(path) = self.known(candidate, modified_at) {
            return Ok(path);
        }
        let invocation = Invocation {
            supervisor: self.supervisor.clone(),
            program: std::path::absolute(candidate).map_err(|error| error.to_string())?,
            args: ["-I", "-S", "-c", "import sys; print(sys.executable)"]
                .map(Into::into)
                .into(),
            env: asking(env),
            // Nowhere special: version managers read a version from the working directory.
            cwd: PathBuf::from("/"),
            policy: None,
            files: Vec::new(),
            redactor: Redactor::default(),
            door: None,
            bait: None,
        };
        let path = real(answer(&invocation).await?);
        self.remember(
            candidate,
            Known {
                modified_at,
                path: path.clone(),
            },
        );
        Ok(path)
    }

    fn known(&self, candidate: &Path, modified_at: Option<SystemTime>) -> Option<PathBuf> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get(candidate)?;
        (known.modified_at == modified_at).then(|| known.path.clone())
    }

    fn remember(&self, candidate: &Path, answer: Known) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(candidate.to_owned(), answer);
    }
}

/// The interpreter of a plugin's own environment. It is not run to ask for its path, as it is the plugin's.
fn own(candidate: &Path) -> Result<PathBuf, String> {
    let metadata = fs::metadata(candidate).map_err(|error| missing(&error))?;
    if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
        return Err("is not an executable file".to_owned());
    }
    std::path::absolute(candidate).map_err(|error| error.to_string())
}

/// An interpreter's real path, unless it is in a virtual environment, which Python would not know then.
fn real(path: PathBuf) -> PathBuf {
    if homes::environment_of(&path).is_some() {
        return path;
    }
    fs::canonicalize(&path).unwrap_or(path)
}

/// The environment of an interpreter that is asked. Version managers look for their settings in the home directory.
fn asking(env: &BTreeMap<String, String>) -> Vec<(OsString, OsString)> {
    let mut asking = environment(env, &[], "");
    if let Some(home) = env.get("HOME") {
        asking.push(("HOME".into(), home.into()));
    }
    asking
}

/// Every path to try, in order.
fn candidates(plugin_dir: &Path, env: &BTreeMap<String, String>) -> Vec<(Origin, PathBuf)> {
    let set = |name: &str| env.get(name).filter(|value| !value.is_empty());
    let search_path = || set("PATH").into_iter().flat_map(std::env::split_paths);
    let on_path = |name: &str| {
        let name = name.to_owned();
        search_path()
            .filter(|dir| dir.is_absolute())
            .map(move |dir| dir.join(&name))
    };

    let mut candidates = vec![(Origin::PluginVenv, plugin_dir.join(".venv/bin/python"))];
    if let Some(chosen) = set("SMCP_PYTHON") {
        // A bare name is looked up like a command.
        let path = if chosen.contains('/') {
            None
        } else {
            on_path(chosen).find(|path| path.is_file())
        };
        candidates.push((
            Origin::SmcpPython,
            path.unwrap_or_else(|| PathBuf::from(chosen)),
        ));
    }
    if let Some(venv) = set("VIRTUAL_ENV") {
        candidates.push((Origin::VirtualEnv, Path::new(venv).join("bin/python")));
    }
    for name in ["python3", "python"] {
        candidates.extend(on_path(name).map(|path| (Origin::SearchPath, path)));
    }
    candidates
}

/// What the program prints, as a path.
async fn answer(invocation: &Invocation) -> Result<PathBuf, String> {
    let limits = Limits {
        timeout: Some(ASK_LIMIT),
        stdout_max_bytes: 4096,
        ..Limits::default()
    };
    let (ended, printed) = capture(invocation, &limits)
        .await
        .map_err(|error| error.to_string())?;
    let path = PathBuf::from(OsStr::from_bytes(printed.trim_ascii_end()));
    match ended.exit {
        Exit::Code(0) if path.is_absolute() => Ok(path),
        Exit::Code(0) => Err("does not tell its path".to_owned()),
        Exit::Code(code) => Err(format!("exits with code {code}")),
        Exit::Signal(signal) => Err(format!("is killed by signal {signal}")),
        Exit::TimedOut | Exit::Stopped(_) => Err("does not answer within 10 s".to_owned()),
        Exit::Refused { reason, .. } => Err(reason),
    }
}

fn missing(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::NotFound {
        "does not exist".to_owned()
    } else {
        error.to_string()
    }
}

fn listed(tried: &[String]) -> String {
    tried.join(", ")
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PluginVenv => "the plugin's .venv",
            Self::SmcpPython => "SMCP_PYTHON",
            Self::VirtualEnv => "VIRTUAL_ENV",
            Self::SearchPath => "PATH",
        })
    }
}
