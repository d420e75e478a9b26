//! Whether an address may be listened on.

use std::net::IpAddr;

use thiserror::Error;

use crate::auth::AuthConfig;

/// Refuses to serve a network that could call without a key.
///
/// `host` is what was asked for and is used for the message only; `addresses` is what it resolves to. Every
/// address that other machines could reach counts, be it `0.0.0.0`, `::`, or one address of this machine.
///
/// # Errors
/// [`BindRefused`] when one of `addresses` is not a loopback address, no agent has a key, and authentication is
/// not disabled. The process should exit with status 2.
pub fn guard(host: &str, addresses: &[IpAddr], auth: &AuthConfig) -> Result<(), BindRefused> {
    let exposed = addresses
        .iter()
        .find(|address| !address.to_canonical().is_loopback());
    match exposed {
        Some(address) if !auth.has_agent_keys() && !auth.disabled => Err(BindRefused {
            host: host.to_owned(),
            address: *address,
        }),
        Some(_) | None => Ok(()),
    }
}

/// Listening would have let a network call without a key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "refusing to listen on {host} ({address}): other machines could call every tool without a key. \
     Add an agent (smcp agents add NAME), or set MCP_API_KEY, or listen on 127.0.0.1, or set MCP_AUTH_DISABLED=1 if something else keeps callers out"
)]
pub struct BindRefused {
    host: String,
    address: IpAddr,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{ApiKey, LEGACY, OPERATOR};

    const LOOPBACK: [&str; 4] = ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"];
    const EXPOSED: [&str; 6] = [
        "0.0.0.0",
        "::",
        "192.168.1.7",
        "10.0.0.1",
        "fe80::1",
        "::ffff:192.168.1.7",
    ];

    fn refused(addresses: &[&str], auth: &AuthConfig) -> bool {
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        guard("somewhere", &addresses, auth).is_err()
    }

    fn with_key_of(agent: &str) -> AuthConfig {
        AuthConfig {
            keys: vec![ApiKey::new(agent, "secret")],
            ..AuthConfig::default()
        }
    }

    #[test]
    fn d2_every_address_but_loopback_needs_a_key() {
        let disabled = AuthConfig {
            disabled: true,
            ..AuthConfig::default()
        };
        for address in EXPOSED {
            assert!(refused(&[address], &AuthConfig::default()), "{address}");
            assert!(refused(&[address], &with_key_of(OPERATOR)), "{address}");
            assert!(!refused(&[address], &with_key_of(LEGACY)), "{address}");
            assert!(!refused(&[address], &disabled), "{address}");
        }
        for address in LOOPBACK {
            assert!(!refused(&[address], &AuthConfig::default()), "{address}");
        }
    }

    #[test]
    fn a_key_in_the_database_is_enough() {
        let auth = AuthConfig {
            has_stored_keys: true,
            ..with_key_of(OPERATOR)
        };
        assert!(!refused(&["0.0.0.0"], &auth));
    }

    #[test]
    fn one_exposed_address_of_a_name_is_enough() {
        assert!(refused(&["127.0.0.1", "10.0.0.1"], &AuthConfig::default()));
    }

    #[test]
    fn the_message_says_what_to_do() {
        let refused = guard(
            "lan.example",
            &["10.0.0.1".parse().unwrap()],
            &AuthConfig::default(),
        );
        let message = refused.unwrap_err().to_string();
        for part in [
            "lan.example",
            "10.0.0.1",
            "MCP_API_KEY",
            "127.0.0.1",
            "MCP_AUTH_DISABLED=1",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }
}
