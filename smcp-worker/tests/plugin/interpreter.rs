use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use smcp_worker::plugin::interpreter::{Interpreter, InterpreterError, Interpreters, Origin};

use crate::world::{PATH, supervisor};

/// A directory with a plugin, and with what stands for the rest of a machine.
struct Machine {
    dir: tempfile::TempDir,
    env: BTreeMap<String, String>,
    interpreters: Interpreters,
}

impl Machine {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            env: BTreeMap::from([("PATH".to_owned(), PATH.to_owned())]),
            interpreters: Interpreters::new(supervisor()),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn set(&mut self, name: &str, value: &str) {
        self.env.insert(name.to_owned(), value.to_owned());
    }

    fn script(&self, name: &str, body: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        path
    }

    /// A virtual environment over `base`.
    fn venv(&self, name: &str, base: &Path) -> PathBuf {
        let bin = self.path(name).join("bin");
        fs::create_dir_all(&bin).unwrap();
        let home = base.parent().unwrap().display();
        fs::write(
            self.path(name).join("pyvenv.cfg"),
            format!("home = {home}\n"),
        )
        .unwrap();
        symlink(base, bin.join("python")).unwrap();
        bin.join("python")
    }

    async fn resolve(&self) -> Result<Interpreter, InterpreterError> {
        self.interpreters
            .resolve(&self.path("plugin"), &self.env)
            .await
    }

    /// The system's own, which the others lead to.
    async fn system(&self) -> PathBuf {
        let found = self.resolve().await.unwrap();
        assert_eq!(found.origin, Origin::SearchPath);
        found.path
    }
}

#[tokio::test]
async fn the_nearest_interpreter_wins() {
    let mut machine = Machine::new();
    let base = machine.system().await;
    let check = async |machine: &Machine, path: &Path, origin| {
        let expected = Interpreter {
            path: path.to_owned(),
            origin,
        };
        assert_eq!(machine.resolve().await, Ok(expected));
    };

    let active = machine.venv("active", &base);
    machine.set("VIRTUAL_ENV", machine.path("active").to_str().unwrap());
    check(&machine, &active, Origin::VirtualEnv).await;

    machine.set("SMCP_PYTHON", base.to_str().unwrap());
    check(&machine, &base, Origin::SmcpPython).await;
    machine.set("SMCP_PYTHON", "python3");
    check(&machine, &base, Origin::SmcpPython).await;

    let own = machine.venv("plugin/.venv", &base);
    check(&machine, &own, Origin::PluginVenv).await;
}

#[tokio::test]
async fn a_shim_is_asked_once_until_it_changes() {
    let mut machine = Machine::new();
    let base = machine.system().await;
    let log = machine.path("asked");
    let body = format!("echo >> {}\nexec {} \"$@\"", log.display(), base.display());
    let shim = machine.script("shims/python3", &body);
    machine.set(
        "PATH",
        &format!("{}:{PATH}", machine.path("shims").display()),
    );
    let asked = || fs::read_to_string(&log).unwrap().lines().count();

    assert_eq!(machine.system().await, base);
    assert_eq!(machine.system().await, base);
    assert_eq!(asked(), 1);

    let later = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    fs::File::options()
        .append(true)
        .open(&shim)
        .unwrap()
        .set_modified(later)
        .unwrap();
    assert_eq!(machine.system().await, base);
    assert_eq!(asked(), 2);
}

#[tokio::test]
async fn behind_a_version_manager_and_links_is_the_real_one() {
    let mut machine = Machine::new();
    let base = machine.system().await;
    assert_eq!(base, fs::canonicalize(&base).unwrap());

    // As pyenv and asdf do it: a script that looks for its settings in the home directory.
    fs::create_dir_all(machine.path("home")).unwrap();
    fs::write(machine.path("home/version"), base.to_str().unwrap()).unwrap();
    machine.script("shims/python3", "exec \"$(cat \"$HOME/version\")\" \"$@\"");
    let shims = machine.path("shims");
    machine.set("PATH", &format!("{}:{PATH}", shims.display()));
    machine.set("HOME", machine.path("home").to_str().unwrap());
    machine.set("SMCP_PYTHON", "python3");
    assert_eq!(machine.resolve().await.unwrap().path, base);

    let active = machine.venv("active", &base);
    // A shim that has changed is asked again.
    machine.script(
        "shims/python3",
        &format!("exec {} \"$@\"", active.display()),
    );
    let later = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    let shim = fs::File::options().append(true).open(shims.join("python3"));
    shim.unwrap().set_modified(later).unwrap();
    assert_eq!(machine.resolve().await.unwrap().path, active);
}

#[tokio::test]
async fn the_plugins_own_interpreter_is_not_run_to_be_found() {
    let machine = Machine::new();
    let log = machine.path("ran");
    let own = machine.script(
        "plugin/.venv/bin/python",
        &format!("echo >> {}", log.display()),
    );
    let found = machine.resolve().await.unwrap();
    assert_eq!(
        (found.path, found.origin),
        (own.clone(), Origin::PluginVenv)
    );
    assert!(!log.exists());

    fs::set_permissions(&own, fs::Permissions::from_mode(0o600)).unwrap();
    let error = machine.resolve().await.unwrap_err().to_string();
    assert!(error.contains("is not an executable file"), "{error}");
}

#[tokio::test]
async fn a_broken_shim_is_passed_over_but_a_broken_choice_is_not() {
    let mut machine = Machine::new();
    let base = machine.system().await;
    let broken = machine.script("shims/python3", "exit 127");
    machine.set(
        "PATH",
        &format!("{}:{PATH}", machine.path("shims").display()),
    );
    assert_eq!(machine.system().await, base);

    let check = async |machine: &Machine, origin, part: &str| {
        let error = machine.resolve().await.unwrap_err();
        let InterpreterError::Broken {
            origin: found,
            reason,
        } = &error
        else {
            panic!("{error}");
        };
        assert_eq!(*found, origin);
        assert!(reason.contains(part), "{error}");
    };
    machine.set("SMCP_PYTHON", broken.to_str().unwrap());
    check(&machine, Origin::SmcpPython, "exits with code 127").await;
    machine.set("SMCP_PYTHON", "/nowhere/python");
    check(
        &machine,
        Origin::SmcpPython,
        "/nowhere/python: does not exist",
    )
    .await;
    machine.venv("plugin/.venv", Path::new("/nowhere/python"));
    check(&machine, Origin::PluginVenv, "does not exist").await;
}

#[tokio::test]
async fn what_was_tried_is_listed() {
    let mut machine = Machine::new();
    let broken = machine.script("bin/python3", "echo python3");
    machine.set("PATH", machine.path("bin").to_str().unwrap());
    let error = machine.resolve().await.unwrap_err().to_string();
    for part in [
        format!(
            "{}: does not exist",
            machine.path("plugin/.venv/bin/python").display()
        ),
        format!("{}: does not tell its path", broken.display()),
        format!("{}: does not exist", machine.path("bin/python").display()),
    ] {
        assert!(error.contains(&part), "{error}");
    }
}
