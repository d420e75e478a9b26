//! The HTTP edge over real loopback sockets, with a small MCP handler behind it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "code that only tests use fails the test; clippy's test setting does not reach them"
)]

mod http;
mod lifecycle;
mod refusals;
mod server;
mod slow_readers;
mod sse;
mod streamable_http;
mod worker;
