//! The operator's commands, as a shell sees them: what is printed where, and the exit code.

use std::fs;
use std::io::Read as _;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::world::{World, eventually, text};

const OK: i32 = 0;
const FAILURE: i32 = 1;
const BAD_USAGE: i32 = 2;

#[test]
fn calls_print_their_answer_and_fail_with_their_tool() {
    let (world, _roles) = World::running();
    let (code, out, err) = run(
        &world,
        &["call", "demo_text__echo", "message=a=b c", "prefix=>"],
    );
    assert_eq!((code, err.as_str()), (OK, ""));
    assert!(out.contains("a=b c") && out.ends_with('\n'), "{out}");

    let (code, out, err) = run(&world, &["call", "awkward__stderr-only"]);
    assert_eq!((code, out.as_str()), (FAILURE, ""));
    assert!(
        err.ends_with("error: Plugin exited with code 3: the reason is on stderr\n"),
        "{err}"
    );

    let failed = world.smcp(&["call", "awkward__json-error", "--json"]);
    assert_eq!(failed.status.code(), Some(FAILURE));
    let answer: Value = serde_json::from_slice(&failed.stdout).unwrap();
    assert_eq!(
        (
            &answer["isError"],
            &answer["structuredContent"]["error"]["code"]
        ),
        (&json!(true), &json!("plugin_error"))
    );

    let typed = world.smcp_json(&[
        "call",
        "awkward__argv",
        "count=7",
        "tags=a",
        "tags=b",
        "flag=true",
        r#"people=[{"name": "Ada"}]"#,
        "--args",
        r#"{"text": "x", "count": 1}"#,
    ]);
    let argv = r#"["--text", "x", "--count", "7", "--flag", "--tags", "a", "--tags", "b", "--people", "[{\"name\":\"Ada\"}]", "--style", "plain"]"#;
    assert_eq!(typed["content"][0]["text"], argv);
    let piped = with_input(
        &world,
        &["call", "demo_text__word_count", "--args", "-"],
        r#"{"text": "from standard input"}"#,
    );
    assert!(text(&piped.stdout).contains("\"words\": 3"), "{piped:?}");

    let (code, out, err) = run(
        &world,
        &["call", "sleepy__steps", "count=2", "seconds=0.01"],
    );
    assert_eq!(code, OK);
    assert!(
        out.starts_with("{\"ok\": true"),
        "progress is not in the answer: {out}"
    );
    assert!(err.contains("step 1 of 2 is done"), "{err}");
}

#[test]
fn bad_usage_is_explained_and_exits_with_2() {
    let (world, _roles) = World::running();
    for (arguments, expected) in [
        (
            &["call", "demo_text__ecko"][..],
            "there is no tool 'demo_text__ecko' that you may call; did you mean demo_text__echo",
        ),
        (
            &["call", "demo_text__echo", "massage=a"],
            "demo_text__echo has no parameter 'massage'; it takes: message=STRING [prefix=STRING]",
        ),
        (
            &["call", "awkward__argv", "count=many"],
            "'count' is 'many', but must be a whole number",
        ),
        (
            &["call", "demo_text__echo", "--args", "{"],
            "--args is no JSON",
        ),
        (&["call", "demo_text__echo", "--in", "soon"], "such as 90s"),
        (&["jobs", "show", "latest"], "latest"),
        (&["jobs", "list", "--state", "done"], "a state is one of"),
        (
            &["jobs", "list", "--url", "ftp://x"],
            "--url is 'ftp://x', but must be an http address",
        ),
        (&["frobnicate"], "unrecognized subcommand 'frobnicate'"),
        (&[], "Usage"),
    ] {
        let (code, out, err) = run(&world, arguments);
        assert_eq!(
            (code, out.as_str()),
            (BAD_USAGE, ""),
            "{arguments:?}: {err}"
        );
        assert!(err.contains(expected), "{arguments:?}: {err}");
    }
    let (code, _, err) = run(&world, &["call", "demo_text__echo"]);
    assert_eq!(code, FAILURE, "only the API knows what is required");
    assert!(err.contains("\"message\" is a required property"), "{err}");
    assert_eq!(world.smcp_json(&["jobs", "list"]), json!([]));
}

