//! The four ways in which each row is run, and an SMCP for one of them.

use std::fmt;
use std::fs::{self, File, Permissions};
use std::io::{BufRead as _, BufReader};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::processes;
use crate::world::{Client, below, eventually, text};

/// An interpreter that every user can reach, unlike one in somebody's home.
const PYTHON: &str = "/usr/bin/python3";
/// Users whom nobody else has: systemd and distributions leave these numbers alone, and so does SMCP.
const USERS: std::ops::RangeInclusive<u32> = 60_578..=60_705;
/// What the worker has in its environment, and no plugin may see.
pub(super) const SECRETS: [(&str, &str); 2] = [
    ("HOSTILE_TOKEN", "hostile-secret"),
    ("SMCP_HOSTILE", "hostile-secret"),
];

/// How a worker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    RootWithNamespaces,
    RootWithout,
    UserWithNamespaces,
    UserWithout,
}

/// What an SMCP is made with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    /// The plugins' names, each a copy of the hostile one, and what each is granted besides, as lines of its table.
    pub(super) plugins: &'static [(&'static str, &'static str)],
    /// `plugins.warm`
    pub(super) warm: &'static str,
    /// Whether the worker has a descriptor open that it was left by whoever started it.
    pub(super) leaks: bool,
    /// What stands for `PORT` in those lines.
    pub(super) port: u16,
}

/// An SMCP of one way, with directories around it.
#[derive(Debug)]
pub(super) struct Arena {
    pub(super) way: Way,
    /// What `smcp doctor` says of it.
    pub(super) doctor: Value,
    directory: TempDir,
    user: Option<User>,
    pub(super) runtime: Runtime,
    pub(super) client: Option<Client>,
    roles: Vec<Child>,
}

/// A user that no other test runs as.
#[derive(Debug)]
struct User {
    id: u32,
    _claim: UnixDatagram,
}

impl Way {
    /// Runs a row, or says why it cannot be run.
    #[expect(clippy::print_stderr, reason = "what is left out is said")]
    pub(super) fn run(self, row: impl FnOnce(Self)) {
        if let Some(why) = self.obstacle() {
            return eprintln!("SKIPPED {self}: {why}");
        }
        let begun = Instant::now();
        row(self);
        eprintln!("{self}: {} ms", begun.elapsed().as_millis());
    }

    pub(super) fn has_namespaces(self) -> bool {
        matches!(self, Self::RootWithNamespaces | Self::UserWithNamespaces)
    }

    pub(super) fn is_root(self) -> bool {
        matches!(self, Self::RootWithNamespaces | Self::RootWithout)
    }

    fn obstacle(self) -> Option<String> {
        if self.is_root() && !is_root() {
            return Some("the tests do not run as root".to_owned());
        }
        if is_root() && !Path::new(PYTHON).exists() {
            return Some(format!("there is no {PYTHON} (Debian package: python3)"));
        }
        if !self.has_namespaces() {
            return None;
        }
        // What is needed to make them, tried by somebody else than the code that is tested.
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--pid", "--net", "--ipc", "--uts", "--fork"]);
        if self == Self::UserWithNamespaces {
            unshare.args(["--user", "--map-root-user"]);
            if let Some(user) = is_root().then(User::take) {
                unshare.uid(user.id).gid(user.id);
            }
        }
        let mount = ["mount", "-t", "tmpfs", "none", "/mnt"];
        let tried = unshare.args(mount).output().ok()?;
        (!tried.status.success()).then(|| {
            let said = text(&tried.stderr);
            format!("no namespaces are to be had: {}", said.trim())
        })
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::RootWithNamespaces => "root, namespaces",
            Self::RootWithout => "root, none",
            Self::UserWithNamespaces => "user, namespaces",
            Self::UserWithout => "user, none",
        })
    }
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            plugins: &[("hostile", "")],
            warm: "auto",
            leaks: false,
            port: 0,
        }
    }
}

impl Arena {
    /// Starts an API and a worker, and waits until the plugins are known.
    pub(super) fn open(way: Way, setting: Setting) -> Self {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/hostile_plugins");
        Self::open_with(way, setting, |plugins| {
            for (name, _) in setting.plugins {
                copy(&fixtures.join("hostile"), &plugins.join(name));
            }
        })
    }

