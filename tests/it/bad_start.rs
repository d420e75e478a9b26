//! What cannot start says why, exits with its code, and harms nothing; a full disk is told and survived.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::json;

use crate::world::{Role, World, below, failure_of, text, text_of};

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let world = World::new();
    let notes = b"These are somebody's notes, and no database.\n".repeat(100);
    fs::write(world.database(), &notes).unwrap();
    let expected = format!(
        "error: {} is not an SMCP database; move it away or choose another with --database\n",
        world.database().display()
    );
    for role in ROLES {
        refused(&world.smcp(role), 1, &expected);
        assert_eq!(fs::read(world.database()).unwrap(), notes);
    }

    let foreign = rusqlite::Connection::open(world.path("foreign.db")).unwrap();
    foreign.execute_batch("CREATE TABLE theirs (x)").unwrap();
    drop(foreign);
    let bytes = fs::read(world.path("foreign.db")).unwrap();
    let world = world.with("SMCP_DATABASE_URL", "foreign.db");
    for role in ROLES {
        refused(
            &world.smcp(role),
            1,
            "error: foreign.db is not an SMCP database",
        );
        assert_eq!(fs::read(world.path("foreign.db")).unwrap(), bytes);
    }
    assert!(!world.path("foreign.db-wal").exists());
}

#[test]
fn a_database_of_a_newer_version_is_refused_and_left_alone() {
    let mut world = World::new();
    world.api().kill();
    let database = rusqlite::Connection::open(world.database()).unwrap();
    let known: u32 = database
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    database.pragma_update(None, "user_version", 1000).unwrap();
    drop(database);
    let bytes = fs::read(world.database()).unwrap();
    let expected = format!(
        "error: {} was written by a newer version of SMCP (schema 1000, this one knows up to {known}); \
         start that version, or restore a backup made before the upgrade\n",
        world.database().display()
    );
    for role in ROLES {
        refused(&world.smcp(role), 1, &expected);
        assert_eq!(fs::read(world.database()).unwrap(), bytes);
    }
}

#[test]
fn a_port_in_use_is_told_before_anything_is_touched() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let expected = format!(
        "error: port {port} on 127.0.0.1 is in use: stop what listens there, or choose another port \
         (--port or MCP_PORT; 0 takes a free one)\n"
    );
    let world = World::new();
    for role in ["api", "up"] {
        refused(&world.smcp(&[role, "--port", &port]), 1, &expected);
        assert!(!world.database().exists());
    }
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    for (name, value, expected) in [
        (
            "MCP_PORT",
            "many",
            "MCP_PORT is 'many', but must be a port between 0 and 65535",
        ),
        (
            "MCP_HOST",
            "no such host",
            "the host \"no such host\" does not resolve to an address",
        ),
        (
            "MCP_AUTH_DISABLED",
            "perhaps",
            "MCP_AUTH_DISABLED is 'perhaps', but must be",
        ),
        (
            "SMCP_DATABASE_URL",
            "mysql://x",
            "SMCP_DATABASE_URL (or --database) is 'mysql://x', but must be",
        ),
        (
            "SMCP_PROFILES",
            "missing.json",
            "SMCP_PROFILES: cannot read missing.json",
        ),
        ("SMCP_LOG", "a=b=c", "SMCP_LOG"),
    ] {
        let world = World::new().with(name, value);
        let code = if name == "MCP_HOST" { 1 } else { 2 };
        refused(&world.smcp(&["api"]), code, &format!("error: {expected}"));
        assert!(!world.database().exists(), "{name}");
    }
}

#[test]
fn the_second_up_on_a_data_directory_names_the_first() {
    let mut world = World::new();
    let command = world.command(&["up", "--port", "0"]);
    let first = world.start_up(command);
    let expected = format!(
        "error: another smcp up (pid {}) runs on the data directory {}; stop it, or choose another with --data-dir\n",
        first.pid(),
        world.data().display()
    );
    refused(&world.smcp(&["up", "--port", "0"]), 1, &expected);
    assert_eq!(
        world.smcp_json(&["call", "health"])["structuredContent"]["status"],
        "healthy"
    );
    first.terminate();
    assert_eq!(first.wait(), Some(0));
}

