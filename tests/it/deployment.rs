//! What is under `deploy/`. There is no container engine where these tests run: `tests/image` makes the image without one, and the project's
//! workflow with one (`.github/workflows/ci.yml`).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::world::{World, interpreter, text};

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

#[test]
fn systemd_takes_the_units() {
    let world = World::new();
    let mut units = Vec::new();
    for (name, instance) in [
        ("smcp-api.service", "smcp-api.service"),
        ("smcp-worker@.service", "smcp-worker@1.service"),
    ] {
        let unit = fs::read_to_string(deploy().join("systemd").join(name)).unwrap();
        assert!(unit.contains("ExecStart=/usr/local/bin/smcp "), "{name}");
        // What a unit starts must be there.
        let unit = unit.replace("/usr/local/bin/smcp", env!("CARGO_BIN_EXE_smcp"));
        let path = world.path(instance);
        fs::write(&path, unit).unwrap();
        units.push(path);
    }
    let verified = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .args(&units)
        .output()
        .unwrap();
    // It warns of what it does not know, and ends with 0 all the same.
    assert_eq!(text(&verified.stderr), "");
    assert!(verified.status.success());
}

#[test]
fn the_image_is_made_of_what_there_is() {
    let project = deploy().parent().unwrap().to_owned();
    let dockerfile = fs::read_to_string(deploy().join("Dockerfile")).unwrap();
    let (build, image) = dockerfile.rsplit_once("\nFROM ").unwrap();
    let toolchain = fs::read_to_string(project.join("rust-toolchain.toml")).unwrap();
    let version = build.split("FROM rust:").nth(1).unwrap();
    let version = version.split('-').next().unwrap();
    assert!(
        toolchain.contains(&format!("channel = \"{version}")),
        "the image is built with Rust {version}"
    );
    let copied = image.lines().filter_map(|line| line.strip_prefix("COPY "));
    for source in copied.filter(|copied| !copied.starts_with("--from=build")) {
        let source = project.join(source.split(' ').next().unwrap());
        let mode = fs::metadata(&source).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{} is started", source.display());
    }
    assert!(image.contains("\nUSER smcp\n") && image.contains("/readyz"));
}

#[test]
fn api_and_workers_of_compose_share_a_volume() {
    let compose = deploy().join("compose.yaml");
    let read = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let output = Command::new(interpreter("SMCP_TEST_PYTHON", "test-venv"))
        .args(["-c", read])
        .arg(&compose)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let compose: Value = serde_json::from_slice(&output.stdout).unwrap();
    for service in ["api", "worker"] {
        let service = &compose["services"][service];
        let volumes = service["volumes"].as_array().unwrap();
        assert!(volumes.contains(&json!("data:/var/lib/smcp")), "{service}");
        let dockerfile = service["build"]["dockerfile"].as_str().unwrap();
        let context = service["build"]["context"].as_str().unwrap();
        assert!(deploy().join(context).join(dockerfile).is_file());
    }
    let ports = &compose["services"]["api"]["ports"];
    assert_eq!(ports, &json!(["127.0.0.1:8000:8000"]));
}

#[test]
fn a_container_without_a_key_makes_one_and_keeps_it() {
    let world = World::new();
    // Stands for the program, and says which key it was given.
    let program = world.path("smcp");
    fs::write(&program, "#!/bin/sh\necho $MCP_API_KEY $*\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", world.path("").display());
    let started = |role: &str, key: Option<&str>| {
        let output = Command::new(deploy().join("entrypoint.sh"))
            .arg(role)
            .env_clear()
            .env("PATH", &path)
            .env("SMCP_DATA_DIR", world.data())
            .envs(key.map(|key| ("MCP_API_KEY", key)))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    assert_eq!(started("worker", None), "worker\n");
    assert_eq!(started("api", Some("given")), "given api\n");
    assert!(!world.data().join("api.key").exists());

    let first = started("api", None);
    let key = first.strip_suffix(" api\n").unwrap();
    assert!(key.starts_with("smcp_") && key.len() == 53, "{key}");
    let mode = fs::metadata(world.data().join("api.key")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    assert_eq!(started("api", None), first, "after a restart as well");
}
