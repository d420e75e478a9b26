//! What a plugin shows to its proxy, so that nobody else on the machine can use it.

use std::ffi::OsString;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq as _;

const USER: &str = "smcp";

/// The secret of one sandbox's proxy.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    /// A new one: 128 random bits.
    pub(crate) fn random() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()))
    }

    /// Whether `header`, the value of `Proxy-Authorization`, shows it. Takes the same time for every wrong one of the
    /// right length.
    pub(super) fn admits(&self, header: &[u8]) -> bool {
        let header = header.trim_ascii();
        let Some(space) = header.iter().position(|&byte| byte == b' ') else {
            return false;
        };
        let (scheme, shown) = header.split_at(space);
        let expected = STANDARD.encode(format!("{USER}:{}", self.0));
        scheme.eq_ignore_ascii_case(b"basic")
            && bool::from(shown.trim_ascii().ct_eq(expected.as_bytes()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// The variables that lead a plugin to its proxy at `port` of 127.0.0.1: the usual ones, in both cases, for http, https
/// and everything else, no exceptions, and one that makes Node heed them.
pub(crate) fn environment(port: u16, token: &Token) -> Vec<(OsString, OsString)> {
    let proxy = format!("http://{USER}:{}@127.0.0.1:{port}", token.0);
    let used = [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
    ];
    let used = used.into_iter().map(|name| (name, proxy.as_str()));
    used.chain([
        ("NO_PROXY", ""),
        ("no_proxy", ""),
        ("NODE_USE_ENV_PROXY", "1"),
    ])
    .map(|(name, value)| (name.into(), value.into()))
    .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) const SECRET: &str = "secret";
    /// The value of `Proxy-Authorization` that shows it.
    pub(crate) const SHOWN: &str = "Basic c21jcDpzZWNyZXQ=";

    impl Token {
        pub(crate) fn of(secret: &str) -> Self {
            Self(secret.into())
        }
    }

    #[test]
    fn a_token_is_shown_as_basic_credentials() {
        let token = Token::of(SECRET);
        let rows = [
            (SHOWN, true),
            ("basic  c21jcDpzZWNyZXQ= ", true),
            ("Basic c21jcDpzZWNyZXR=", false),
            ("Basic c21jcDpzZWNyZX==", false),
            ("Basic c21jcDpzZWNyZXQ", false),
            ("Bearer c21jcDpzZWNyZXQ=", false),
            ("Basicc21jcDpzZWNyZXQ=", false),
            ("Basic", false),
            ("Basic ", false),
            ("", false),
            ("Basic secret", false),
        ];
        for (header, expected) in rows {
            assert_eq!(token.admits(header.as_bytes()), expected, "{header}");
        }
    }

    #[test]
    fn tokens_differ_and_are_not_shown() {
        let (one, other) = (Token::random(), Token::random());
        assert_ne!(one.0, other.0);
        assert_eq!(one.0.len(), 32);
        assert_eq!(format!("{one:?}"), "Token(..)");
    }

    #[test]
    fn the_environment_leads_everything_through_the_proxy() {
        let mut variables = environment(8080, &Token::of(SECRET));
        variables.sort();
        let shown: Vec<_> = variables
            .iter()
            .map(|(name, value)| format!("{}={}", name.display(), value.display()))
            .collect();
        let proxy = "http://smcp:secret@127.0.0.1:8080";
        let expected = [
            format!("ALL_PROXY={proxy}"),
            format!("HTTPS_PROXY={proxy}"),
            format!("HTTP_PROXY={proxy}"),
            "NODE_USE_ENV_PROXY=1".to_owned(),
            "NO_PROXY=".to_owned(),
            format!("all_proxy={proxy}"),
            format!("http_proxy={proxy}"),
            format!("https_proxy={proxy}"),
            "no_proxy=".to_owned(),
        ];
        assert_eq!(shown, expected);
    }
}
