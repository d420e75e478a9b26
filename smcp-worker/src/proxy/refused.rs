//! Why a connection is not made, and how a client is told.

use std::io;
use std::net::IpAddr;

use smcp_common::sandbox::Destination;

/// Why a connection is not made.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// The bytes are no HTTP request.
    #[error("the proxy cannot read this request: {0}")]
    Malformed(String),
    /// The head of the request does not end.
    #[error("the head of this request is longer than the proxy reads")]
    Long,
    /// The head of the request does not come.
    #[error("the head of this request has not arrived in time")]
    Slow,
    /// The token is missing or wrong.
    #[error(
        "the proxy wants the user name and password that the plugin's environment has in HTTPS_PROXY"
    )]
    Stranger,
    /// Something else than CONNECT.
    #[error(
        "the proxy passes on only CONNECT requests, which clients send for https:// addresses; plain http:// does not \
         go through"
    )]
    Method,
    /// The destination is not in the list.
    #[error("this plugin may not connect to {0}: `network.allow` must list \"{0}\"")]
    Unlisted(Destination),
    /// The name is one of this machine or its network.
    #[error(
        "this plugin may not connect to {0}: that is a name for this machine or its network, and `network.allow` must \
         also list the address behind it, with port {port}", port = .0.port
    )]
    Local(Destination),
    /// The name leads to this machine or its network.
    #[error(
        "this plugin may not connect to {asked}: that leads to {address}, which is no public address, and \
         `network.allow` must also list \"{found}\"", found = literal(*address, asked.port)
    )]
    Inward {
        /// What was asked for.
        asked: Destination,
        /// Where it leads.
        address: IpAddr,
    },
    /// The name leads nowhere.
    #[error("{asked} cannot be reached: its name cannot be resolved: {source}")]
    Unknown {
        /// What was asked for.
        asked: Destination,
        /// Why.
        source: io::Error,
    },
    /// Nobody answers.
    #[error("{asked} cannot be reached: {source}")]
    Unreachable {
        /// What was asked for.
        asked: Destination,
        /// Why.
        source: io::Error,
    },
    /// Too many connections.
    #[error("this plugin has {0} connections open, and may not have more at a time")]
    Crowded(usize),
}

impl Refused {
    /// The answer to the client, whole; the connection ends with it.
    pub(super) fn answer(&self) -> String {
        let (status, header) = match self {
            Self::Malformed(_) => ("400 Bad Request", ""),
            Self::Long => ("431 Request Header Fields Too Large", ""),
            Self::Slow => ("408 Request Timeout", ""),
            Self::Stranger => (
                "407 Proxy Authentication Required",
                "Proxy-Authenticate: Basic realm=\"smcp\"\r\n",
            ),
            Self::Method => ("405 Method Not Allowed", "Allow: CONNECT\r\n"),
            Self::Unlisted(_) | Self::Local(_) | Self::Inward { .. } => ("403 Forbidden", ""),
            Self::Unknown { .. } | Self::Unreachable { .. } => ("502 Bad Gateway", ""),
            Self::Crowded(_) => ("503 Service Unavailable", ""),
        };
        let text = format!("{self}\n");
        format!(
            "HTTP/1.1 {status}\r\n{header}Content-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: \
             close\r\n\r\n{text}",
            text.len()
        )
    }

    /// What was asked for, where that is known.
    pub(super) fn asked(&self) -> Option<&Destination> {
        match self {
            Self::Unlisted(asked)
            | Self::Local(asked)
            | Self::Inward { asked, .. }
            | Self::Unknown { asked, .. }
            | Self::Unreachable { asked, .. } => Some(asked),
            Self::Malformed(_)
            | Self::Long
            | Self::Slow
            | Self::Stranger
            | Self::Method
            | Self::Crowded(_) => None,
        }
    }
}

fn literal(address: IpAddr, port: u16) -> Destination {
    let host = address.to_string();
    Destination { host, port }
}