    /// The same with plugins that `furnish` puts into the directory that it is given.
    pub(super) fn open_with(way: Way, setting: Setting, furnish: impl FnOnce(&Path)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        allow(directory.path(), 0o755);
        let user = (is_root() && !way.is_root()).then(User::take);
        let mut arena = Self {
            way,
            doctor: json!(null),
            directory,
            user,
            runtime: Runtime::new().unwrap(),
            client: None,
            roles: Vec::new(),
        };
        for (name, mode) in [
            ("data", 0o700),
            ("home", 0o755),
            ("plugins", 0o755),
            ("outside", 0o777),
            ("granted", 0o777),
            ("readable", 0o755),
        ] {
            let path = arena.path(name);
            fs::create_dir(&path).unwrap();
            arena.give(&path);
            allow(&path, mode);
        }
        // Open to everybody, so that it is the sandbox that keeps it.
        arena.write("outside/secret", "hostile-secret", 0o666);
        furnish(&arena.path("plugins"));
        let binary = Path::new(env!("CARGO_BIN_EXE_smcp"));
        let own = arena.path("smcp");
        if fs::hard_link(binary, &own).is_err() {
            fs::copy(binary, &own).unwrap();
        }
        fs::write(arena.path("smcp.toml"), arena.settings(setting)).unwrap();
        arena.doctor = arena.examine();
        arena.start_api();
        arena.start_worker(setting.leaks);
        arena.wait_for_tools();
        let address = arena.address();
        let client = arena.runtime.block_on(Client::at(&address));
        arena.client = Some(client);
        arena
    }

    fn settings(&self, setting: Setting) -> String {
        let namespaces = if self.way.has_namespaces() {
            "auto"
        } else {
            "off"
        };
        let mut text = format!(
            "[plugins]\nwarm = \"{}\"\n[sandbox]\nnamespaces = \"{namespaces}\"\n",
            setting.warm
        );
        for (name, lines) in setting.plugins {
            let paths = ["granted", "readable"].map(|name| json!([self.path(name)]));
            let [granted, readable] = paths;
            let lines = lines.replace("PORT", &setting.port.to_string());
            text.push_str(&format!(
                "[sandbox.plugins.{name}]\nfilesystem.write = {granted}\nfilesystem.read = {readable}\n{lines}\n"
            ));
        }
        text
    }

