//! An SMCP of a test's own.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rmcp::model::{CallToolRequestParams, CallToolResult};
use rmcp::service::RunningService;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{RoleClient, ServiceExt as _};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::processes;

/// How long a test waits for a condition before it fails; far longer than anything takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// One SMCP: a data directory, a port, and the processes that have been started in it.
#[derive(Debug)]
pub(crate) struct World {
    directory: TempDir,
    plugins: String,
    settings: Vec<(&'static str, String)>,
    address: Option<String>,
}

/// A role that runs as long as this value lives.
#[derive(Debug)]
pub(crate) struct Role {
    child: Child,
}

impl World {
    /// A world with the fixture plugins and the bundled ones; nothing runs yet.
    pub(crate) fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let plugins = format!(
            "{}:{}",
            root.join("tests/it/plugins").display(),
            root.join("plugins").display()
        );
        let world = Self {
            directory: tempfile::tempdir().unwrap(),
            plugins,
            settings: Vec::new(),
            address: None,
        };
        let outside = world.path("outside");
        fs::create_dir(&outside).unwrap();
        // Plugins may be other users than this one.
        for (directory, mode) in [(world.data(), 0o711), (&outside, 0o777)] {
            fs::set_permissions(directory, fs::Permissions::from_mode(mode)).unwrap();
        }
        world.configure("");
        world
    }

    /// The same with one API and one worker, and the tools found.
    pub(crate) fn running() -> (Self, [Role; 2]) {
        Self::new().started()
    }

    /// This world with one API and one worker, and the tools found.
    pub(crate) fn started(mut self) -> (Self, [Role; 2]) {
        let roles = [self.api(), self.worker()];
        self.wait_for_tools();
        (self, roles)
    }

    /// Other plugin directories, joined by `:`.
    #[must_use]
    pub(crate) fn with_plugins(mut self, directories: impl Into<String>) -> Self {
        self.plugins = directories.into();
        self
    }

    /// The fixture for rules, which stands before the bundled plugin of its name.
    #[must_use]
    pub(crate) fn with_rule_fixture(self) -> Self {
        let root = env!("CARGO_MANIFEST_DIR");
        let plugins = format!("{root}/tests/it/governance/plugins:{}", self.plugins);
        self.with_plugins(plugins)
    }

