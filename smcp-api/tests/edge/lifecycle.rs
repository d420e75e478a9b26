//! Listening, and stopping.

use std::time::Duration;

use smcp_api::auth::AuthConfig;
use smcp_api::http_config::{HttpConfig, Limits};
use smcp_api::serve::{self, BindError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::http::Call;
use crate::server::{Server, config};
use crate::sse;
use crate::streamable_http::{Session, call_of};

#[tokio::test]
async fn shutdown_ends_open_streams_and_then_the_server() {
    let mut server = Server::start().await;
    let mut sse = Call::new("GET", "/sse").stream(server.address).await;
    assert_eq!(sse.next().await.unwrap().0, "endpoint");
    let initialize = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"0"}}}"#;
    let opened = Call::mcp(initialize).to(server.address).await;
    let id = opened.header("mcp-session-id").unwrap();
    let get = Call::new("GET", "/mcp")
        .header("accept", "text/event-stream")
        .header("mcp-session-id", id);
    let mut mcp = get.stream(server.address).await;

    server.shutdown.cancel();
    let ended = async {
        assert_eq!(sse.next().await, None);
        assert_eq!(mcp.next().await, None);
        (&mut server.task).await.unwrap();
    };
    timeout(Duration::from_secs(5), ended).await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

/// Each of them hears when to come back, and none holds the end up.
#[tokio::test(flavor = "multi_thread")]
async fn shutdown_tells_every_stream_when_to_come_back() {
    const EACH: usize = 100;
    let (mut server, worker) = Server::working(config()).await;
    let mut streams = Vec::new();
    let mut holds = Vec::new();
    let mut old = Vec::new();
    for n in 0..EACH {
        let session = Session::open(&server).await;
        streams.push(session.listen().await);
        let mut call = session.call(&format!("mcp {n}"), None).await;
        assert!(call.event().await.is_some(), "the receipt");
        streams.push(call);
        holds.push(worker.take().await);
        let session = sse::Session::open(&server, "ann").await;
        session.send(&call_of(&format!("sse {n}"))).await;
        holds.push(worker.take().await);
        old.push(session.events);
    }
    // They are being told of progress when it comes.
    let progress = async {
        for step in 1.. {
            for hold in &holds {
                worker.report(hold, step..=step, "goes on").await;
            }
        }
    };
    let ended = async {
        server.shutdown.cancel();
        for stream in streams {
            let rest = stream.rest().await;
            assert!(rest.contains("retry:"), "{rest}");
        }
        for events in old {
            let rest = events.rest().await;
            assert!(rest.contains("smcp/pending"), "{rest}");
            assert!(rest.contains("retry:"), "{rest}");
        }
        (&mut server.task).await.unwrap();
    };
    let long = config().limits.shutdown_timeout / 2;
    tokio::select! {
        () = progress => {}
        ended = timeout(long, ended) => ended.unwrap(),
    }
    for hold in holds {
        assert_eq!(worker.state(&hold.job), "running");
        worker.finish(hold, "done").await;
    }
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_keep_the_server_alive() {
    let defaults = config();
    let limits = Limits {
        shutdown_timeout: Duration::from_millis(100),
        ..defaults.limits
    };
    let mut server = Server::with(HttpConfig { limits, ..defaults }).await;
    let mut client = TcpStream::connect(server.address).await.unwrap();
    let unfinished = b"POST /mcp HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 10\r\n\r\n";
    client.write_all(unfinished).await.unwrap();
    let mut go_on = [0; 25];
    client.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    server.shutdown.cancel();
    timeout(Duration::from_secs(5), &mut server.task)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let defaults = config();
    let limits = Limits {
        head_timeout: Duration::from_millis(50),
        ..defaults.limits
    };
    let server = Server::with(HttpConfig { limits, ..defaults }).await;
    let mut client = TcpStream::connect(server.address).await.unwrap();
    client
        .write_all(b"GET /sse HTTP/1.1\r\nhost:")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let closed = client.read_to_end(&mut answer);
    timeout(Duration::from_secs(5), closed)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let server = Server::start().await;
    let port = server.address.port();
    let refused = serve::bind(&HttpConfig { port, ..config() })
        .await
        .unwrap_err();
    assert!(matches!(refused, BindError::InUse { .. }), "{refused:?}");
    let message = refused.to_string();
    assert!(
        message.contains(&port.to_string()) && message.contains("--port"),
        "{message}"
    );
}

#[tokio::test]
async fn the_guard_stands_before_the_socket() {
    for host in ["0.0.0.0", "::"] {
        let open = HttpConfig {
            host: host.to_owned(),
            auth: AuthConfig::default(),
            ..config()
        };
        let refused = serve::bind(&open).await.unwrap_err();
        assert!(matches!(refused, BindError::Refused(_)), "{refused:?}");
    }
}

#[tokio::test]
async fn localhost_is_listened_on_at_the_address_that_clients_try() {
    let by_name = HttpConfig {
        host: "localhost".to_owned(),
        ..config()
    };
    let bound = serve::bind(&by_name).await.unwrap();
    assert!(bound.address().ip().is_loopback());
    assert_ne!(bound.address().port(), 0);
}
