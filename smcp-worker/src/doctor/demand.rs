//! What is demanded of a machine before it runs a plugin.

use smcp_common::sandbox::{Key, Network, Profile, Report, Require, State};

/// The keys of that profile that are not wholly enforced, in the order of [`Key::ALL`].
pub fn missing(report: &Report, profile: &Profile) -> Vec<Key> {
    let is_missing = |key: &Key| state(report, *key) != State::Enforced;
    keys(profile).into_iter().filter(is_missing).collect()
}

/// Why a plugin of that profile is not run; `None` where it is.
///
/// [`Require::Strict`] wants every key of the profile enforced, [`Require::Restricted`] none of them absent.
pub fn refusal(report: &Report, profile: &Profile) -> Option<String> {
    let by = format!("sandbox.require is \"{}\"", report.require.as_str());
    refusal_by(report, profile, report.require, &by)
}

/// The same where a rule wants what [`Require::Strict`] wants, whatever `sandbox.require` says.
pub fn refusal_of_rule(report: &Report, profile: &Profile) -> Option<String> {
    let by = "the rule that allows the call wants @sandbox(\"strict\")";
    refusal_by(report, profile, Require::Strict, by)
}

fn refusal_by(report: &Report, profile: &Profile, require: Require, by: &str) -> Option<String> {
    if let Some(refusal) = &report.refusal {
        return Some(refusal.clone());
    }
    let wanting: Vec<_> = missing(report, profile)
        .into_iter()
        .filter(|key| match require {
            Require::None => false,
            Require::Restricted => state(report, *key) == State::Absent,
            Require::Strict => true,
        })
        .collect();
    let (first, others) = wanting.split_first()?;
    let mut message = format!(
        "This machine cannot hold the plugin to its sandbox, and {by}: {}",
        clause(report, *first)
    );
    for key in others {
        message.push_str(&format!("; {}", clause(report, *key)));
    }
    message.push('.');
    let mut fixes: Vec<_> = wanting
        .iter()
        .filter_map(|key| report.keys.get(key)?.fix.as_deref())
        .collect();
    fixes.dedup();
    if !fixes.is_empty() {
        message.push_str(&format!(" To mend that: {}.", fixes.join("; ")));
    }
    message.push_str(" smcp doctor tells more.");
    Some(message)
}

/// What a profile depends on.
fn keys(profile: &Profile) -> Vec<Key> {
    let applies = |key: &Key| match key {
        Key::Filesystem
        | Key::Disk
        | Key::Processes
        | Key::Isolation
        | Key::Privileges
        | Key::Syscalls
        | Key::TreeKill => true,
        Key::NetworkNone => profile.network == Network::None,
        Key::NetworkProxy => matches!(profile.network, Network::Proxy(_)),
        Key::NetworkPorts => matches!(profile.network, Network::LoopbackPorts(_)),
        Key::Memory => profile.limits.memory_mb > 0,
        Key::Cpu => profile.limits.cpu_s > 0,
    };
    Key::ALL.into_iter().filter(applies).collect()
}

/// What a report does not speak of is not enforced.
fn state(report: &Report, key: Key) -> State {
    report
        .keys
        .get(&key)
        .map_or(State::Absent, |finding| finding.state)
}

/// `memory is partial (each process may use as much)`
fn clause(report: &Report, key: Key) -> String {
    let why = report.keys.get(&key).and_then(|found| found.why.as_deref());
    let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
    format!("{key} is {}{why}", state(report, key).as_str())
}

#[cfg(test)]
mod tests {
    use smcp_common::sandbox::Limits;

    use super::super::{Cgroup, Facts, Lack, Namespaces, Platform, User, report};
    use super::*;

    fn facts() -> Facts {
        Facts {
            user: User::Own,
            namespaces: Ok(Namespaces::OfUser),
            landlock: Ok(7),
            seccomp: Ok(()),
            cgroup: Err(Lack::new("not ours")),
            platform: Platform {
                linux: true,
                container: false,
                apparmor: false,
            },
        }
    }

    fn without_namespaces(abi: u32) -> Facts {
        Facts {
            namespaces: Err(Lack::new("EPERM")),
            landlock: Ok(abi),
            ..facts()
        }
    }

    fn profile(network: Network) -> Profile {
        Profile {
            network,
            ..Profile::default()
        }
    }

    #[test]
    fn only_what_a_profile_asks_for_can_be_missing() {
        let unlimited = Profile {
            limits: Limits {
                memory_mb: 0,
                cpu_s: 0,
                ..Limits::default()
            },
            ..Profile::default()
        };
        let proxy = || Network::Proxy(Vec::new());
        let ports = || Network::LoopbackPorts(vec![5432]);
        let old = || Facts {
            landlock: Ok(2),
            ..facts()
        };
        let rows = [
            (facts(), Profile::default(), vec![Key::Memory, Key::Cpu]),
            (facts(), unlimited.clone(), vec![]),
            (
                old(),
                profile(ports()),
                vec![Key::NetworkPorts, Key::Memory, Key::Cpu],
            ),
            (old(), profile(proxy()), vec![Key::Memory, Key::Cpu]),
            (
                without_namespaces(7),
                unlimited,
                vec![
                    Key::Filesystem,
                    Key::Disk,
                    Key::Processes,
                    Key::Isolation,
                    Key::TreeKill,
                ],
            ),
            (
                without_namespaces(7),
                profile(proxy()),
                vec![
                    Key::Filesystem,
                    Key::Disk,
                    Key::NetworkProxy,
                    Key::Memory,
                    Key::Processes,
                    Key::Cpu,
                    Key::Isolation,
                    Key::TreeKill,
                ],
            ),
        ];
        for (facts, profile, expected) in rows {
            let report = report(&facts, Require::None);
            assert_eq!(
                missing(&report, &profile),
                expected,
                "{:?}",
                profile.network
            );
        }
    }

    #[test]
    fn it_depends_on_the_demand_what_is_run() {
        let proxy = || profile(Network::Proxy(Vec::new()));
        let full = || profile(Network::Full);
        let whole = || Facts {
            cgroup: Ok(Cgroup {
                memory: true,
                pids: true,
                cpu: true,
                kill: true,
            }),
            ..facts()
        };
        let rows = [
            (whole(), Require::Strict, proxy(), true),
            (facts(), Require::Strict, full(), false),
            (facts(), Require::Restricted, proxy(), true),
            (without_namespaces(7), Require::Restricted, proxy(), true),
            (without_namespaces(2), Require::Restricted, proxy(), false),
            (without_namespaces(2), Require::Restricted, full(), true),
            (without_namespaces(2), Require::None, proxy(), true),
        ];
        for (facts, require, profile, runs) in rows {
            let said = refusal(&report(&facts, require), &profile);
            assert_eq!(said.is_none(), runs, "{require:?}: {said:?}");
        }
    }

    #[test]
    fn a_refusal_names_key_reason_and_remedy() {
        let report = report(&without_namespaces(2), Require::Restricted);
        let said = refusal(&report, &profile(Network::LoopbackPorts(vec![1]))).unwrap();
        assert_eq!(
            said,
            "This machine cannot hold the plugin to its sandbox, and sandbox.require is \"restricted\": network_ports is \
             absent (Landlock has ABI 2, and knows ports from ABI 4 on). To mend that: run Linux 6.7 or newer. \
             smcp doctor tells more."
        );
    }
}