    /// An environment variable for every process of this world.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.settings.push((name, value.into()));
        self
    }

    /// Writes the configuration file: these settings, and that plugins may write what is [`World::outside`]. With the
    /// variable `SMCP_TEST_NAMESPACES=off` the tests find out how plugins are confined without namespaces.
    pub(crate) fn configure(&self, settings: &str) {
        let namespaces = std::env::var("SMCP_TEST_NAMESPACES");
        let namespaces = namespaces.as_deref().unwrap_or("auto");
        let outside = self.path("outside");
        let outside = outside.display();
        let settings = format!(
            "{settings}\n\
             [sandbox]\n\
             namespaces = '{namespaces}'\n\
             profile.filesystem.write = ['{outside}']\n"
        );
        fs::write(self.path("smcp.toml"), settings).unwrap();
    }

    /// The data directory.
    pub(crate) fn data(&self) -> &Path {
        self.directory.path()
    }

    /// The database file.
    pub(crate) fn database(&self) -> PathBuf {
        self.data().join("smcp.db")
    }

    /// A path in this world for a test's own files.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.data().join(name)
    }

    /// A path in this world, but outside of every sandbox, for files that fixture plugins read and write.
    pub(crate) fn outside(&self, name: &str) -> PathBuf {
        self.path("outside").join(name)
    }

    /// Writes such a file, for every plugin to change.
    pub(crate) fn write_outside(&self, name: &str, text: &str) {
        let path = self.outside(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap();
    }

    /// The database, as anybody may open it who knows SQLite.
    pub(crate) fn sql(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.database()).unwrap()
    }

    /// The process ids of the workers that are thought to live.
    pub(crate) fn workers(&self) -> Vec<u32> {
        let sql = self.sql();
        let mut workers = sql
            .prepare("SELECT pid FROM workers WHERE stopped_at IS NULL")
            .unwrap();
        let pids = workers.query_map([], |row| row.get(0)).unwrap();
        pids.map(Result::unwrap).collect()
    }

    /// What is left of workers beside the database.
    pub(crate) fn worker_directories(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("smcp.db-workers")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// Fails the test where the database or its audit chain is broken.
    pub(crate) fn assert_sound(&self) {
        let condition = self.smcp_json(&["db", "check"]);
        assert_eq!(condition["sound"], true, "{condition}");
    }

    /// Where the API listens, as `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!(
            "http://{}",
            self.address.as_deref().expect("an API has been started")
        )
    }

    /// Starts an API and waits until it listens. A second start takes the port of the first.
    pub(crate) fn api(&mut self) -> Role {
        let port = self
            .address
            .as_deref()
            .and_then(|address| address.rsplit(':').next())
            .unwrap_or("0")
            .to_owned();
        let command = self.command(&["api", "--port", &port, "--supervised"]);
        self.listening(command)
    }

    /// Starts an API that is run by another command, which takes it as its last arguments.
    pub(crate) fn api_below(&mut self, runner: &[&str]) -> Role {
        let command = self.command(&["api", "--port", "0", "--supervised"]);
        self.listening(below(runner, &command))
    }

    /// Starts a command that is an API, or becomes one, and waits until it listens.
    fn listening(&mut self, mut command: Command) -> Role {
        let mut role = self.spawn(&mut command);
        let mut line = String::new();
        BufReader::new(role.stdout()).read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the API has ended before it listened");
        self.address = Some(line.trim().to_owned());
        role
    }

    /// Starts another API beside the first; from now on this one is meant.
    pub(crate) fn second_api(&mut self) -> Role {
        self.address = None;
        self.api()
    }

    /// Starts a worker.
    pub(crate) fn worker(&self) -> Role {
        self.role(&["worker"])
    }

    /// Starts `smcp up` with so many workers, and answers what it prints once it is ready.
    pub(crate) fn up(&mut self, workers: u16) -> (Role, String) {
        let mut command = self.command(&["up", "--port", "0", "--workers", &workers.to_string()]);
        let mut role = self.spawn(&mut command);
        let (mut said, mut stdout) = (String::new(), BufReader::new(role.stdout()));
        while !said.contains("Stop:") {
            let read = stdout.read_line(&mut said).unwrap();
            assert_ne!(read, 0, "smcp up has ended before it was ready: {said}");
        }
        let (_, address) = said.split_once("http://").unwrap();
        self.address = Some(address.split_once('/').unwrap().0.to_owned());
        (role, said)
    }

    fn role(&self, arguments: &[&str]) -> Role {
        let mut command = self.command(arguments);
        // Its standard input ends with the test, however that ends, and the role with it.
        self.spawn(command.arg("--supervised"))
    }

    fn spawn(&self, command: &mut Command) -> Role {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.path("log"));
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.unwrap());
        Role {
            child: command.spawn().unwrap(),
        }
    }

    /// What the roles of this world have logged so far.
    pub(crate) fn log(&self) -> String {
        text(&fs::read(self.path("log")).unwrap_or_default())
    }

    /// Where each job of this world stands, a line each: what a log of warnings alone does not tell.
    fn jobs(&self) -> String {
        let jobs = "SELECT num || ' ' || tool || ' ' || state || ' attempt ' || attempt || ' ' || ifnull(error_code, '') || ' ' ||
                    ifnull(error_message, '') FROM jobs ORDER BY num";
        let read = rusqlite::Connection::open(self.database()).and_then(|database| {
            let mut statement = database.prepare(jobs)?;
            let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
            lines.map(|line| Ok(line? + "\n")).collect()
        });
        read.unwrap_or_else(|error| format!("{error}\n"))
    }

    /// Waits until something has been logged `times` times; see [`World::with`] for the level, `SMCP_LOG`.
    pub(crate) fn wait_for_log(&self, what: &str, times: usize) {
        eventually(&format!("{what:?} is logged"), || {
            (self.log().matches(what).count() >= times).then_some(())
        });
    }

    /// The `smcp` command in this world's environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_smcp"));
        command
            .args(arguments)
            .env_clear()
            .envs(
                ["PATH", "HOME"]
                    .into_iter()
                    .filter_map(|name| Some((name, std::env::var_os(name)?))),
            )
            .env("SMCP_DATA_DIR", self.data())
            .env("MCP_PLUGINS_DIR", &self.plugins)
            .env("MCP_HOST", "127.0.0.1")
            .env("SMCP_LOG", "warn")
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .current_dir(self.data());
        if let Some(port) = self
            .address
            .as_deref()
            .and_then(|address| address.rsplit(':').next())
        {
            command.env("MCP_PORT", port);
        }
        command
    }

    /// Runs the `smcp` command to its end; one that never comes is exit code 124, of `timeout`.
    pub(crate) fn smcp(&self, arguments: &[&str]) -> Output {
        let patience = PATIENCE.as_secs().to_string();
        below(&["timeout", &patience], &self.command(arguments))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Runs the `smcp` command with `--json`, which must succeed, and reads what it prints.
    pub(crate) fn smcp_json(&self, arguments: &[&str]) -> Value {
        let output = self.smcp(&[arguments, &["--json"]].concat());
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// An MCP client over Streamable HTTP: rmcp's own.
    pub(crate) async fn client(&self) -> Client {
        Client::at(&self.url()).await
    }

    /// Waits until a worker has described the plugins.
    pub(crate) fn wait_for_tools(&self) {
        eventually("a worker has described the plugins", || {
            let sql = rusqlite::Connection::open(self.database()).ok()?;
            let scanned = "SELECT scanned > 0 AND scanned = wanted FROM catalogue";
            sql.query_row(scanned, [], |row| row.get::<_, bool>(0))
                .ok()?
                .then_some(())
        });
    }

    /// Runs the official Python client over `transport` (`sse`, `http` or `stdio`); see `tests/clients/mcp_client.py`.
    pub(crate) fn python(&self, transport: &str, steps: &Value) -> Vec<Value> {
        answers(self.start_python(transport, steps))
    }

    /// Runs that client over Streamable HTTP at another address.
    pub(crate) fn python_at(url: &str, steps: &Value) -> Vec<Value> {
        let mut client = python("SMCP_TEST_PYTHON", "test-venv", "mcp_client.py");
        client.args(["--url", &format!("{url}/mcp"), "--transport", "http"]);
        answers(start(&mut client, steps))
    }

    /// Starts it without waiting.
    pub(crate) fn start_python(&self, transport: &str, steps: &Value) -> Child {
        let mut client = python("SMCP_TEST_PYTHON", "test-venv", "mcp_client.py");
        let address = match transport {
            "stdio" => {
                let environment = self.command(&[]);
                let variables = environment.get_envs();
                client.envs(variables.filter_map(|(name, value)| Some((name, value?))));
                env!("CARGO_BIN_EXE_smcp").to_owned()
            }
            "sse" => format!("{}/sse", self.url()),
            _ => format!("{}/mcp", self.url()),
        };
        client.args(["--url", &address, "--transport", transport]);
        start(&mut client, steps)
    }

    /// Runs the second generation of that client over Streamable HTTP; see `tests/clients/mcp_client_2.py`.
    pub(crate) fn python_2(&self, steps: &Value) -> Vec<Value> {
        let mut client = python("SMCP_TEST_PYTHON_2", "test-venv-2", "mcp_client_2.py");
        let client = client.args(["--url", &format!("{}/mcp", self.url())]);
        answers(start(client, steps))
    }
}

/// A script in `tests/clients` under an [`interpreter`].
fn python(variable: &str, environment: &str, script: &str) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut client = Command::new(interpreter(variable, environment));
    client.arg(root.join("tests/clients").join(script));
    client
}

