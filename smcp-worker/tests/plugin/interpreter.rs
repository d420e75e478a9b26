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
