//! Which connections a plugin's list allows: decisions without a network.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use smcp_common::sandbox::Destination;

use super::address::is_public;
use super::refused::Refused;

/// Names of this machine, its network, or the services of its provider, whatever they resolve to.
const LOCAL_NAMES: [&str; 6] = [
    "localhost",
    "local",
    "internal",
    "metadata",
    "instance-data",
    "metadata.azure.com",
];

/// Whom one plugin may reach.
#[derive(Debug)]
pub(super) struct Policy {
    names: HashSet<(String, u16)>,
    literals: HashSet<(IpAddr, u16)>,
}

/// How to get to a destination that is listed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It is an address.
    Straight(SocketAddr),
    /// It is a name, whose addresses [`Policy::among`] looks through.
    Resolve,
}

impl Policy {
    /// What `allow` allows.
    pub(super) fn new(allow: Vec<Destination>) -> Self {
        let (mut names, mut literals) = (HashSet::new(), HashSet::new());
        for Destination { host, port } in allow {
            match host.parse() {
                Ok(address) => _ = literals.insert((address, port)),
                Err(_) => _ = names.insert((plain(&host), port)),
            }
        }
        Self { names, literals }
    }

    /// How to get to `target`, if it is listed.
    pub(super) fn way(&self, target: &Destination) -> Result<Way, Refused> {
        let port = target.port;
        if let Ok(address) = target.host.parse::<IpAddr>() {
            return if self.literals.contains(&(address, port)) {
                Ok(Way::Straight(SocketAddr::new(address, port)))
            } else {
                Err(Refused::Unlisted(target.clone()))
            };
        }
        let host = plain(&target.host);
        if !self.names.contains(&(host.clone(), port)) {
            return Err(Refused::Unlisted(target.clone()));
        }
        // Not even asked for, where no answer would do.
        if is_local(&host) && !self.literals.iter().any(|&(_, listed)| listed == port) {
            return Err(Refused::Local(target.clone()));
        }
        Ok(Way::Resolve)
    }

    /// The addresses among `found`, those of the name `target`, that may be connected to, in their order; at least one.
    pub(super) fn among(
        &self,
        target: &Destination,
        found: &[IpAddr],
    ) -> Result<Vec<SocketAddr>, Refused> {
        let is_local = is_local(&plain(&target.host));
        let may = |address: IpAddr| {
            self.literals.contains(&(address, target.port)) || (!is_local && is_public(address))
        };
        let port = target.port;
        let allowed: Vec<_> = found
            .iter()
            .filter(|&&address| may(address))
            .map(|&address| SocketAddr::new(address, port))
            .collect();
        match found.first() {
            _ if !allowed.is_empty() => Ok(allowed),
            Some(_) if is_local => Err(Refused::Local(target.clone())),
            Some(&address) => Err(Refused::Inward {
                asked: target.clone(),
                address,
            }),
            None => Err(Refused::Unknown {
                asked: target.clone(),
                source: std::io::Error::other("it has no addresses"),
            }),
        }
    }
}

