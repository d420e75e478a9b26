//! Requests that must not get through, and the few that must.

use serde_json::json;
use smcp_api::auth::AuthConfig;
use smcp_api::http_config::{HttpConfig, Limits};

use crate::http::Call;
use crate::server::{Server, config};

async fn strict() -> Server {
    let defaults = config();
    let auth = AuthConfig {
        allow_loopback: false,
        ..defaults.auth
    };
    Server::with(HttpConfig { auth, ..defaults }).await
}

#[tokio::test]
async fn every_route_but_health_wants_a_key() {
    let server = strict().await;
    for (method, path) in [
        ("GET", "/sse"),
        ("POST", "/sse"),
        ("POST", "/messages/"),
        ("GET", "/messages/"),
        ("POST", "/messages"),
        ("POST", "/mcp"),
        ("GET", "/mcp"),
        ("DELETE", "/mcp"),
        ("GET", "/"),
        ("GET", "/nowhere"),
    ] {
        for call in [
            Call::new(method, path),
            Call::new(method, path).key("wrong"),
        ] {
            let answer = call.to(server.address).await;
            assert_eq!(answer.status, 401, "{method} {path}");
            assert_eq!(answer.body, r#"{"error":"unauthorized"}"#);
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
            assert_eq!(answer.header("content-type"), Some("application/json"));
        }
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(Call::new("GET", path).to(server.address).await.status, 200);
    }
}

#[tokio::test]
async fn a_wrong_key_is_refused_on_loopback_too() {
    let server = Server::start().await;
    let answer = Call::new("GET", "/nowhere")
        .key("wrong")
        .to(server.address)
        .await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn d3_a_bearer_that_is_not_ascii_gets_401() {
    let server = strict().await;
    let call = Call::new("GET", "/sse").header("authorization", "Bearer grüß");
    assert_eq!(call.to(server.address).await.status, 401);
}

#[tokio::test]
async fn d4_an_evil_host_or_origin_gets_403_on_every_route() {
    let server = Server::start().await;
    for path in [
        "/sse",
        "/messages/",
        "/mcp",
        "/healthz",
        "/readyz",
        "/nowhere",
    ] {
        for method in ["GET", "POST"] {
            let host =
                Call::bare(&format!("{method} {path} HTTP/1.0")).header("host", "evil.example");
            let answer = host.to(server.address).await;
            assert_eq!(answer.status, 403, "{path}");
            assert_eq!(answer.json()["code"], "host_not_allowed");
            assert!(answer.body.contains("allowed_hosts"), "{}", answer.body);

            let origin = Call::new(method, path).header("origin", "http://evil.example");
            let answer = origin.to(server.address).await;
            assert_eq!(answer.status, 403, "{path}");
            assert_eq!(answer.json()["code"], "origin_not_allowed");
            assert!(answer.body.contains("allowed_origins"), "{}", answer.body);
        }
    }
}

#[tokio::test]
async fn a_request_without_a_host_gets_400() {
    let server = Server::start().await;
    let answer = Call::bare("GET /healthz HTTP/1.0").to(server.address).await;
    assert_eq!(
        (answer.status, &answer.json()["code"]),
        (400, &json!("bad_host"))
    );
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods_say_so() {
    let server = Server::start().await;
    let rows = [
        ("GET", "/", 404, "not_found"),
        ("GET", "/health", 404, "not_found"),
        ("GET", "/mcp/more", 404, "not_found"),
        ("GET", "/messages/", 405, "method_not_allowed"),
        ("GET", "/messages", 405, "method_not_allowed"),
        ("DELETE", "/sse", 405, "method_not_allowed"),
        ("POST", "/healthz", 405, "method_not_allowed"),
    ];
    for (method, path, status, code) in rows {
        let answer = Call::new(method, path).to(server.address).await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.json()["code"], code);
    }
    let answer = Call::new("GET", "/messages/").to(server.address).await;
    assert_eq!(answer.header("allow"), Some("POST"));
}

#[tokio::test]
async fn a_body_over_the_limit_gets_413() {
    let server = Server::start().await;
    let mut stream = Call::new("GET", "/sse").stream(server.address).await;
    let (_, endpoint) = stream.next().await.unwrap();
    // The second is read to its end although it is refused, so that its sender gets to read the answer.
    for length in [1001, 7000] {
        let body = "x".repeat(length);
        for call in [
            Call::mcp(body.as_str()),
            Call::new("POST", &endpoint).body(body.as_str()),
            Call::new("POST", "/sse").body(body.as_str()),
        ] {
            let answer = call.to(server.address).await;
            assert_eq!(answer.status, 413);
            assert_eq!(answer.json()["code"], "body_too_large");
            assert!(answer.body.contains("1000 bytes"), "{}", answer.body);
        }
    }
}

#[tokio::test]
async fn a_head_over_the_limit_gets_431() {
    let defaults = config();
    let limits = Limits {
        max_head_bytes: 16 * 1024,
        ..defaults.limits
    };
    let server = Server::with(HttpConfig { limits, ..defaults }).await;
    let with_header = |bytes: usize| {
        let call = Call::new("GET", "/healthz").header("x-large", &"x".repeat(bytes));
        call.status(server.address)
    };
    assert_eq!(with_header(15 * 1024).await, 200);
    assert_eq!(with_header(16 * 1024).await, 431);
}

#[tokio::test]
async fn readiness_tells_its_reasons() {
    let server = Server::not_ready("no_database").await;
    let answer = Call::new("GET", "/readyz").to(server.address).await;
    let reasons = json!([{ "code": "no_database", "message": "not yet" }]);
    assert_eq!(answer.status, 503);
    assert_eq!(
        answer.json(),
        json!({ "status": "not_ready", "reasons": reasons })
    );
    let healthz = Call::new("GET", "/healthz").to(server.address).await;
    assert_eq!(
        (healthz.status, healthz.json()),
        (200, json!({ "status": "ok" }))
    );
}