#[test]
fn detached_calls_are_followed_with_the_commands_on_jobs() {
    let (world, _roles) = World::running();
    let steps = [
        "call",
        "sleepy__steps",
        "count=2",
        "seconds=0.05",
        "--detach",
        "--key",
        "deed",
    ];
    let submitted = world.smcp_json(&steps);
    let id = submitted["id"].as_str().unwrap();
    assert_eq!(submitted["existing"], false);
    let (code, printed, _) = run(&world, &steps);
    assert_eq!(
        (code, printed.trim()),
        (OK, id),
        "the same key gives the same job"
    );

    let (code, tail, _) = run(&world, &["jobs", "tail", id]);
    assert_eq!(code, OK);
    let wanted = [
        "queued",
        "attempt 1 started by w-",
        "progress 1/2 step 1 of 2",
        "step 2 of 2 is done",
        "succeeded",
    ];
    let mut from = 0;
    for part in wanted {
        let at = tail[from..]
            .find(part)
            .unwrap_or_else(|| panic!("{part} is not in its place in {tail}"));
        from += at;
    }
    let lines = world.smcp(&["jobs", "tail", id, "--json"]).stdout;
    let kinds: Vec<_> = text(&lines)
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["kind"].clone())
        .collect();
    assert_eq!(
        (kinds.first(), kinds.last()),
        (Some(&json!("queued")), Some(&json!("finished")))
    );

    assert_eq!(
        run(&world, &["jobs", "wait", id]),
        (OK, "succeeded\n".to_owned(), String::new())
    );
    let (_, output, _) = run(&world, &["jobs", "output", id]);
    assert_eq!(
        serde_json::from_str::<Value>(&output).unwrap()["command"],
        "steps"
    );
    let (_, shown, _) = run(&world, &["jobs", "show", id]);
    for part in [
        id,
        "sleepy__steps",
        "succeeded",
        "operator",
        "deed",
        "ATTEMPT",
        "RESULT",
    ] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    let job = world.smcp_json(&["jobs", "show", id]);
    for key in [
        "id",
        "tool",
        "agent",
        "state",
        "lane",
        "priority",
        "arguments",
        "attempts",
        "result",
        "created_at",
        "finished_at",
    ] {
        assert!(!job[key].is_null(), "{key} is missing");
    }
    for key in ["n", "worker", "started_at", "ended_at", "outcome", "error"] {
        assert!(
            job["attempts"][0].get(key).is_some(),
            "attempts[].{key} is missing"
        );
    }

    let later = world.smcp_json(&["call", "demo_math__coin_flip", "--in", "1h"])["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let queued = world.smcp_json(&["jobs", "list", "--state", "queued"]);
    assert_eq!(
        (queued.as_array().unwrap().len(), &queued[0]["id"]),
        (1, &json!(later))
    );
    assert_eq!(
        run(&world, &["jobs", "cancel", &later]),
        (OK, "cancelled\n".to_owned(), String::new())
    );
    let (code, ending, _) = run(&world, &["jobs", "wait", &later]);
    assert_eq!(code, FAILURE, "it did not succeed");
    assert!(ending.starts_with("cancelled"), "{ending}");
    let (_, list, _) = run(&world, &["jobs", "list"]);
    assert!(
        list.starts_with("ID ") && list.lines().count() == 3 && list.contains(id),
        "{list}"
    );
}

#[test]
fn a_running_job_is_cancelled_from_the_shell() {
    let (world, _roles) = World::running();
    let id = world.smcp_json(&["call", "sleepy__nap", "seconds=60", "--detach"])["id"]
        .as_str()
        .unwrap()
        .to_owned();
    eventually("it runs", || {
        (world.smcp_json(&["jobs", "show", &id])["state"] == "running").then_some(())
    });
    let (code, told, _) = run(&world, &["jobs", "cancel", &id]);
    assert_eq!(
        (code, told.as_str()),
        (OK, "its worker has been told to stop it\n")
    );
    assert_eq!(run(&world, &["jobs", "wait", &id]).0, FAILURE);
    assert_eq!(
        world.smcp_json(&["jobs", "show", &id])["state"],
        "cancelled"
    );
}

