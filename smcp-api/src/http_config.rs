//! What the HTTP edge needs to know, as plain values.

use std::time::Duration;

use crate::auth::AuthConfig;

/// Settings of the HTTP edge.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Address or host name to listen on.
    pub host: String,
    /// TCP port to listen on; 0 lets the system choose a free one.
    pub port: u16,
    /// Host names, each with an optional `:port`, under which clients may reach the server, beyond
    /// loopback names, IP addresses and `host`.
    pub allowed_hosts: Vec<String>,
    /// Origins (`scheme://host[:port]`) whose web pages may call, beyond loopback and the server itself.
    pub allowed_origins: Vec<String>,
    /// Who may call.
    pub auth: AuthConfig,
    /// Bounds on what one client can make the server hold or wait for.
    pub limits: Limits,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 8000,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            auth: AuthConfig::default(),
            limits: Limits::default(),
        }
    }
}

/// Bounds on what one client can make the server hold or wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest request body, in bytes.
    pub max_body_bytes: usize,
    /// Largest request head, in bytes.
    pub max_head_bytes: usize,
    /// Sessions that may be open at a time, on each transport.
    pub max_sessions: u32,
    /// Event streams that one session may have open at a time; over HTTP+SSE, calls that it may wait for.
    pub max_streams_per_session: u32,
    /// Longest time from connecting to a complete request head, and between two requests on one connection.
    pub head_timeout: Duration,
    /// Longest time for a request body to arrive.
    pub body_timeout: Duration,
    /// Longest time that a client may leave its receive window closed before it is disconnected.
    pub write_timeout: Duration,
    /// Longest time that a message waits for room in its session before the client is told to come again.
    pub inbox_timeout: Duration,
    /// Longest time that open connections may take to finish once the server stops.
    pub shutdown_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body_bytes: 4 * 1024 * 1024,
            max_head_bytes: 64 * 1024,
            max_sessions: 10_000,
            max_streams_per_session: 100,
            head_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            inbox_timeout: Duration::from_secs(5),
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}
