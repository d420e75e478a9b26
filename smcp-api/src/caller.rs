//! Who is calling, and how they came in.

use std::net::IpAddr;

use axum::http::request::Parts;
use rmcp::model::Extensions;
use smcp_common::job::Entrance;
use thiserror::Error;

/// One authenticated caller of one request.
///
/// The HTTP edge puts it into the extensions of the request; both MCP transports carry the request's
/// [`Parts`] to the handler, where [`Caller::of`] finds it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Name of the agent whose key was presented; [`LOCAL`](crate::auth::LOCAL) without a key.
    pub agent: String,
    /// The way in.
    pub transport: Transport,
    /// Address of the peer; `None` where there is none, as on standard input.
    pub address: Option<IpAddr>,
}

impl Caller {
    /// How it came in, for the audit record.
    pub fn entrance(&self) -> Entrance {
        Entrance {
            transport: self.transport.as_str(),
            address: self.address,
        }
    }

    /// Finds the caller of the MCP message that `extensions` belong to.
    ///
    /// # Errors
    /// [`UnknownCaller`] when no transport has put one there. There is no default: a message whose sender is
    /// unknown must not run as anybody.
    pub fn of(extensions: &Extensions) -> Result<&Self, UnknownCaller> {
        extensions
            .get::<Parts>()
            .and_then(|parts| parts.extensions.get::<Self>())
            .or_else(|| extensions.get::<Self>())
            .ok_or(UnknownCaller)
    }
}

/// The transport that a caller uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Plain HTTP, outside MCP.
    Http,
    /// `/sse` and `/messages/`, the HTTP+SSE transport of MCP 2024-11-05.
    Sse,
    /// `/mcp`, the Streamable HTTP transport.
    StreamableHttp,
    /// Standard input and output.
    Stdio,
}

impl Transport {
    /// The name that policies and audit records use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Sse => "sse",
            Self::StreamableHttp => "streamable_http",
            Self::Stdio => "stdio",
        }
    }
}

/// A message reached the handler without a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the transport did not say who is calling")]
pub struct UnknownCaller;

#[cfg(test)]
mod tests {
    use super::*;

    fn local() -> Caller {
        Caller {
            agent: "local".to_owned(),
            transport: Transport::Stdio,
            address: None,
        }
    }

    #[test]
    fn a_caller_is_found_beside_or_inside_the_request_parts() {
        let mut plain = Extensions::new();
        plain.insert(local());
        assert_eq!(Caller::of(&plain), Ok(&local()));

        let (mut parts, ()) = axum::http::Request::new(()).into_parts();
        parts.extensions.insert(local());
        let mut carried = Extensions::new();
        carried.insert(parts);
        assert_eq!(Caller::of(&carried), Ok(&local()));
    }

    #[test]
    fn an_absent_caller_is_an_error() {
        assert_eq!(Caller::of(&Extensions::new()), Err(UnknownCaller));
    }
}