/// The interpreter that `variable` names, else that of an environment below `target`.
pub(crate) fn interpreter(variable: &str, environment: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let interpreter = root.join("target").join(environment).join("bin/python");
    let interpreter = std::env::var_os(variable).map_or(interpreter, PathBuf::from);
    assert!(
        interpreter.exists(),
        "{} is missing: ./tests/run makes it",
        interpreter.display()
    );
    interpreter
}

/// Starts a client with steps on its standard input.
fn start(client: &mut Command, steps: &Value) -> Child {
    let client = client.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = client.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(steps.to_string().as_bytes()).unwrap();
    child
}

/// What a client prints until its end, line by line.
fn answers(mut client: Child) -> Vec<Value> {
    let lines = BufReader::new(client.stdout.take().unwrap()).lines();
    let answers = lines
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    client.wait().unwrap();
    answers
}

impl Drop for World {
    /// No test leaves a process behind: roles end before their world, and plugins with their worker.
    #[expect(clippy::print_stderr, reason = "shown only where the test fails")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            return eprintln!("--- jobs ---\n{}--- log ---\n{}", self.jobs(), self.log());
        }
        eventually("every process of this world has ended", || {
            processes::of(self.data()).is_empty().then_some(())
        });
    }
}

impl Role {
    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it with SIGKILL and waits for its end.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        signal(self.pid(), "TERM");
    }

    /// Waits for its end, and answers its exit status.
    pub(crate) fn wait(mut self) -> Option<i32> {
        eventually("the process has ended", || self.child.try_wait().unwrap()).code()
    }

    fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().unwrap()
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        // SIGKILL: what a test leaves running is not waited for. The worker's plugins die with it.
        let _gone_already = self.child.kill();
        let _reaped_already = self.child.wait();
    }
}