    /// A path in the directory of this arena.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file of the worker's user.
    pub(super) fn write(&self, name: &str, contents: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, contents).unwrap();
        self.give(&path);
        allow(&path, mode);
        path
    }

    fn give(&self, path: &Path) {
        if let Some(User { id, .. }) = &self.user {
            chown(path, Some(*id), Some(*id)).unwrap();
        }
    }

    /// A command run by the worker's user.
    pub(super) fn as_user(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        if let Some(User { id, .. }) = &self.user {
            command.uid(*id).gid(*id);
        }
        command.current_dir(self.path("data"));
        command
    }

    fn smcp(&self, arguments: &[&str]) -> Command {
        let mut command = self.as_user(self.path("smcp"));
        command
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .env("HOME", self.path("home"))
            .env("SMCP_DATA_DIR", self.path("data"))
            .env("SMCP_CONFIG", self.path("smcp.toml"))
            .env("MCP_PLUGINS_DIR", self.path("plugins"))
            .env("MCP_HOST", "127.0.0.1")
            .env("SMCP_LOG", "warn")
            .envs(SECRETS);
        if Path::new(PYTHON).exists() {
            command.env("SMCP_PYTHON", PYTHON);
        } else if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command
    }

    fn examine(&self) -> Value {
        let told = self.smcp(&["doctor", "--json"]).output().unwrap();
        let told: Value = serde_json::from_slice(&told.stdout)
            .unwrap_or_else(|_| panic!("{}: {}", self.way, text(&told.stderr)));
        assert_eq!(
            told["sandbox"]["refusal"],
            json!(null),
            "{}: {told}",
            self.way
        );
        assert_eq!(
            told["sandbox"]["self_test"]["failures"],
            json!([]),
            "{told}"
        );
        told["sandbox"].clone()
    }

    fn start_api(&mut self) {
        let mut command = self.smcp(&["api", "--port", "0", "--supervised"]);
        let mut api = self.spawn(&mut command);
        let (mut line, mut stdout) = (String::new(), BufReader::new(api.stdout.take().unwrap()));
        stdout.read_line(&mut line).unwrap();
        self.roles.push(api);
        assert!(!line.is_empty(), "no API: {}", self.log());
        fs::write(self.path("address"), format!("http://{}", line.trim())).unwrap();
    }

    fn address(&self) -> String {
        fs::read_to_string(self.path("address")).unwrap()
    }

    /// Starts a worker, and answers its process.
    pub(super) fn start_worker(&mut self, leaks: bool) -> u32 {
        let mut command = self.smcp(&["worker", "--supervised"]);
        if leaks {
            let (user, shell) = (self.user.as_ref(), "exec 9<smcp.leaked; exec \"$0\" \"$@\"");
            self.write("data/smcp.leaked", "hostile-secret", 0o600);
            command = below(&["sh", "-c", shell], &command);
            if let Some(User { id, .. }) = user {
                command.uid(*id).gid(*id);
            }
        }
        let worker = self.spawn(&mut command);
        let pid = worker.id();
        self.roles.push(worker);
        pid
    }

    fn spawn(&self, command: &mut Command) -> Child {
        let mut log = File::options();
        let log = log.create(true).append(true).open(self.path("log"));
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.unwrap());
        command.spawn().unwrap()
    }

    fn log(&self) -> String {
        text(&fs::read(self.path("log")).unwrap_or_default())
    }

    fn wait_for_tools(&self) {
        eventually("a worker has described the plugins", || {
            let sql = rusqlite::Connection::open(self.path("data/smcp.db")).ok()?;
            let scanned = "SELECT scanned > 0 AND scanned = wanted FROM catalogue";
            sql.query_row(scanned, [], |row| row.get::<_, bool>(0))
                .ok()?
                .then_some(())
        });
    }

    /// The first worker's process.
    pub(super) fn worker(&self) -> u32 {
        self.roles[1].id()
    }

    /// Kills the first worker.
    pub(super) fn kill_worker(&mut self) {
        let mut worker = self.roles.remove(1);
        worker.kill().unwrap();
        worker.wait().unwrap();
    }

    /// Has the plugins looked at again.
    pub(super) fn reload(&self) {
        let port = self.address();
        let port = port.rsplit(':').next().unwrap_or_default();
        let mut command = self.smcp(&["plugins", "reload"]);
        let reloaded = command.env("MCP_PORT", port).output().unwrap();
        assert!(reloaded.status.success(), "{}", text(&reloaded.stderr));
    }
}

impl Drop for Arena {
    /// Nothing stays: roles end before their directory, and plugins with their worker.
    #[expect(clippy::print_stderr, reason = "shown only where the test fails")]
    fn drop(&mut self) {
        for role in &mut self.roles {
            let _gone_already = role.kill();
            let _reaped_already = role.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- log ({}) ---\n{}", self.way, self.log());
            // Whatever the row has shown to live, the machine must not keep.
            let user = self.user.as_ref().map(|user| user.id);
            let is_ours = |pid: &u32| {
                let owner = fs::metadata(format!("/proc/{pid}")).map(|process| process.uid());
                user.is_some() && owner.ok() == user
            };
            let left = processes::of(self.directory.path());
            for pid in left.into_iter().chain(processes::all().filter(is_ours)) {
                let _gone_already = Command::new("kill")
                    .args(["-KILL", &pid.to_string()])
                    .status();
            }
            return;
        }
        eventually("every process of this arena has ended", || {
            processes::of(self.directory.path())
                .is_empty()
                .then_some(())
        });
    }
}

impl User {
    fn take() -> Self {
        let taken = USERS.into_iter().find_map(|id| {
            let name = SocketAddr::from_abstract_name(format!("smcp-test-user-{id}")).unwrap();
            let claim = UnixDatagram::bind_addr(&name).ok()?;
            Some(Self { id, _claim: claim })
        });
        taken.expect("a user is free")
    }
}

/// How long the end of something that is killed may take.
pub(super) const SOON: Duration = Duration::from_secs(1);

/// Whether this process is root.
pub(super) fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Sets the permissions of a file.
pub(super) fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Copies a directory for everybody to read.
pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    allow(to, 0o755);
    for entry in fs::read_dir(from).unwrap() {
        let from = entry.unwrap().path();
        let to = to.join(from.file_name().unwrap());
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap();
            allow(&to, 0o755);
        }
    }
}
