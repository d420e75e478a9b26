//! Which names the server answers to, and which web pages may call it.
//!
//! A web page can make its own name resolve to 127.0.0.1 and so reach a server on the visitor's machine, past any
//! rule about addresses. What it cannot choose are the `Host` and `Origin` headers that the browser sends: the
//! first names the page's own host, the second the page. An IP address in `Host` needs no listing, since an
//! address does not resolve to anything else.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use thiserror::Error;

use crate::problem::Problem;

/// The hosts and origins that are let in.
#[derive(Debug, Clone)]
pub struct OriginPolicy {
    hosts: Vec<Place>,
    origins: Vec<Origin>,
}

impl OriginPolicy {
    /// Builds the policy of a server listening on `bound_host`.
    ///
    /// Entries of `allowed_hosts` are names with an optional `:port`, entries of `allowed_origins` are
    /// `scheme://host[:port]` or `null`.
    ///
    /// # Errors
    /// [`BadEntry`] when an entry cannot be read.
    pub fn new(
        bound_host: &str,
        allowed_hosts: &[String],
        allowed_origins: &[String],
    ) -> Result<Self, BadEntry> {
        let mut hosts = vec![Place::name("localhost"), Place::name(bound_host)];
        for entry in allowed_hosts {
            hosts.push(Place::parse(entry).ok_or_else(|| BadEntry::Host(entry.clone()))?);
        }
        let origins = allowed_origins
            .iter()
            .map(|entry| Origin::parse(entry).ok_or_else(|| BadEntry::Origin(entry.clone())))
            .collect::<Result<_, _>>()?;
        Ok(Self { hosts, origins })
    }

    /// Decides on a request for `uri` with these `headers`.
    ///
    /// # Errors
    /// 400 when `Host` is missing or unreadable, 403 when it or `Origin` is not let in; the message names the
    /// setting that would let it in.
    pub fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let host = host(headers)?;
        self.check_host(&host)?;
        // A request line may hold an authority of its own, which RFC 9112 lets overrule the header.
        if let Some(authority) = uri.authority() {
            self.check_host(&Place::parse(authority.as_str()).ok_or_else(bad_host)?)?;
        }
        match headers.get(ORIGIN) {
            Some(origin) => self.check_origin(origin, &host),
            None => Ok(()),
        }
    }

    fn check_host(&self, host: &Place) -> Result<(), Problem> {
        if host.ip().is_some() || self.hosts.iter().any(|entry| entry.admits(host)) {
            return Ok(());
        }
        let message = format!(
            "this server does not answer to the host name {:?}; to let it, add it to allowed_hosts",
            host.name
        );
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            "host_not_allowed",
            message,
        ))
    }

    fn check_origin(&self, header: &HeaderValue, host: &Place) -> Result<(), Problem> {
        let text = String::from_utf8_lossy(header.as_bytes());
        let admitted = Origin::parse(&text).is_some_and(|origin| {
            origin.is_loopback() || origin.is_at(host) || self.origins.contains(&origin)
        });
        if admitted {
            return Ok(());
        }
        let message = format!(
            "web pages of the origin {text:?} may not call this server; to let them, add it to allowed_origins"
        );
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            "origin_not_allowed",
            message,
        ))
    }
}

/// Lets a request pass, or answers it with what [`OriginPolicy::check`] says.
pub async fn admit(
    State(policy): State<Arc<OriginPolicy>>,
    request: Request,
    next: Next,
) -> Response {
    match policy.check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => {
            tracing::warn!(
                code = problem.code(),
                "request refused for its Host or Origin header"
            );
            problem.into_response()
        }
    }
}

/// An entry of the settings that names no host or origin.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadEntry {
    /// An entry of `allowed_hosts`.
    #[error("allowed_hosts: {0:?} is not a host name with an optional :port")]
    Host(String),
    /// An entry of `allowed_origins`.
    #[error("allowed_origins: {0:?} is not scheme://host with an optional :port")]
    Origin(String),
}

fn host(headers: &HeaderMap) -> Result<Place, Problem> {
    let mut values = headers.get_all(HOST).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(bad_host());
    };
    let text = value.to_str().map_err(|_| bad_host())?;
    Place::parse(text).ok_or_else(bad_host)
}

fn bad_host() -> Problem {
    let message =
        "a request needs exactly one Host, which is a name or address with an optional :port";
    Problem::new(StatusCode::BAD_REQUEST, "bad_host", message)
}

/// A host with or without a port, in the form that compares equal for equal meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    name: String,
    port: Option<u16>,
}

impl Place {
    fn name(name: &str) -> Self {
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        Self {
            // "localhost." is the same name, written in full.
            name: bare.trim_end_matches('.').to_ascii_lowercase(),
            port: None,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let authority: Authority = text.trim().parse().ok()?;
        // Nothing may stand beside host and port: with a user part, a name means less than it seems to say.
        let port = match authority.as_str().strip_prefix(authority.host())? {
            "" => None,
            rest => Some(rest.strip_prefix(':')?.parse().ok()?),
        };
        let place = Self {
            port,
            ..Self::name(authority.host())
        };
        (!place.name.is_empty()).then_some(place)
    }

    fn ip(&self) -> Option<IpAddr> {
        self.name.parse().ok()
    }

    fn admits(&self, host: &Self) -> bool {
        self.name == host.name && (self.port.is_none() || self.port == host.port)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    /// What a browser sends for a page without an origin of its own, such as a local file.
    Null,
    Page {
        scheme: String,
        place: Place,
    },
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        if text == "null" {
            return Some(Self::Null);
        }
        let (scheme, rest) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let mut place = Place::parse(rest)?;
        place.port = place.port.or_else(|| default_port(&scheme));
        Some(Self::Page { scheme, place })
    }

    /// True for every port: whoever serves pages on this machine can call without a browser as well.
    fn is_loopback(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Page { place, .. } => {
                place.name == "localhost"
                    || place.ip().is_some_and(|ip| ip.to_canonical().is_loopback())
            }
        }
    }

