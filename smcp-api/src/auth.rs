//! Which agent an HTTP request comes from. Pure but for the look at the keys in the database; [`gate`](crate::gate) asks.
//!
//! A request carries a key in `Authorization: Bearer` or, failing that, in `X-API-Key`. A request without a key
//! may still be the agent [`LOCAL`], if it comes from this machine and the settings let it. `X-Forwarded-For` is
//! never looked at: anybody can write it.
//!
//! A key that is presented must be right, from this machine too. The Python SMCP lets loopback pass whatever it
//! presents; here that would run an agent whose key was revoked or mistyped under another name, with other rights.
//!
//! Keys of the settings are compared in constant time. Those of added agents are found in the database by their SHA-256
//! ([`StoredKeys`](crate::stored_keys::StoredKeys)): how long an index takes to find a digest tells about the digest of what was presented, which its
//! sender knows; towards 256 random bits that leads nowhere.

use std::fmt;
use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};
use smcp_common::queue::{Bearer, QueueError};
use subtle::ConstantTimeEq;
use thiserror::Error;

pub use smcp_common::agent::{LEGACY, LOCAL, OPERATOR};

/// Who may call over HTTP.
#[derive(Debug, Clone)]
pub struct AuthConfig {
    /// Every key that is good for something.
    pub keys: Vec<ApiKey>,
    /// Serves everybody as [`LOCAL`], and disarms the bind guard.
    pub disabled: bool,
    /// Serves requests from loopback addresses without a key.
    pub allow_loopback: bool,
    /// Whether an added agent has a key in the database, as far as that was known at the start: the bind guard asks.
    pub has_stored_keys: bool,
}

impl AuthConfig {
    /// True if an agent other than the operator has a key.
    ///
    /// The operator's key always exists, so it says nothing about whether somebody meant to let agents in.
    pub fn has_agent_keys(&self) -> bool {
        self.has_stored_keys || self.keys.iter().any(|key| key.agent != OPERATOR)
    }
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            disabled: false,
            allow_loopback: true,
            has_stored_keys: false,
        }
    }
}

/// A key and the agent that it stands for.
///
/// Only the SHA-256 digest is kept: it is all that a comparison needs, and digests have one length, so that the
/// time of a comparison says nothing about the length of a key.
#[derive(Clone)]
pub struct ApiKey {
    agent: String,
    digest: [u8; 32],
}

impl ApiKey {
    /// Registers `secret` as a key of `agent`.
    pub fn new(agent: impl Into<String>, secret: impl AsRef<[u8]>) -> Self {
        Self {
            agent: agent.into(),
            digest: digest(secret),
        }
    }
}

/// What is kept of a key. It has 256 random bits, or is compared with few others, so that a slow hash would win nothing.
pub fn digest(secret: impl AsRef<[u8]>) -> [u8; 32] {
    Sha256::digest(secret).into()
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey")
            .field("agent", &self.agent)
            .field("digest", &format_args!("***"))
            .finish()
    }
}

/// Whom a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The agent.
    pub agent: String,
    /// The key in the database by which it is known; `None` where that is another one, or none.
    pub key: Option<Bearer>,
}

impl Identity {
    fn of(agent: &str) -> Self {
        Self {
            agent: agent.to_owned(),
            key: None,
        }
    }
}

/// Names the agent that a request with these `headers` from `peer` belongs to; `stored` finds the keys in the database by
/// their digests.
///
/// # Errors
/// [`Unidentified::Unauthorized`] when the key is wrong, or when there is none and `peer` needs one; database errors.
pub fn authenticate(
    headers: &HeaderMap,
    peer: IpAddr,
    config: &AuthConfig,
    stored: impl FnOnce(&[u8; 32]) -> Result<Option<Bearer>, QueueError>,
) -> Result<Identity, Unidentified> {
    let from_loopback = peer.to_canonical().is_loopback();
    if config.keys.is_empty() && from_loopback {
        return Ok(Identity::of(LOCAL));
    }
    let Some(presented) = presented_key(headers).map(digest) else {
        let needs_none = config.disabled || (from_loopback && config.allow_loopback);
        return if needs_none {
            Ok(Identity::of(LOCAL))
        } else {
            Err(Unauthorized.into())
        };
    };
    if let Some(agent) = agent_of(&presented, &config.keys) {
        return Ok(Identity::of(agent));
    }
    match stored(&presented)? {
        Some(bearer) => Ok(Identity {
            agent: bearer.agent.clone(),
            key: Some(bearer),
        }),
        None if config.disabled => Ok(Identity::of(LOCAL)),
        None => Err(Unauthorized.into()),
    }
}