#[test]
fn tools_and_plugins_are_listed() {
    let (world, _roles) = World::running();
    let (code, tools, _) = run(&world, &["tools"]);
    assert_eq!(code, OK);
    assert!(
        tools.contains("demo_text__echo message=STRING [prefix=STRING]\n    Give a message back"),
        "{tools}"
    );
    let names = world.smcp_json(&["tools"]);
    assert!(
        names
            .as_array()
            .unwrap()
            .iter()
            .any(|tool| tool["name"] == "health" && tool["inputSchema"]["type"] == "object")
    );

    for command in ["list", "reload"] {
        let (code, plugins, _) = run(&world, &["plugins", command]);
        assert_eq!(code, OK);
        for part in [
            "PLUGIN",
            "demo_math",
            "warning: plugin broken: commands[0].parameters[0].type 'str'",
            "warning: plugin crashing: --describe",
        ] {
            assert!(plugins.contains(part), "{part} is not in {plugins}");
        }
    }
    assert!(
        run(&world, &["plugins", "reload"])
            .1
            .starts_with("nothing has changed\n")
    );
    assert_eq!(
        world.smcp_json(&["plugins", "list"])["catalogue"]["problems"],
        json!([])
    );

    // Whoever reads us may have seen enough after one line.
    let mut child = world
        .command(&["tools"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(
        (child.wait().unwrap().code(), said.as_str()),
        (Some(OK), "")
    );
}

#[test]
fn plugins_are_checked_without_a_server() {
    let world = World::new();
    let plugin = |name: &str| format!("{}/tests/it/plugins/{name}", env!("CARGO_MANIFEST_DIR"));
    let (code, said, _) = run(&world, &["plugins", "check", &plugin("shellcli")]);
    assert_eq!(code, OK, "{said}");
    assert!(
        said.contains("shellcli__greet name=STRING") && said.contains("no problems"),
        "{said}"
    );
    let (code, said, _) = run(&world, &["plugins", "check", &plugin("broken")]);
    assert_eq!(code, FAILURE);
    assert!(
        said.contains("problem: commands[1].name 'not a name' must match"),
        "{said}"
    );
    let checked = world.smcp(&["plugins", "check", &plugin("crashing"), "--json"]);
    assert_eq!(checked.status.code(), Some(FAILURE));
    let checked: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert!(
        checked["problems"][0].to_string().contains("RuntimeError"),
        "{checked}"
    );
    let (code, _, err) = run(&world, &["plugins", "check", "/nowhere"]);
    assert_eq!(
        (code, err.as_str()),
        (FAILURE, "error: /nowhere is no directory\n")
    );
}

#[test]
fn databases_are_backed_up_and_checked() {
    let (world, [api, worker]) = World::running();
    run(&world, &["call", "demo_math__coin_flip"]);
    let copy = world.path("copy.db").display().to_string();
    let (code, said, _) = run(&world, &["db", "backup", &copy]);
    assert_eq!(code, OK);
    assert!(said.contains(&copy), "{said}");
    let (code, _, err) = run(&world, &["db", "backup", &copy]);
    assert_eq!(code, FAILURE);
    assert!(err.contains("copy.db") && err.contains("exist"), "{err}");
    for database in [world.database().display().to_string(), copy.clone()] {
        let found = world.smcp_json(&["db", "check", "--database", &database]);
        assert_eq!(
            (&found["sound"], &found["damage"], &found["broken_audit"]),
            (&json!(true), &json!([]), &json!(null))
        );
        assert!(found["audit_records"].as_u64().unwrap() >= 2, "{found}");
    }

    // The copy serves as the database it was made of.
    drop((api, worker));
    let mut restored = World::new().with("SMCP_DATABASE_URL", copy.clone());
    let api = restored.api();
    let jobs = restored.smcp_json(&["jobs", "list"]);
    assert_eq!(
        (&jobs[0]["tool"], &jobs[0]["state"]),
        (&json!("demo_math__coin_flip"), &json!("succeeded"))
    );
    api.kill();

    let tampered = rusqlite::Connection::open(&copy).unwrap();
    let record = "SELECT sql FROM sqlite_schema WHERE name = 'audit'";
    assert!(
        tampered
            .query_row(record, [], |row| row.get::<_, String>(0))
            .is_ok()
    );
    tampered
        .execute_batch("UPDATE audit SET agent = 'somebody else' WHERE seq = 1")
        .unwrap();
    drop(tampered);
    let (code, said, _) = run(&world, &["db", "check", "--database", &copy]);
    assert_eq!(code, FAILURE);
    assert!(said.contains("record 1: does not match its hash"), "{said}");
    fs::write(&copy, "no database").unwrap();
    let (code, _, err) = run(&world, &["db", "check", "--database", &copy]);
    assert_eq!(code, FAILURE);
    assert!(err.contains("is not an SMCP database"), "{err}");
    let (code, _, err) = run(&world, &["db", "check", "--database", "/nowhere/smcp.db"]);
    assert_eq!(code, FAILURE);
    assert!(
        err.contains("/nowhere/smcp.db") && err.contains("No such file"),
        "{err}"
    );
}

#[test]
fn completions_are_printed_for_every_shell() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, script, _) = run(&world, &["completions", shell]);
        assert_eq!(code, OK);
        assert!(
            script.contains("smcp") && script.contains("completions"),
            "{shell}"
        );
    }
}

