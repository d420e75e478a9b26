//! With real sockets: what a plugin gets, and what arrives at the other side.

use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::token::tests::{SECRET, SHOWN};
use super::*;

/// Nothing here takes longer; it only ends a test that hangs.
const LONG: Duration = Duration::from_secs(30);

fn proxy(allow: &[&str], limits: Limits) -> (Proxy, SocketAddr) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let allow = allow.iter().map(|text| text.parse().unwrap()).collect();
    let proxy = Proxy::serve_within(listener, allow, Token::of(SECRET), limits).unwrap();
    (proxy, address)
}

async fn target() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Says `head`; gets the status, all else that comes until the end of the head, and the connection.
async fn say(proxy: SocketAddr, head: &str) -> (u16, String, BufReader<TcpStream>) {
    let mut stream = BufReader::new(TcpStream::connect(proxy).await.unwrap());
    stream.write_all(head.as_bytes()).await.unwrap();
    let (status, head) = answer(&mut stream).await;
    (status, head, stream)
}

async fn answer(stream: &mut BufReader<TcpStream>) -> (u16, String) {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let line = timeout(LONG, stream.read_line(&mut head)).await.unwrap();
        assert_ne!(line.unwrap(), 0, "{head}");
    }
    (head[9..12].parse().unwrap(), head)
}

async fn connect(proxy: SocketAddr, target: &str) -> (u16, String, BufReader<TcpStream>) {
    let head = format!("CONNECT {target} HTTP/1.1\r\nProxy-Authorization: {SHOWN}\r\n\r\n");
    say(proxy, &head).await
}

/// What comes until the end.
async fn rest(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut text = String::new();
    let read = timeout(LONG, stream.read_to_string(&mut text)).await;
    read.unwrap().unwrap();
    text
}

async fn refused(proxy: SocketAddr, target: &str) -> (u16, String) {
    let (status, _, mut stream) = connect(proxy, target).await;
    (status, rest(&mut stream).await)
}

async fn nobody_came(listener: &TcpListener) -> bool {
    let came = timeout(Duration::from_millis(50), listener.accept()).await;
    came.is_err()
}

