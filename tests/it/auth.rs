//! Who may call, as whom, and over which names: the rows U1 to U5, and the defects D2 to D4 of the original.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::{Value, json};

use crate::http::{Reply, Session, TRANSPORTS, request, send};
use crate::world::{Client, World, failure_of, job_of, text};

#[test]
fn u5_and_d2_without_a_key_nobody_listens_to_the_outside() {
    // Refused before anything is bound, so that it need not be an address of this machine.
    for host in ["0.0.0.0", "::", "::ffff:0.0.0.0", "192.168.1.7"] {
        for role in ["api", "up"] {
            let world = World::new();
            let refused = world.smcp(&[role, "--port", "0", "--host", host]);
            let said = text(&refused.stderr);
            assert_eq!(refused.status.code(), Some(2), "{role} on {host}: {said}");
            assert!(
                said.contains(host) && said.contains("MCP_API_KEY"),
                "{said}"
            );
            assert!(!world.database().exists());
        }
    }
    let world = World::new();
    let refused = world.smcp(&[
        "api",
        "--port",
        "0",
        "--allow-external",
        "--host",
        "127.0.0.1",
    ]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn u1_to_u4_where_loopback_is_nothing_special_only_a_right_key_lets_in() {
    let mut world = World::new()
        .with("MCP_AUTH_ALLOW_LOOPBACK", "0")
        .with("MCP_API_KEY", "first")
        .with("MCP_API_KEYS", " second,,third ");
    let _api = world.api();
    let url = world.url();

    for (method, path) in [
        ("GET", "/sse"),
        ("POST", "/mcp"),
        (
            "POST",
            "/messages/?session_id=0123456789abcdef0123456789abcdef",
        ),
        ("GET", "/"),
    ] {
        let method: Method = method.parse().unwrap();
        let wrong: [(&str, &[u8]); 6] = [
            ("x-forwarded-for", b"127.0.0.1"),
            ("authorization", b"Bearer wrong"),
            ("authorization", b"Bearer gr\xc3\xbc\xc3\x9f"),
            ("x-api-key", b"\xff\xfe"),
            ("x-api-key", b"firs"),
            ("authorization", b"Basic Zmlyc3Q="),
        ];
        for (name, value) in wrong {
            let value = HeaderValue::from_bytes(value).unwrap();
            refused_with_401(
                &send(request(method.clone(), &format!("{url}{path}")).header(name, value)).await,
            );
        }
        // U2: the bearer token goes before the other header.
        let both = request(method.clone(), &format!("{url}{path}"))
            .header("authorization", "Bearer wrong")
            .header("x-api-key", "first");
        refused_with_401(&send(both).await);
    }
    let keys = [
        ("authorization", "bearer first"),
        ("authorization", "BEARER second"),
        ("x-api-key", "third"),
    ];
    for (name, value) in keys {
        let opened = request(Method::GET, &format!("{url}/sse"))
            .header(name, value)
            .send()
            .await
            .unwrap();
        assert_eq!(opened.status(), 200, "{name}: {value}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_require_auth_this_machine_needs_a_key_too() {
    let mut world = World::new().with("MCP_API_KEY", "secret");
    let command = world.command(&["up", "--port", "0", "--require-auth"]);
    let _up = world.start_up(command);
    for (method, path) in [(Method::GET, "/sse"), (Method::POST, "/mcp")] {
        refused_with_401(&send(request(method, &format!("{}{path}", world.url()))).await);
    }
    let refused = world.recorded("request.refused");
    let expected = json!({"address": "127.0.0.1", "code": "unauthorized", "transport": "sse"});
    assert_eq!(refused, [expected], "once a minute: anybody can be refused");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(
            send(request(Method::GET, &format!("{}{path}", world.url())))
                .await
                .status,
            200
        );
    }
    let legacy = world.client_with_key("secret").await;
    assert_eq!(legacy.json("health", json!({})).await["status"], "healthy");
    // The command line shows the operator's key by itself.
    assert_eq!(world.smcp_json(&["jobs", "list"]), json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn d4_other_names_and_other_pages_get_403() {
    let mut world = World::new();
    let _api = world.api();
    for path in [
        "/sse",
        "/mcp",
        "/messages/?session_id=0123456789abcdef0123456789abcdef",
    ] {
        let method = if path == "/sse" {
            Method::GET
        } else {
            Method::POST
        };
        for (name, value, code) in [
            ("host", "evil.example", "host_not_allowed"),
            ("host", "localhost.evil.example", "host_not_allowed"),
            ("origin", "http://evil.example", "origin_not_allowed"),
            ("origin", "null", "origin_not_allowed"),
        ] {
            let reply = send(
                request(method.clone(), &format!("{}{path}", world.url())).header(name, value),
            )
            .await;
            assert_eq!(
                (reply.status, &reply.json()["code"]),
                (403, &json!(code)),
                "{path} {name}: {value}"
            );
        }
    }
    for (name, value) in [
        ("host", "localhost:1"),
        ("host", "[::1]:8000"),
        ("origin", "http://localhost:3000"),
    ] {
        let opened = request(Method::GET, &format!("{}/sse", world.url()))
            .header(name, value)
            .send()
            .await
            .unwrap();
        assert_eq!(opened.status(), 200, "{name}: {value}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_follows_its_own_jobs_and_the_operator_all() {
    let mut world = World::new().with("MCP_API_KEY", "secret");
    let _roles = [world.api(), world.worker()];
    world.wait_for_tools();
    let file = world.path("operator.key");
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let operator = fs::read_to_string(file).unwrap();

    let agents = [
        ("local", world.client().await),
        ("legacy", world.client_with_key("secret").await),
    ];
    let operator = world.client_with_key(operator.trim()).await;
    let mut jobs = Vec::new();
    for (agent, client) in &agents {
        let answer = client
            .call("demo_text__echo", json!({"message": agent}))
            .await;
        jobs.push(job_of(&answer));
    }
    for (own, (agent, client)) in agents.iter().enumerate() {
        assert_eq!(listed(client, json!({})).await, [jobs[own].clone()]);
        assert_eq!(
            client.json("jobs__get", json!({"id": jobs[own]})).await["agent"],
            *agent
        );
        let foreign = &jobs[1 - own];
        for tool in [
            "jobs__get",
            "jobs__wait",
            "jobs__output",
            "jobs__events",
            "jobs__cancel",
        ] {
            let refused = client.call(tool, json!({"id": foreign})).await;
            assert_eq!(
                failure_of(&refused),
                (
                    "no_such_job".to_owned(),
                    format!("There is no job {foreign}.")
                ),
                "{tool}"
            );
        }
        let other = agents[1 - own].0;
        assert_eq!(
            listed(client, json!({"agent": other})).await,
            Vec::<String>::new()
        );
        assert_eq!(
            listed(&operator, json!({"agent": agent})).await,
            [jobs[own].clone()]
        );
    }
    assert_eq!(
        listed(&operator, json!({})).await,
        [jobs[1].clone(), jobs[0].clone()]
    );
    assert_eq!(
        operator.json("jobs__get", json!({"id": jobs[0]})).await["agent"],
        "local"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_can_be_switched_off_as_a_whole() {
    let mut world = World::new()
        .with("MCP_AUTH_DISABLED", "Yes")
        .with("MCP_AUTH_ALLOW_LOOPBACK", "0")
        .with("MCP_API_KEY", "secret");
    let _api = world.api();
    for transport in TRANSPORTS {
        let mut session = Session::open(&world, transport).await;
        assert_eq!(session.call("health", json!({})).await["isError"], false);
    }
    let any = world.client_with_key("any").await;
    assert_eq!(any.json("jobs__list", json!({})).await, json!({"jobs": []}));
}

fn refused_with_401(reply: &Reply) {
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (401, r#"{"error":"unauthorized"}"#)
    );
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
}

/// The ids of the jobs that a caller sees.
async fn listed(client: &Client, filter: Value) -> Vec<String> {
    let listing = client.json("jobs__list", filter).await;
    let jobs = listing["jobs"].as_array().unwrap().iter();
    jobs.map(|job| job["id"].as_str().unwrap().to_owned())
        .collect()
}
