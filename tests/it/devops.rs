//! The devops plugin through the running binary: a web service that is deployed, found unhealthy and rolled back while
//! clients ask it, and what `kill -9` may not do to a deployment.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};

use crate::workflows::submit_example;
use crate::world::{Role, World, eventually};

/// The example as it is documented; its checks, 20 seconds apart, are made to come faster here.
const EXAMPLE: &str = include_str!("../../deploy/examples/deploy-verify-rollback.toml");

#[test]
fn the_example_of_the_guide_is_the_one_that_is_tested() {
    let guide = include_str!("../../docs/workflows.md");
    let steps = EXAMPLE.split_once("[[steps]]").unwrap().1;
    for line in steps.lines().filter(|line| !line.starts_with('#')) {
        assert!(guide.contains(line), "{line}");
    }
}

#[test]
fn an_unhealthy_release_is_rolled_back_and_no_request_fails_meanwhile() {
    let world = bundled();
    let shop = Shop::new(&world);
    for version in ["1.0", "2.0", "3.0"] {
        shop.build(version);
    }
    // What the third release cannot do is to tell that it is healthy.
    fs::remove_file(shop.builds.join("3.0/health")).unwrap();
    let service = Service::start(&shop.root);
    let (world, _roles, service) = shop.configured(world, service, "");

    let (code, out, err) = submit_example(&world, EXAMPLE, "1.0");
    assert_eq!(code, 0, "{out}{err}");
    let clients = Clients::start(service.port);
    let (code, out, err) = submit_example(&world, EXAMPLE, "2.0");
    assert_eq!(code, 0, "{out}{err}");
    clients.wait_for("2.0");

    let (code, out, err) = submit_example(&world, EXAMPLE, "3.0");
    assert_eq!(code, 1, "{out}{err}");
    for line in [
        "why        step_failed: Step 'deploy' failed (verification_failed): 3 of at most 5 checks with devops__verify failed, so \
         that 3 cannot succeed. Then 'rollback' was run, and succeeded.",
        "└─ deploy  failed  devops__deploy  ",
        "   └─ rollback  succeeded  devops__rollback  ",
    ] {
        assert!(out.contains(line), "{line:?} is not in\n{out}");
    }
    let (seen, asked) = clients.stop();
    assert_eq!(seen, ["1.0", "2.0", "3.0"].map(String::from).into());
    assert!(asked > 100, "{asked} requests say little");
    assert_eq!(get(service.port, "/page").unwrap(), (200, "2.0".to_owned()));

    let answer = call(&world, "devops__status", &[]);
    assert_eq!(
        (&answer["result"], &answer["version"], &answer["healthy"]),
        (
            &json!("Status for shop: healthy"),
            &json!("2.0"),
            &json!(true)
        )
    );
    let kept = call(&world, "devops__releases", &[]);
    let versions = kept["releases"].as_array().unwrap().iter();
    let versions: Vec<_> = versions.map(|release| &release["version"]).collect();
    assert_eq!(versions, ["3.0", "2.0", "1.0"]);
    // Deployed again, the version that is in use changes nothing.
    assert_eq!(
        call(&world, "devops__deploy", &["version=2.0"])["changed"],
        false
    );
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_leaves_a_whole_release_and_a_job_that_says_so() {
    let world = bundled();
    let shop = Shop::new(&world);
    for version in ["1.0", "2.0"] {
        shop.build(version);
    }
    let (begun, hold) = (world.outside("begun"), world.outside("hold"));
    let hook = format!(
        "touch {}; while [ -e {} ]; do sleep 0.05; done",
        begun.display(),
        hold.display()
    );
    let more = format!(
        "hooks.before = [[\"sh\", \"-c\", \"{hook}\"]]\nneeds.write = [\"{}\"]\n",
        world.outside("").display()
    );
    let service = Service::start(&shop.root);
    let (world, [_api, worker], service) = shop.configured(world, service, &more);
    let deployed = call(&world, "devops__deploy", &["version=1.0"]);
    assert_eq!(deployed["result"], "Deployed shop to production");
    fs::remove_file(&begun).unwrap();
    world.write_outside("hold", "");

    let client = world.client().await;
    let arguments = json!({"app_name": "shop", "version": "2.0"});
    let id = client.submit("devops__deploy", arguments.clone()).await;
    eventually("the second deployment has begun", || {
        begun.exists().then_some(())
    });
    worker.kill();
    let _worker = world.worker();
    let job = client.ended(&id).await;
    assert_eq!(job["state"], "outcome_unknown", "{job}");
    assert_eq!(job["attempts"][0]["outcome"], "worker_lost");
    assert_eq!(shop.page(), "1.0");
    assert_eq!(get(service.port, "/page").unwrap(), (200, "1.0".to_owned()));
    let status = client
        .json("devops__status", json!({"app_name": "shop"}))
        .await;
    assert_eq!(
        (
            &status["version"],
            status["unfinished"].as_array().unwrap().len()
        ),
        (&json!("1.0"), 1),
        "{status}"
    );

    fs::remove_file(&hold).unwrap();
    let again = client.json("devops__deploy", arguments).await;
    assert_eq!(
        (&again["version"], &again["changed"]),
        (&json!("2.0"), &json!(true))
    );
    assert_eq!(shop.page(), "2.0");
    assert_eq!(shop.releases().len(), 2, "{:?}", shop.releases());
    assert!(shop.releases().iter().all(|name| !name.starts_with('.')));
    world.assert_sound();
}

/// A world with the bundled plugins only: a fixture has the same name.
fn bundled() -> World {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins");
    World::new().with_plugins(plugins.to_str().unwrap())
}

/// Directories of an app, below what plugins may write in a world.
struct Shop {
    builds: PathBuf,
    root: PathBuf,
    apps: PathBuf,
}

impl Shop {
    fn new(world: &World) -> Self {
        let shop = Self {
            builds: world.outside("builds"),
            root: world.outside("shop"),
            apps: world.outside("apps.toml"),
        };
        for directory in [&shop.builds, &shop.root] {
            fs::create_dir(directory).unwrap();
            // Plugins may be other users than this one.
            fs::set_permissions(directory, fs::Permissions::from_mode(0o777)).unwrap();
        }
        shop
    }

    fn build(&self, version: &str) {
        let build = self.builds.join(version);
        fs::create_dir(&build).unwrap();
        fs::write(build.join("page"), version).unwrap();
        fs::write(build.join("health"), "all is well").unwrap();
    }

    /// That world with this app, and `more` for its environment. The service comes back, so as to end before the world.
    fn configured(
        &self,
        world: World,
        service: Service,
        more: &str,
    ) -> (World, [Role; 2], Service) {
        let port = service.port;
        let apps = format!(
            "[apps.shop.environments.production]\n\
             root = \"{}\"\n\
             source = {{ directory = \"{}/{{version}}\" }}\n\
             health = {{ url = \"http://127.0.0.1:{port}/health\", body = \"is well\", retries = 0 }}\n\
             {more}",
            self.root.display(),
            self.builds.display()
        );
        fs::write(&self.apps, apps).unwrap();
        world.configure(&format!(
            "[sandbox.plugins.devops]\n\
             network = {{ mode = \"proxy\", allow = [\"127.0.0.1:{port}\"] }}\n"
        ));
        let apps = self.apps.to_str().unwrap().to_owned();
        let (world, roles) = world.with("SMCP_DEVOPS_APPS", apps).started();
        (world, roles, service)
    }

    fn page(&self) -> String {
        fs::read_to_string(self.root.join("current/page")).unwrap()
    }

    fn releases(&self) -> Vec<String> {
        let releases = fs::read_dir(self.root.join("releases")).unwrap();
        let names = releases.map(|release| release.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).collect()
    }
}

/// Python's own web server, which serves what is in `current`.
struct Service {
    process: Child,
    port: u16,
}

impl Service {
    fn start(root: &Path) -> Self {
        let mut process = Command::new("python3")
            .args([
                "-u",
                "-m",
                "http.server",
                "0",
                "--bind",
                "127.0.0.1",
                "--directory",
            ])
            .arg(root.join("current"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = process.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let (_, port) = line.split_once(" port ").unwrap();
        let port = port.split_once(' ').unwrap().0.parse().unwrap();
        Self { process, port }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _gone_already = self.process.kill();
        let _reaped_already = self.process.wait();
    }
}

/// A client that asks for the page all the time.
struct Clients {
    stop: Arc<AtomicBool>,
    asking: JoinHandle<(BTreeSet<String>, usize)>,
    port: u16,
}

impl Clients {
    fn start(port: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let asking = thread::spawn(move || {
            let (mut seen, mut asked) = (BTreeSet::new(), 0);
            while !stopped.load(Ordering::SeqCst) {
                let (status, page) = get(port, "/page").expect("every request is answered");
                assert_eq!(status, 200, "request {asked}: {page}");
                seen.insert(page);
                asked += 1;
            }
            (seen, asked)
        });
        Self { stop, asking, port }
    }

    /// Waits until the page is that one.
    fn wait_for(&self, page: &str) {
        eventually("the page has changed", || {
            get(self.port, "/page")
                .is_ok_and(|answer| answer.1 == page)
                .then_some(())
        });
    }

    /// Which pages it has seen, and how often it has asked.
    fn stop(self) -> (BTreeSet<String>, usize) {
        self.stop.store(true, Ordering::SeqCst);
        self.asking.join().unwrap()
    }
}

/// The status and the text of a page.
fn get(port: u16, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Ok((status.unwrap_or(0), body.to_owned()))
}

/// Calls a tool for the shop from the command line.
fn call(world: &World, tool: &str, more: &[&str]) -> Value {
    let words = [&["call", tool, "app_name=shop"], more].concat();
    world.smcp_json(&words)["structuredContent"].clone()
}