    /// True for the server's own pages: those of the host and port that the request was sent to.
    fn is_at(&self, host: &Place) -> bool {
        match self {
            Self::Null => false,
            Self::Page { scheme, place } => {
                place.name == host.name && place.port == host.port.or_else(|| default_port(scheme))
            }
        }
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> OriginPolicy {
        OriginPolicy::new(
            "Box.Example",
            &["smcp.example".to_owned(), "proxy.example:8443".to_owned()],
            &[
                "https://app.example".to_owned(),
                "https://dev.example:444".to_owned(),
            ],
        )
        .unwrap()
    }

    /// The code of the refusal, or "ok".
    fn verdict(uri: &str, host: Option<&str>, origin: Option<&str>) -> &'static str {
        let mut headers = HeaderMap::new();
        for (name, value) in [(HOST, host), (ORIGIN, origin)] {
            if let Some(value) = value {
                headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
        }
        match policy().check(&uri.parse().unwrap(), &headers) {
            Ok(()) => "ok",
            Err(problem) => problem.code(),
        }
    }

    #[test]
    fn hosts_are_loopback_names_addresses_and_the_listed() {
        let rows = [
            (Some("localhost"), "ok"),
            (Some("LOCALHOST.:8000"), "ok"),
            (Some("127.0.0.1:8000"), "ok"),
            (Some("[::1]:8000"), "ok"),
            (Some("192.168.1.7:8000"), "ok"),
            (Some("[fe80::1]"), "ok"),
            (Some("box.example:1"), "ok"),
            (Some("smcp.example"), "ok"),
            (Some("smcp.example:9"), "ok"),
            (Some("proxy.example:8443"), "ok"),
            (Some("proxy.example"), "host_not_allowed"),
            (Some("proxy.example:8444"), "host_not_allowed"),
            (Some("evil.example"), "host_not_allowed"),
            (Some("localhost.evil.example"), "host_not_allowed"),
            (Some("127.0.0.1.evil.example"), "host_not_allowed"),
            (Some("localhost@evil.example"), "bad_host"),
            (Some("localhost:99999"), "bad_host"),
            (Some("localhost:"), "bad_host"),
            (Some(""), "bad_host"),
            (Some("a b"), "bad_host"),
            (None, "bad_host"),
        ];
        for (host, expect) in rows {
            assert_eq!(verdict("/sse", host, None), expect, "{host:?}");
        }
    }

    #[test]
    fn d4_an_evil_host_is_refused_in_the_request_line_too() {
        assert_eq!(
            verdict("/sse", Some("evil.example"), None),
            "host_not_allowed"
        );
        assert_eq!(
            verdict("http://evil.example/sse", Some("localhost"), None),
            "host_not_allowed"
        );
    }

    #[test]
    fn origins_are_loopback_the_server_itself_and_the_listed() {
        let rows = [
            ("localhost:8000", "http://localhost:6274", "ok"),
            ("localhost:8000", "http://127.0.0.1", "ok"),
            ("localhost:8000", "http://[::1]:5", "ok"),
            ("smcp.example", "https://smcp.example", "ok"),
            ("smcp.example", "http://smcp.example:80", "ok"),
            ("smcp.example:8000", "http://smcp.example:8000", "ok"),
            (
                "smcp.example:8000",
                "http://smcp.example:9000",
                "origin_not_allowed",
            ),
            ("192.168.1.7:8000", "http://192.168.1.7:8000", "ok"),
            (
                "192.168.1.7:8000",
                "http://192.168.1.8:8000",
                "origin_not_allowed",
            ),
            ("localhost", "https://app.example", "ok"),
            ("localhost", "https://app.example:443", "ok"),
            ("localhost", "http://app.example", "origin_not_allowed"),
            ("localhost", "https://app.example:444", "origin_not_allowed"),
            ("localhost", "https://dev.example:444", "ok"),
            ("localhost", "http://evil.example", "origin_not_allowed"),
            (
                "localhost",
                "http://localhost.evil.example",
                "origin_not_allowed",
            ),
            (
                "localhost",
                "http://localhost@evil.example",
                "origin_not_allowed",
            ),
            ("localhost", "null", "origin_not_allowed"),
            ("localhost", "", "origin_not_allowed"),
            ("localhost", "grüß", "origin_not_allowed"),
        ];
        for (host, origin, expect) in rows {
            assert_eq!(
                verdict("/mcp", Some(host), Some(origin)),
                expect,
                "{host} {origin}"
            );
        }
    }

    #[test]
    fn two_host_headers_are_refused() {
        let mut headers = HeaderMap::new();
        headers.append(HOST, HeaderValue::from_static("localhost"));
        headers.append(HOST, HeaderValue::from_static("evil.example"));
        let refused = policy().check(&Uri::from_static("/"), &headers);
        assert_eq!(refused.unwrap_err().code(), "bad_host");
    }

    #[test]
    fn an_unreadable_entry_names_its_setting() {
        let host = OriginPolicy::new("x", &["a b".to_owned()], &[]);
        assert_eq!(host.unwrap_err(), BadEntry::Host("a b".to_owned()));
        let origin = OriginPolicy::new("x", &[], &["app.example".to_owned()]);
        assert_eq!(
            origin.unwrap_err(),
            BadEntry::Origin("app.example".to_owned())
        );
    }
}