fn plain(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// Whether the plain name `host` is one of [`LOCAL_NAMES`] or below one.
fn is_local(host: &str) -> bool {
    LOCAL_NAMES.iter().any(|name| {
        host.strip_suffix(name)
            .is_some_and(|above| above.is_empty() || above.ends_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy(allow: &[&str]) -> Policy {
        Policy::new(allow.iter().map(|text| text.parse().unwrap()).collect())
    }

    fn decided(policy: &Policy, target: &str, found: &[&str]) -> String {
        let target: Destination = target.parse().unwrap();
        let found: Vec<IpAddr> = found.iter().map(|text| text.parse().unwrap()).collect();
        let way = policy.way(&target).and_then(|way| match way {
            Way::Straight(address) => Ok(vec![address]),
            Way::Resolve => policy.among(&target, &found),
        });
        match way {
            Ok(addresses) => {
                let shown: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                shown.join(" ")
            }
            Err(Refused::Unlisted(_)) => "unlisted".into(),
            Err(Refused::Local(_)) => "local".into(),
            Err(Refused::Inward { address, .. }) => format!("inward {address}"),
            Err(Refused::Unknown { .. }) => "unknown".into(),
            Err(other) => other.to_string(),
        }
    }

    #[test]
    fn only_what_is_listed_is_reached() {
        let allow = [
            "api.example.com:443",
            "Mixed.Example.COM.:443",
            "intranet.example.com:5432",
            "intranet.example.com:443",
            "10.0.0.7:5432",
            "127.0.0.1:8080",
            "localhost:8080",
            "localhost:443",
            "printer.local:443",
            "metadata.google.internal:80",
            "metadata:80",
            "localhost.example.com:443",
            "notlocal:443",
            "203.0.113.7:443",
            "[2001:db8::1]:443",
        ];
        let policy = policy(&allow);
        let rows: &[(&str, &[&str], &str)] = &[
            ("api.example.com:443", &["8.8.8.8"], "8.8.8.8:443"),
            ("API.example.com.:443", &["8.8.8.8"], "8.8.8.8:443"),
            ("mixed.example.com:443", &["8.8.8.8"], "8.8.8.8:443"),
            ("api.example.com:80", &["8.8.8.8"], "unlisted"),
            ("example.com:443", &["8.8.8.8"], "unlisted"),
            ("x.api.example.com:443", &["8.8.8.8"], "unlisted"),
            ("api.example.com.evil.org:443", &["8.8.8.8"], "unlisted"),
            ("8.8.8.8:443", &[], "unlisted"),
            ("api.example.com:443", &[], "unknown"),
            (
                "api.example.com:443",
                &["8.8.8.8", "2606:4700::1"],
                "8.8.8.8:443 [2606:4700::1]:443",
            ),
            (
                "api.example.com:443",
                &["127.0.0.1", "8.8.8.8"],
                "8.8.8.8:443",
            ),
            ("api.example.com:443", &["127.0.0.1"], "inward 127.0.0.1"),
            (
                "api.example.com:443",
                &["::ffff:10.0.0.7"],
                "inward ::ffff:10.0.0.7",
            ),
            (
                "api.example.com:443",
                &["169.254.169.254"],
                "inward 169.254.169.254",
            ),
            ("api.example.com:443", &["10.0.0.7"], "inward 10.0.0.7"),
            ("intranet.example.com:5432", &["10.0.0.7"], "10.0.0.7:5432"),
            (
                "intranet.example.com:5432",
                &["10.0.0.8", "10.0.0.7"],
                "10.0.0.7:5432",
            ),
            ("intranet.example.com:443", &["10.0.0.7"], "inward 10.0.0.7"),
            ("10.0.0.7:5432", &[], "10.0.0.7:5432"),
            ("10.0.0.7:443", &[], "unlisted"),
            ("[::ffff:10.0.0.7]:5432", &[], "unlisted"),
            ("127.0.0.1:8080", &[], "127.0.0.1:8080"),
            ("127.0.0.2:8080", &[], "unlisted"),
            ("[::1]:8080", &[], "unlisted"),
            ("169.254.169.254:80", &[], "unlisted"),
            ("203.0.113.7:443", &[], "203.0.113.7:443"),
            ("[2001:DB8:0::1]:443", &[], "[2001:db8::1]:443"),
            ("localhost:8080", &["::1", "127.0.0.1"], "127.0.0.1:8080"),
            ("localhost:8080", &["::1"], "local"),
            ("localhost:8080", &["8.8.8.8"], "local"),
            ("localhost:443", &["127.0.0.1"], "local"),
            ("printer.local:443", &["8.8.8.8"], "local"),
            ("metadata.google.internal:80", &["169.254.169.254"], "local"),
            ("metadata:80", &["169.254.169.254"], "local"),
            ("localhost.example.com:443", &["8.8.8.8"], "8.8.8.8:443"),
            ("notlocal:443", &["8.8.8.8"], "8.8.8.8:443"),
        ];
        for (target, found, expected) in rows {
            assert_eq!(
                &decided(&policy, target, found),
                expected,
                "{target} {found:?}"
            );
        }
    }

    #[test]
    fn an_address_may_be_listed_in_any_spelling() {
        let host = "2001:DB8:0:0::1".to_owned();
        let policy = Policy::new(vec![Destination { host, port: 443 }]);
        assert_eq!(
            decided(&policy, "[2001:db8::1]:443", &[]),
            "[2001:db8::1]:443"
        );
    }

    #[test]
    fn an_empty_list_allows_nothing() {
        let policy = policy(&[]);
        for target in [
            "api.example.com:443",
            "8.8.8.8:53",
            "127.0.0.1:80",
            "localhost:80",
        ] {
            assert_eq!(
                decided(&policy, target, &["8.8.8.8"]),
                "unlisted",
                "{target}"
            );
        }
    }

    #[test]
    fn a_local_name_is_not_resolved_in_vain() {
        let policy = policy(&["localhost:80", "db.internal:5432", "10.0.0.7:5432"]);
        let way = |target: &str| policy.way(&target.parse().unwrap());
        assert!(matches!(way("localhost:80"), Err(Refused::Local(_))));
        assert!(matches!(way("db.internal:5432"), Ok(Way::Resolve)));
    }

    proptest! {
        #[test]
        fn no_answer_leads_inward(found in proptest::collection::vec(any::<u128>(), 0..8), four: bool) {
            let policy = policy(&["api.example.com:443", "10.0.0.7:443"]);
            let target: Destination = "api.example.com:443".parse().unwrap();
            let found: Vec<IpAddr> = found
                .into_iter()
                .map(|bits| if four {
                    std::net::Ipv4Addr::from_bits(u32::try_from(bits >> 96).unwrap()).into()
                } else {
                    std::net::Ipv6Addr::from_bits(bits).into()
                })
                .collect();
            for address in policy.among(&target, &found).unwrap_or_default() {
                prop_assert!(is_public(address.ip()) || address.to_string() == "10.0.0.7:443");
                prop_assert!(found.contains(&address.ip()) && address.port() == 443);
            }
        }
    }
}