/// The suite of the queue tests every command on a full disk; this is what callers see. The disk is a small one of
/// the test's own, in a namespace of its own. Where the system lets nobody but root make one, there is none to fill.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_nothing_recorded_is_lost() {
    if !may_mount() {
        return;
    }
    let mut world = World::new();
    let up = up_on_a_small_disk(&mut world);
    let client = world.client().await;
    let disk = disk_of(&world, &up);
    assert!(disk.join("smcp.db").exists());

    let later = |n: u32| json!({"tool": "demo_text__echo", "delay_s": 3600, "arguments": {"message": format!("{n}").repeat(50_000)}});
    let mut recorded = vec![client.json("jobs__submit", later(0)).await["id"].clone()];
    let ballast = disk.join("ballast");
    fs::write(&ballast, vec![0; 64 << 20]).unwrap_err();
    let refused = loop {
        let submitted = client.call("jobs__submit", later(1)).await;
        match &submitted.structured_content {
            Some(answer) if submitted.is_error == Some(false) => {
                recorded.push(answer["id"].clone());
            }
            _ => break submitted,
        }
    };
    let message = "The disk that holds the database is full; nothing has been recorded.";
    assert_eq!(
        failure_of(&refused),
        ("disk_full".to_owned(), message.to_owned())
    );
    assert_eq!(client.json("health", json!({})).await["status"], "healthy");

    fs::remove_file(ballast).unwrap();
    let echo = client
        .call("demo_text__echo", json!({"message": "room again"}))
        .await;
    assert!(text_of(&echo).contains("room again"), "{echo:?}");
    let scheduled = client
        .json(
            "jobs__list",
            json!({"tool": "demo_text__echo", "state": "queued"}),
        )
        .await;
    let kept: Vec<_> = scheduled["jobs"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|job| job["id"].clone())
        .collect();
    assert_eq!(kept, recorded);
}

const ROLES: [&[&str]; 3] = [&["api", "--port", "0"], &["worker"], &["up", "--port", "0"]];

fn refused(output: &Output, code: i32, expected: &str) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(expected), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

/// Whether a test may have a disk of its own; says so where it may not, as it then tests nothing.
#[expect(clippy::print_stderr, reason = "a test that cannot run must say why")]
pub(crate) fn may_mount() -> bool {
    let runner = own_mounts("true");
    let tried = Command::new(&runner[0])
        .args(&runner[1..])
        .arg("true")
        .output();
    let why = match tried {
        Ok(tried) if tried.status.success() => return true,
        Ok(tried) => text(&tried.stderr),
        Err(error) => error.to_string(),
    };
    eprintln!("not tested: no disk of one's own to fill, as `unshare` says: {why}");
    false
}

/// What runs a command, its last arguments, among mounts that only it sees and `mount` has made. It runs as the user who
/// asks for it, and not as the root of a user namespace, who has no other user to run plugins as.
fn own_mounts(mount: &str) -> Vec<String> {
    let owner = fs::metadata("/proc/self").unwrap();
    let (kind, then) = match (owner.uid(), owner.gid()) {
        (0, _) => ("-m", "exec \"$@\"".to_owned()),
        (user, group) => (
            "-Urm",
            format!("exec unshare -U --map-user={user} --map-group={group} -- \"$@\""),
        ),
    };
    let script = format!("{mount} && {then}");
    ["unshare", kind, "sh", "-c", &script, "sh"]
        .map(ToOwned::to_owned)
        .to_vec()
}

/// The disk of that process: from the outside it is seen through the process that has it.
pub(crate) fn disk_of(world: &World, up: &Role) -> PathBuf {
    Path::new("/proc")
        .join(up.pid().to_string())
        .join("root")
        .join(world.path("disk").strip_prefix("/").unwrap())
}

/// Starts `smcp up` with its database on a disk of 4 MB in a namespace of its own.
pub(crate) fn up_on_a_small_disk(world: &mut World) -> Role {
    let disk = world.path("disk");
    fs::create_dir(&disk).unwrap();
    let database = disk.join("smcp.db");
    let up = world.command(&[
        "up",
        "--port",
        "0",
        "--database",
        &database.display().to_string(),
    ]);
    let mut command = below(&own_mounts("mount -t tmpfs -o size=4m tmpfs disk"), &up);
    let log = File::options()
        .create(true)
        .append(true)
        .open(world.path("log"));
    command.stderr(log.unwrap());
    world.start_up(command)
}