/// A connected MCP client.
#[derive(Debug)]
pub(crate) struct Client(pub(crate) RunningService<RoleClient, ()>);

impl Client {
    /// A client of whatever is at this address.
    pub(crate) async fn at(url: &str) -> Self {
        let transport = StreamableHttpClientTransport::from_uri(format!("{url}/mcp"));
        Self(().serve(transport).await.unwrap())
    }

    /// Calls a tool; a protocol error fails the test.
    pub(crate) async fn call(&self, tool: &'static str, arguments: Value) -> CallToolResult {
        let arguments: Map<String, Value> = serde_json::from_value(arguments).unwrap();
        self.0
            .call_tool(CallToolRequestParams::new(tool).with_arguments(arguments))
            .await
            .unwrap()
    }

    /// The structured answer of a tool, which must succeed.
    pub(crate) async fn json(&self, tool: &'static str, arguments: Value) -> Value {
        let result = self.call(tool, arguments).await;
        assert_ne!(result.is_error, Some(true), "{tool}: {result:?}");
        result.structured_content.unwrap_or(json!(null))
    }

    /// Submits a job of a tool, and answers its id.
    pub(crate) async fn submit(&self, tool: &str, arguments: Value) -> String {
        let request = json!({"tool": tool, "arguments": arguments});
        let submitted = self.json("jobs__submit", request).await;
        submitted["id"].as_str().unwrap().to_owned()
    }

    /// Waits for the end of a job, and answers the job.
    pub(crate) async fn ended(&self, id: &str) -> Value {
        let request = json!({"id": id, "timeout_s": PATIENCE.as_secs()});
        let job = self.json("jobs__wait", request).await;
        assert_eq!(job["done"], true, "{job}");
        job
    }
}

/// The text of an answer.
pub(crate) fn text_of(result: &CallToolResult) -> String {
    let text = result
        .content
        .iter()
        .filter_map(|block| block.as_text())
        .map(|block| block.text.as_str());
    text.collect::<Vec<_>>().join("\n")
}

/// Waits for a condition, and fails the test where it never comes.
pub(crate) fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begun.elapsed() < PATIENCE, "it never came true that {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a signal by its name without `SIG`.
pub(crate) fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
}

/// Bytes as text, for messages.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl World {
    /// Starts a command that is `smcp up`, or becomes it, and waits until it has told where it listens.
    pub(crate) fn start_up(&mut self, mut command: Command) -> Role {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut role = Role {
            child: command.spawn().unwrap(),
        };
        let address = BufReader::new(role.stdout()).lines().find_map(|line| {
            let line = line.unwrap();
            let (_, url) = line.split_once("http://")?;
            Some(url.split_once('/')?.0.to_owned())
        });
        self.address = Some(address.expect("smcp up has told where it listens"));
        role
    }

    /// An MCP client that shows an API key.
    pub(crate) async fn client_with_key(&self, key: &str) -> Client {
        let config = StreamableHttpClientTransportConfig::with_uri(format!("{}/mcp", self.url()));
        let transport = StreamableHttpClientTransport::from_config(config.auth_header(key));
        Client(().serve(transport).await.unwrap())
    }
}

/// The code and the message of an answer that is an error; its text is the message.
pub(crate) fn failure_of(answer: &CallToolResult) -> (String, String) {
    assert_eq!(answer.is_error, Some(true), "{answer:?}");
    let error = &answer.structured_content.as_ref().unwrap()["error"];
    let word = |name: &str| error[name].as_str().unwrap().to_owned();
    assert_eq!(text_of(answer), word("message"));
    (word("code"), word("message"))
}

/// The id of the job behind an answer.
pub(crate) fn job_of(answer: &CallToolResult) -> String {
    let meta = json!(answer.meta);
    meta["smcp/job"].as_str().unwrap().to_owned()
}

/// The same command, run by another one, which takes it as its last arguments.
pub(crate) fn below<R: AsRef<OsStr>>(runner: &[R], command: &Command) -> Command {
    let mut outer = Command::new(&runner[0]);
    outer
        .args(&runner[1..])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    if let Some(directory) = command.get_current_dir() {
        outer.current_dir(directory);
    }
    outer
}
