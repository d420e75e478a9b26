//! The head of a request: `CONNECT host:port`, with the token.

use std::net::Ipv6Addr;

use smcp_common::sandbox::Destination;

use super::refused::Refused;
use super::token::Token;

/// More header fields than any client sends to a proxy.
const FIELDS: usize = 64;

/// A request of somebody who has the token.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// Where to.
    pub(super) target: Destination,
    /// How many bytes it is long; what follows is meant for the target.
    pub(super) length: usize,
}

/// Reads what a client has sent so far; `None` if there must be more.
pub(super) fn read(bytes: &[u8], token: &Token) -> Result<Option<Request>, Refused> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut head = httparse::Request::new(&mut fields);
    let length = match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Refused::Long),
        Err(error) => return Err(Refused::Malformed(error.to_string())),
    };
    let mut shown = head
        .headers
        .iter()
        .filter(|field| field.name.eq_ignore_ascii_case("proxy-authorization"));
    // Two could be read one way here and another way by whoever added the second.
    match (shown.next(), shown.next()) {
        (Some(field), None) if token.admits(field.value) => {}
        _ => return Err(Refused::Stranger),
    }
    if head.method != Some("CONNECT") {
        return Err(Refused::Method);
    }
    let target = head.path.and_then(target).ok_or_else(|| {
        Refused::Malformed("CONNECT wants a host and a port, such as api.example.com:443".into())
    })?;
    Ok(Some(Request { target, length }))
}

/// `host:port`, stricter than in a list: an IPv6 address is in brackets, nothing else is, and a port is digits.
fn target(text: &str) -> Option<Destination> {
    let (host, port) = text.rsplit_once(':')?;
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let is_host = match address {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !host.contains(':'),
    };
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_host && is_port)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::token::tests::{SECRET, SHOWN};
    use super::*;

    fn status(head: &str) -> String {
        match read(head.as_bytes(), &Token::of(SECRET)) {
            Ok(None) => "more".into(),
            Ok(Some(request)) => request.target.to_string(),
            Err(refused) => refused.answer()[9..12].into(),
        }
    }

    #[test]
    fn a_request_names_a_host_and_a_port() {
        let rows = [
            ("example.com:443", "example.com:443"),
            ("EXAMPLE.com.:443", "example.com:443"),
            ("192.0.2.1:80", "192.0.2.1:80"),
            ("[2001:DB8:0::1]:80", "[2001:db8::1]:80"),
            ("2001:db8::1:80", "400"),
            ("[192.0.2.1]:80", "400"),
            ("[fe80::1%25eth0]:80", "400"),
            ("[::1:80", "400"),
            ("::1]:80", "400"),
            ("[[::1]]:80", "400"),
            ("example.com", "400"),
            ("example.com:", "400"),
            ("example.com:+443", "400"),
            ("example.com:0", "400"),
            ("example.com:65536", "400"),
            ("example.com:443/", "400"),
            (":443", "400"),
            (".:443", "400"),
            ("user@example.com:443", "400"),
            ("user:password@example.com:443", "400"),
            ("http://example.com:443", "400"),
            ("//example.com:443", "400"),
            ("exämple.com:443", "400"),
            ("example%2ecom:443", "400"),
            ("*", "400"),
        ];
        for (target, expected) in rows {
            let head = format!("CONNECT {target} HTTP/1.1\r\nProxy-Authorization: {SHOWN}\r\n\r\n");
            assert_eq!(status(&head), expected, "{target}");
        }
    }

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let shown = format!("Proxy-Authorization: {SHOWN}\r\n");
        let many = "X: y\r\n".repeat(FIELDS + 1);
        let rows = [
            (String::new(), "more"),
            ("CONN".into(), "more"),
            ("CONNECT a:1 HTTP/1.1\r\n".into(), "more"),
            (format!("CONNECT a:1 HTTP/1.1\r\n{shown}"), "more"),
            (format!("CONNECT a:1 HTTP/1.1\r\n{shown}\r\n"), "a:1"),
            (format!("CONNECT a:1 HTTP/1.0\r\n{shown}\r\n"), "a:1"),
            (
                format!("CONNECT a:1 HTTP/1.1\r\nHost: b:2\r\n{shown}\r\n"),
                "a:1",
            ),
            (format!("CONNECT a:1 HTTP/1.1\r\n{shown}{shown}\r\n"), "407"),
            ("CONNECT a:1 HTTP/1.1\r\n\r\n".into(), "407"),
            (
                "CONNECT a:1 HTTP/1.1\r\nAuthorization: Basic c21jcDpzZWNyZXQ=\r\n\r\n".into(),
                "407",
            ),
            ("GET http://a/ HTTP/1.1\r\n\r\n".into(), "407"),
            (format!("GET http://a:1/ HTTP/1.1\r\n{shown}\r\n"), "405"),
            (format!("GET / HTTP/1.1\r\n{shown}\r\n"), "405"),
            (format!("connect a:1 HTTP/1.1\r\n{shown}\r\n"), "405"),
            (format!("POST a:1 HTTP/1.1\r\n{shown}\r\n"), "405"),
            (format!("CONNECT a:1 HTTP/2.0\r\n{shown}\r\n"), "400"),
            (format!("CONNECT a:1\r\n{shown}\r\n"), "400"),
            (format!("CONNECT  a:1 HTTP/1.1\r\n{shown}\r\n"), "400"),
            (
                format!("CONNECT a:1 HTTP/1.1\r\nno field\r\n{shown}\r\n"),
                "400",
            ),
            (
                format!("CONNECT a:1 HTTP/1.1\r\nX : y\r\n{shown}\r\n"),
                "400",
            ),
            (
                format!("CONNECT a:1 HTTP/1.1\r\nX: y\r\n z\r\n{shown}\r\n"),
                "400",
            ),
            (
                format!("CONNECT a:1 HTTP/1.1\r\nX: \0\r\n{shown}\r\n"),
                "400",
            ),
            (format!("CONNECT a:1 HTTP/1.1\r\n{many}\r\n"), "431"),
            ("\x16\x03\x01\x02\x00\x01".into(), "400"),
            ("\x05\x01\x00".into(), "400"),
        ];
        for (head, expected) in rows {
            assert_eq!(status(&head), expected, "{head:?}");
        }
    }

    #[test]
    fn what_follows_the_head_is_for_the_target() {
        let head = format!("CONNECT a:1 HTTP/1.1\r\nProxy-Authorization: {SHOWN}\r\n\r\n");
        let bytes = format!("{head}hello");
        let request = read(bytes.as_bytes(), &Token::of(SECRET)).unwrap().unwrap();
        assert_eq!(request.length, head.len());
    }

    proptest! {
        #[test]
        fn random_bytes_lead_nowhere(bytes in proptest::collection::vec(any::<u8>(), 0..9000)) {
            prop_assert!(!matches!(read(&bytes, &Token::of(SECRET)), Ok(Some(_))));
        }

        #[test]
        fn a_damaged_request_leads_nowhere_else(at in 0..63_usize, byte: u8, cut in 0..90_usize) {
            let head = format!("CONNECT a:1 HTTP/1.1\r\nProxy-Authorization: {SHOWN}\r\n\r\n");
            let mut bytes = head.into_bytes();
            bytes[at] = byte;
            bytes.truncate(cut);
            if let Ok(Some(request)) = read(&bytes, &Token::of(SECRET)) {
                // The one byte that is the host, or the one that is the port, may be another.
                prop_assert_eq!(request.target.host.len(), 1);
                prop_assert_eq!(request.length, bytes.len());
            }
        }
    }
}
