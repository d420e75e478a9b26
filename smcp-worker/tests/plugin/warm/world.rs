//! A plugin of one file, run by a waiting interpreter and started anew.

use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::LazyLock;

use smcp_worker::plugin::process::{Invocation, Limits, ProcessError, StopReason, run};
use smcp_worker::warm::{Bounds, Place, Warm};
use tempfile::TempDir;

use crate::world::{PATH, Ran, collect, supervisor};

/// A real interpreter, behind whatever leads to it.
static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| {
    let script = "import os, sys; print(os.path.realpath(sys.executable))";
    #[expect(
        clippy::disallowed_methods,
        reason = "a test asks the system's Python where it is"
    )]
    let asked = Command::new("/usr/bin/env")
        .args(["python3", "-c", script])
        .env("PATH", PATH)
        .output();
    String::from_utf8(asked.unwrap().stdout)
        .unwrap()
        .trim_end()
        .into()
});

pub(crate) struct World {
    directory: TempDir,
    pub(crate) warm: Warm,
    pub(crate) place: Place,
    program: PathBuf,
}

impl World {
    /// With a plugin whose file is `source`.
    pub(crate) fn new(source: &str) -> Self {
        Self::bounded(source, Bounds::default())
    }

    pub(crate) fn bounded(source: &str, bounds: Bounds) -> Self {
        let directory = TempDir::new().unwrap();
        let scratch = directory.path().join("scratch");
        let env = [
            ("PATH", PATH),
            ("PYTHONDONTWRITEBYTECODE", "1"),
            ("PYTHONIOENCODING", "utf-8"),
            ("PYTHONUNBUFFERED", "1"),
            ("TMPDIR", scratch.to_str().unwrap()),
        ];
        let world = Self {
            warm: Warm::new(bounds),
            place: Place {
                plugin: "probe".to_owned(),
                digest: "1".to_owned(),
                fingerprint: String::new(),
                env: env.map(|(name, value)| (name.into(), value.into())).into(),
                emptied: vec![scratch.clone()],
                scratch: Some(scratch),
                unconfined: false,
                keep: Some(Arc::new(())),
            },
            program: PYTHON.clone(),
            directory,
        };
        fs::create_dir(world.plugin()).unwrap();
        world.write("cli.py", source);
        world
    }

    /// With the plugin in `directory`.
    pub(crate) fn of(directory: &Path) -> Self {
        let world = Self::new("");
        fs::remove_dir_all(world.plugin()).unwrap();
        std::os::unix::fs::symlink(directory, world.plugin()).unwrap();
        world
    }

    /// Has the plugin run by a virtual environment of its own, with these modules installed.
    pub(crate) fn installed(mut self, modules: &[(&str, &str)]) -> Self {
        let venv = self.plugin().join(".venv");
        let version = "import sys; print('python%d.%d' % sys.version_info[:2])";
        #[expect(
            clippy::disallowed_methods,
            reason = "a test asks Python for its version"
        )]
        let asked = Command::new(&self.program).args(["-c", version]).output();
        let version = String::from_utf8(asked.unwrap().stdout).unwrap();
        let packages = venv
            .join("lib")
            .join(version.trim_end())
            .join("site-packages");
        fs::create_dir_all(&packages).unwrap();
        fs::create_dir_all(venv.join("bin")).unwrap();
        let home = self.program.parent().unwrap().display().to_string();
        fs::write(venv.join("pyvenv.cfg"), format!("home = {home}\n")).unwrap();
        std::os::unix::fs::symlink(&self.program, venv.join("bin/python")).unwrap();
        self.program = venv.join("bin/python");
        for (name, source) in modules {
            let path = packages.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, source).unwrap();
        }
        self
    }

    pub(crate) fn plugin(&self) -> PathBuf {
        self.directory.path().join("probe")
    }

    pub(crate) fn scratch(&self) -> PathBuf {
        self.place.scratch.clone().unwrap()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.plugin().join(name), text).unwrap();
    }

    pub(crate) fn invocation<A: Into<OsString>>(
        &self,
        args: impl IntoIterator<Item = A>,
    ) -> Invocation {
        let entry = OsString::from(self.plugin().join("cli.py"));
        let args = args.into_iter().map(Into::into);
        Invocation {
            supervisor: supervisor(),
            program: self.program.clone(),
            args: std::iter::once(entry).chain(args).collect(),
            env: self.place.env.clone(),
            cwd: self.scratch(),
            policy: None,
            files: Vec::new(),
            redactor: smcp_common::secret::Redactor::default(),
            door: None,
            bait: None,
        }
    }

    /// Runs it by its waiting interpreter, if there may be one.
    pub(crate) async fn call(&self, invocation: &Invocation) -> Ran {
        self.call_within(invocation, &Limits::default(), None)
            .await
            .unwrap()
    }

    pub(crate) async fn call_within(
        &self,
        invocation: &Invocation,
        limits: &Limits,
        stop_at_output: Option<StopReason>,
    ) -> Result<Ran, ProcessError> {
        let start = |stop, sender| self.warm.run(&self.place, invocation, limits, stop, sender);
        collect(start, stop_at_output).await
    }

    /// Runs it without arguments by its waiting interpreter, if there may be one.
    pub(crate) async fn plain(&self) -> Ran {
        self.call(&self.invocation([""; 0])).await
    }

    /// As [`plain`](Self::plain), cancelled at its first output.
    pub(crate) async fn plain_stopped(&self) -> Ran {
        let invocation = self.invocation([""; 0]);
        let stop = Some(StopReason::Cancelled);
        self.call_within(&invocation, &Limits::default(), stop)
            .await
            .unwrap()
    }

    /// Starts it anew, with everything else the same.
    pub(crate) async fn anew(&self, invocation: &Invocation) -> Ran {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(self.scratch())
            .unwrap();
        let limits = Limits::default();
        let start = |stop, sender| run(invocation, &limits, stop, sender);
        let ran = collect(start, None).await.unwrap();
        fs::remove_dir_all(self.scratch()).unwrap();
        ran
    }

    /// Whether an interpreter waits for calls of the plugin as it is now.
    pub(crate) fn waits(&self) -> bool {
        let Place {
            digest,
            fingerprint,
            ..
        } = &self.place;
        self.warm.kept("probe", digest, fingerprint).is_some()
    }

    /// The reason why the plugin is started anew for each call; empty where it is not.
    pub(crate) fn reason(&self) -> String {
        self.warm.reason("probe").unwrap_or_default()
    }
}