/// Why it is not known whom a request comes from.
#[derive(Debug, Error)]
pub enum Unidentified {
    /// It shows no key that is good for something.
    #[error(transparent)]
    Unauthorized(#[from] Unauthorized),
    /// Its key cannot be looked up.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// The answer to a request that names no agent; it never says whether the key was missing or wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no valid API key")]
pub struct Unauthorized;

/// Takes keys as bytes, since a header may hold any: text that is no ASCII is a wrong key, not a fault.
fn presented_key(headers: &HeaderMap) -> Option<&[u8]> {
    let bearer = headers
        .get_all(AUTHORIZATION)
        .iter()
        .find_map(|value| bearer_token(value.as_bytes()));
    bearer.or_else(|| {
        headers
            .get_all("x-api-key")
            .iter()
            .map(|value| value.as_bytes().trim_ascii())
            .find(|key| !key.is_empty())
    })
}

fn bearer_token(credentials: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer ";
    let (scheme, token) = credentials.trim_ascii().split_at_checked(SCHEME.len())?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(SCHEME) && !token.is_empty()).then_some(token)
}

fn agent_of<'a>(presented: &[u8; 32], keys: &'a [ApiKey]) -> Option<&'a str> {
    // Every key is compared, whatever an earlier one gave: the time must not tell which one matched.
    keys.iter().fold(None, |found, key| {
        let matches = bool::from(key.digest.ct_eq(presented));
        found.or(matches.then_some(key.agent.as_str()))
    })
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    const LAN: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 1, 7));
    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn config() -> AuthConfig {
        AuthConfig {
            keys: vec![
                ApiKey::new(LEGACY, "first"),
                ApiKey::new(LEGACY, "second"),
                ApiKey::new(OPERATOR, "boss"),
            ],
            ..AuthConfig::default()
        }
    }

    type Lines<'a> = &'a [(&'a str, &'a [u8])];

    fn headers(lines: Lines<'_>) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| {
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                (name, HeaderValue::from_bytes(value).unwrap())
            })
            .collect()
    }

    #[track_caller]
    fn check(lines: Lines<'_>, peer: IpAddr, config: &AuthConfig, expect: Option<&str>) {
        // The database knows one key, and no other reaches it but those that the settings do not know.
        let stored = |presented: &[u8; 32]| {
            assert!(agent_of(presented, &config.keys).is_none());
            Ok((*presented == digest("stored")).then(|| Bearer {
                agent: "ada".into(),
                key: "1".into(),
                last_used_at: None,
            }))
        };
        let identity = authenticate(&headers(lines), peer, config, stored);
        let agent = identity.map(|identity| identity.agent).ok();
        assert_eq!(agent.as_deref(), expect);
    }

    #[test]
    fn a_key_names_its_agent() {
        let rows: &[(Lines<'_>, Option<&str>)] = &[
            (&[("authorization", b"Bearer first")], Some(LEGACY)),
            (&[("authorization", b"bEaReR second")], Some(LEGACY)),
            (&[("authorization", b"Bearer   boss  ")], Some(OPERATOR)),
            (&[("x-api-key", b"boss")], Some(OPERATOR)),
            (&[("authorization", b"Bearer stored")], Some("ada")),
            (&[("x-api-key", b"stored")], Some("ada")),
            (
                &[("authorization", b"Bearer boss"), ("x-api-key", b"first")],
                Some(OPERATOR),
            ),
            (
                &[("authorization", b"Bearer nope"), ("x-api-key", b"first")],
                None,
            ),
            (
                &[("authorization", b"Bearer "), ("x-api-key", b"first")],
                Some(LEGACY),
            ),
            (
                &[
                    ("authorization", b"Basic Zmlyc3Q="),
                    ("x-api-key", b"first"),
                ],
                Some(LEGACY),
            ),
            (&[("authorization", b"first")], None),
            (&[("authorization", b"Bearer firs")], None),
            (&[("authorization", b"Bearer first second")], None),
            (&[("x-api-key", b"  ")], None),
            (&[("x-forwarded-for", b"127.0.0.1")], None),
            (&[], None),
        ];
        for (lines, expect) in rows {
            check(lines, LAN, &config(), *expect);
        }
    }

    #[test]
    fn d3_a_bearer_that_is_not_ascii_is_a_wrong_key() {
        check(
            &[("authorization", b"Bearer gru\xc3\x9f")],
            LAN,
            &config(),
            None,
        );
        check(&[("x-api-key", b"\xff\xfe")], LAN, &config(), None);
    }

    #[test]
    fn loopback_needs_no_key_but_a_wrong_one_is_refused() {
        let mapped = IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
        let other = IpAddr::V4(Ipv4Addr::new(127, 9, 9, 9));
        for peer in [LOOPBACK, other, mapped, IpAddr::V6(Ipv6Addr::LOCALHOST)] {
            check(&[], peer, &config(), Some(LOCAL));
            check(&[("x-api-key", b"boss")], peer, &config(), Some(OPERATOR));
            check(&[("x-api-key", b"nope")], peer, &config(), None);
        }
        let strict = AuthConfig {
            allow_loopback: false,
            ..config()
        };
        check(&[], LOOPBACK, &strict, None);
        check(&[("x-api-key", b"first")], LOOPBACK, &strict, Some(LEGACY));
    }

    #[test]
    fn without_keys_only_this_machine_is_served() {
        let open = AuthConfig {
            allow_loopback: false,
            ..AuthConfig::default()
        };
        check(&[], LOOPBACK, &open, Some(LOCAL));
        check(&[("x-api-key", b"any")], LOOPBACK, &open, Some(LOCAL));
        check(&[], LAN, &open, None);
    }

    #[test]
    fn disabled_serves_everybody_as_local() {
        let disabled = AuthConfig {
            disabled: true,
            ..config()
        };
        check(&[], LAN, &disabled, Some(LOCAL));
        check(&[("x-api-key", b"nope")], LAN, &disabled, Some(LOCAL));
        check(&[("x-api-key", b"stored")], LAN, &disabled, Some("ada"));
    }

    #[test]
    fn a_database_that_cannot_be_read_lets_nobody_in() {
        let headers = headers(&[("x-api-key", b"any")]);
        let refused = authenticate(&headers, LOOPBACK, &config(), |_| Err(QueueError::Busy));
        assert!(matches!(refused, Err(Unidentified::Queue(_))));
    }

    #[test]
    fn a_key_never_shows_itself() {
        let shown = format!("{:?}", config());
        assert!(shown.contains("***"), "{shown}");
        assert!(
            !shown.contains("first") && !shown.contains("boss"),
            "{shown}"
        );
    }
}