#[test]
fn what_stands_in_the_way_of_a_conversation_is_told() {
    let mut world = World::new().with("MCP_PORT", "1");
    let expected = "error: no SMCP answers at http://127.0.0.1:1 (Connection refused (os error 111)); start one with: smcp up\n";
    for arguments in [
        &["tools"][..],
        &["call", "health"],
        &["jobs", "list"],
        &["plugins", "list"],
    ] {
        assert_eq!(
            run(&world, arguments),
            (FAILURE, String::new(), expected.to_owned())
        );
    }

    let _api = world.api();
    let url = world.url();
    let (code, _, err) = run(&world, &["tools", "--url", &url, "--api-key", "wrong"]);
    let expected = format!(
        "error: {url} refused the key of --api-key; give another with --api-key or SMCP_API_KEY\n"
    );
    assert_eq!((code, err), (FAILURE, expected));

    let dumb = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let other = format!("http://{}", dumb.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = dumb.accept().unwrap();
        assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
        std::io::Write::write_all(
            &mut stream,
            b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        )
        .unwrap();
    });
    let (code, _, err) = run(&world, &["tools", "--url", &other]);
    server.join().unwrap();
    assert_eq!(code, FAILURE);
    assert!(
        err.contains("is not the API of SMCP; give its address with --url"),
        "{err}"
    );
}

#[test]
fn arguments_that_are_too_large_are_told_as_such() {
    let (world, _roles) = World::running();
    let arguments = json!({"message": "x".repeat(10 * 1024 * 1024)}).to_string();
    let refused = with_input(
        &world,
        &["call", "demo_text__echo", "--args", "-"],
        &arguments,
    );
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(FAILURE), "{said}");
    assert!(
        said.contains("the request body is larger than the limit of 4194304 bytes"),
        "{said}"
    );
    assert!(!said.contains("is not the API"), "{said}");
}

/// Runs `smcp`; answers its exit code, standard output and standard error.
fn run(world: &World, arguments: &[&str]) -> (i32, String, String) {
    let output = world.smcp(arguments);
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

fn with_input(world: &World, arguments: &[&str], input: &str) -> Output {
    let mut child = world
        .command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}