#[tokio::test]
async fn bytes_pass_both_ways_until_both_sides_end() {
    let (listener, to) = target().await;
    let (_proxy, at) = proxy(&[&to.to_string()], Limits::default());
    let (status, _, mut client) = connect(at, &to.to_string()).await;
    assert_eq!(status, 200);
    let (mut server, _) = listener.accept().await.unwrap();

    let question = "x".repeat(1 << 20);
    let (mut reader, mut writer) = client.get_mut().split();
    let asking = async {
        writer.write_all(question.as_bytes()).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let ((), heard) = tokio::join!(asking, rest(&mut server));
    assert_eq!(heard.len(), question.len());
    // The other way is still open.
    server.write_all(b"answer").await.unwrap();
    drop(server);
    assert_eq!(rest(&mut reader).await, "answer");
}

#[tokio::test]
async fn bytes_that_come_with_the_request_reach_the_server() {
    let (listener, to) = target().await;
    let (_proxy, at) = proxy(&[&to.to_string()], Limits::default());
    let head = format!("CONNECT {to} HTTP/1.1\r\nProxy-Authorization: {SHOWN}\r\n\r\nearly");
    let (status, _, mut client) = say(at, &head).await;
    assert_eq!(status, 200);
    client.get_mut().shutdown().await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    assert_eq!(rest(&mut server).await, "early");
}

#[tokio::test]
async fn what_is_not_listed_hears_nothing() {
    let (listener, to) = target().await;
    let other = format!("127.0.0.1:{}", if to.port() == 1 { 2 } else { 1 });
    let (_proxy, at) = proxy(&[&other, "example.com:443"], Limits::default());
    let (status, text) = refused(at, &to.to_string()).await;
    assert_eq!(status, 403);
    let expected =
        format!("this plugin may not connect to {to}: `network.allow` must list \"{to}\"\n");
    assert_eq!(text, expected);
    for target in [
        "169.254.169.254:80",
        "[fd00:ec2::254]:80",
        "EXAMPLE.org:443",
    ] {
        let (status, text) = refused(at, target).await;
        assert_eq!(status, 403, "{text}");
        assert!(text.contains(&target.to_ascii_lowercase()), "{text}");
    }
    assert!(nobody_came(&listener).await);
}

#[tokio::test]
async fn a_listed_name_leads_inward_only_where_the_address_is_listed_as_well() {
    let (listener, to) = target().await;
    let port = to.port();
    // What the resolver makes of 127.1 is 127.0.0.1, without asking anybody.
    let (localhost, short) = (format!("localhost:{port}"), format!("127.1:{port}"));
    let (_proxy, at) = proxy(&[&localhost, &short], Limits::default());
    let (status, text) = refused(at, &localhost).await;
    assert_eq!(status, 403);
    assert!(text.contains("a name for this machine"), "{text}");
    let (status, text) = refused(at, &short).await;
    assert_eq!(status, 403);
    let expected = format!(
        "this plugin may not connect to {short}: that leads to 127.0.0.1, which is no public address, and \
         `network.allow` must also list \"{to}\"\n"
    );
    assert_eq!(text, expected);
    assert!(nobody_came(&listener).await);

    let (_proxy, at) = proxy(&[&localhost, &short, &to.to_string()], Limits::default());
    for target in [localhost, short] {
        let (status, head, _client) = connect(at, &target).await;
        assert_eq!(status, 200, "{head}");
        listener.accept().await.unwrap();
    }
}

#[tokio::test]
async fn only_who_has_the_token_gets_anything() {
    let (listener, to) = target().await;
    let (_proxy, at) = proxy(&[&to.to_string()], Limits::default());
    let rows = [
        String::new(),
        "Proxy-Authorization: Basic c21jcDpzZWNyZXR=\r\n".into(),
        "Authorization: Basic c21jcDpzZWNyZXQ=\r\n".into(),
    ];
    for fields in rows {
        let (status, head, mut stream) =
            say(at, &format!("CONNECT {to} HTTP/1.1\r\n{fields}\r\n")).await;
        assert_eq!(status, 407);
        assert!(head.contains("\r\nProxy-Authenticate: Basic "), "{head}");
        assert!(rest(&mut stream).await.contains("HTTPS_PROXY"));
    }
    assert!(nobody_came(&listener).await);
}

#[tokio::test]
async fn only_connect_is_passed_on() {
    let (listener, to) = target().await;
    let limits = Limits {
        farewell: LONG,
        ..Limits::default()
    };
    let (_proxy, at) = proxy(&[&to.to_string()], limits);
    let head = format!("POST http://{to}/ HTTP/1.1\r\nProxy-Authorization: {SHOWN}\r\n\r\n");
    // Whatever a client goes on to send does not make it miss the answer.
    let body = "x".repeat(8 << 20);
    let (status, head, mut stream) = say(at, &(head + &body)).await;
    assert_eq!(status, 405);
    assert!(head.contains("\r\nAllow: CONNECT\r\n"), "{head}");
    assert!(rest(&mut stream).await.contains("https://"));
    assert!(nobody_came(&listener).await);
}

#[tokio::test]
async fn a_head_must_come_in_time_and_be_short() {
    let limits = Limits {
        head: Duration::from_millis(50),
        ..Limits::default()
    };
    let (_proxy, at) = proxy(&[], limits);
    assert_eq!(say(at, "CONNECT example.com:443 HTTP/1.1\r\n").await.0, 408);
    assert_eq!(say(at, "").await.0, 408);

    let (_proxy, at) = proxy(&[], Limits::default());
    let field = "x".repeat(8 * 1024);
    let (status, ..) = say(at, &format!("CONNECT a:1 HTTP/1.1\r\nX: {field}\r\n\r\n")).await;
    assert_eq!(status, 431);
    assert_eq!(say(at, "\x16\x03\x01\x02\x00\x01").await.0, 400);
}

#[tokio::test]
async fn what_cannot_be_reached_is_told() {
    let (listener, to) = target().await;
    drop(listener);
    let (_proxy, at) = proxy(&[&to.to_string()], Limits::default());
    let (status, text) = refused(at, &to.to_string()).await;
    assert_eq!(status, 502);
    assert!(
        text.starts_with(&format!("{to} cannot be reached: ")),
        "{text}"
    );
}

#[tokio::test]
async fn a_silent_connection_ends() {
    let (listener, to) = target().await;
    let limits = Limits {
        idle: Duration::from_millis(50),
        ..Limits::default()
    };
    let (_proxy, at) = proxy(&[&to.to_string()], limits);
    let (status, _, mut client) = connect(at, &to.to_string()).await;
    assert_eq!(status, 200);
    let (mut server, _) = listener.accept().await.unwrap();
    assert_eq!(rest(&mut client).await, "");
    assert_eq!(rest(&mut server).await, "");
}

#[tokio::test]
async fn connections_are_counted_and_given_back() {
    let (listener, to) = target().await;
    let limits = Limits {
        connections: 2,
        ..Limits::default()
    };
    let (_proxy, at) = proxy(&[&to.to_string()], limits);
    let first = connect(at, &to.to_string()).await;
    let second = connect(at, &to.to_string()).await;
    assert_eq!((first.0, second.0), (200, 200));
    let (status, text) = refused(at, &to.to_string()).await;
    assert_eq!(status, 503);
    assert!(text.contains("2 connections"), "{text}");
    drop((first, listener.accept().await.unwrap()));
    let again = async {
        while connect(at, &to.to_string()).await.0 != 200 {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, again).await.unwrap();
}

#[tokio::test]
async fn all_ends_with_the_proxy() {
    let (listener, to) = target().await;
    let own = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = own.local_addr().unwrap();
    let allow = vec![to.to_string().parse().unwrap()];
    let proxy = Proxy::serve(own, allow, Token::of(SECRET)).unwrap();
    let (status, _, mut client) = connect(at, &to.to_string()).await;
    assert_eq!(status, 200);
    let (mut server, _) = listener.accept().await.unwrap();
    drop(proxy);
    assert_eq!(rest(&mut client).await, "");
    assert_eq!(rest(&mut server).await, "");
    assert!(TcpStream::connect(at).await.is_err());
}

/// Python finds the proxy by its environment, and shows the token unasked: TLS begins at the other side. Where it is
/// refused, it says why.
#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "a client that people use, not a plugin"
)]
async fn python_gets_through() {
    let (listener, to) = target().await;
    let (_proxy, at) = proxy(&[&to.to_string()], Limits::default());
    let program = format!(
        "import urllib.request as web
try: web.urlopen('https://example.com/')
except OSError as error: print(error)
web.urlopen('https://{to}/')"
    );
    let mut python = tokio::process::Command::new("python3");
    python
        .args(["-I", "-c", &program])
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .envs(environment(at.port(), &Token::of(SECRET)))
        .kill_on_drop(true);
    let served = async {
        let (mut server, _) = listener.accept().await.unwrap();
        let mut hello = [0; 3];
        server.read_exact(&mut hello).await.unwrap();
        hello
    };
    let both = timeout(LONG, async { tokio::join!(python.output(), served) }).await;
    let (output, hello) = both.unwrap();
    assert_eq!(hello[..2], [0x16, 0x03], "no TLS handshake");
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains("network.allow must list example.com:443"),
        "{said}"
    );
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        complaint.to_ascii_lowercase().contains("ssl"),
        "{complaint}"
    );
}
