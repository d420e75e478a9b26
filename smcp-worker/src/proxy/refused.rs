//! Why a connection is not made, and how a client is told.

use std::fmt;
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
    /// The answer to the client, whole; the connection ends with it. What `network.allow` misses is also in its first
    /// line, which is all that most clients show.
    pub(super) fn answer(&self) -> String {
        let missing = |missed: &dyn fmt::Display| {
            (403, format!("Forbidden: network.allow must list {missed}"))
        };
        let (code, reason) = match self {
            Self::Malformed(_) => (400, "Bad Request".into()),
            Self::Long => (431, "Request Header Fields Too Large".into()),
            Self::Slow => (408, "Request Timeout".into()),
            Self::Stranger => (407, "Proxy Authentication Required".into()),
            Self::Method => (405, "Method Not Allowed".into()),
            Self::Unlisted(asked) => missing(asked),
            Self::Local(asked) => missing(&format_args!("the address behind {asked}")),
            Self::Inward { asked, address } => missing(&literal(*address, asked.port)),
            Self::Unknown { .. } | Self::Unreachable { .. } => (502, "Bad Gateway".into()),
            Self::Crowded(_) => (503, "Service Unavailable".into()),
        };
        let field = match code {
            405 => "Allow: CONNECT\r\n",
            407 => "Proxy-Authenticate: Basic realm=\"smcp\"\r\n",
            _ => "",
        };
        let text = format!("{self}\n");
        let length = text.len();
        format!(
            "HTTP/1.1 {code} {reason}\r\n{field}Content-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{text}"
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_tells_what_is_missing() {
        let asked: Destination = "api.example.com:443".parse().unwrap();
        let address = "fd00::1".parse().unwrap();
        let rows = [
            (Refused::Unlisted(asked.clone()), "api.example.com:443"),
            (
                Refused::Local(asked.clone()),
                "the address behind api.example.com:443",
            ),
            (Refused::Inward { asked, address }, "[fd00::1]:443"),
        ];
        for (refused, missing) in rows {
            let answer = refused.answer();
            let (head, text) = answer.split_once("\r\n\r\n").unwrap();
            let first = format!("HTTP/1.1 403 Forbidden: network.allow must list {missing}");
            assert_eq!(head.lines().next(), Some(first.as_str()));
            assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", text.len())));
            assert_eq!(text, format!("{refused}\n"));
        }
    }
}
