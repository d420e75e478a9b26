//! Each key: how far it is kept, by what, and what is missing.

use smcp_common::sandbox::{Finding, Key, State};

use super::advice::{
    cgroup_fix, files_fix, foreign_fix, landlock_fix, namespaces_fix, root_fix, seccomp_fix,
};
use crate::doctor::facts::{Facts, Namespaces, User};

/// The first ABI of Landlock that has rules for TCP ports.
const ABI_TCP: u32 = 4;
/// The first that keeps signals within a sandbox.
const ABI_SCOPES: u32 = 6;
/// The first that protects files from being truncated.
const ABI_TRUNCATE: u32 = 3;

/// What is found of one key.
pub(super) fn finding(key: Key, facts: &Facts) -> Finding {
    match key {
        Key::Filesystem => filesystem(facts),
        Key::Disk => disk(facts),
        Key::NetworkNone => network_none(facts),
        Key::NetworkProxy => network_proxy(facts),
        Key::NetworkPorts => network_ports(facts),
        Key::Memory => memory(facts),
        Key::Processes => processes(facts),
        Key::Cpu => cpu(facts),
        Key::Isolation => isolation(facts),
        Key::Privileges => privileges(facts),
        Key::Syscalls => syscalls(facts),
        Key::TreeKill => tree_kill(facts),
    }
}

fn filesystem(facts: &Facts) -> Finding {
    let Err(namespaces) = &facts.namespaces else {
        let namespace = "mount namespace".to_owned();
        return enforced([namespace].into_iter().chain(landlock(facts)));
    };
    let fix = files_fix(facts, namespaces);
    if let Err(lack) = &facts.landlock {
        let why = format!(
            "neither namespaces ({}) nor Landlock ({})",
            namespaces.why, lack.why
        );
        return lacking(State::Absent, [], why, fix);
    }
    let shares_user = facts.user != User::Pool;
    let denies_chmod = shares_user && facts.seccomp.is_ok();
    let mut why = "names, sizes and times of other files can be read".to_owned();
    if shares_user && !denies_chmod {
        why.push_str(", and modes and times of the user's own changed");
    }
    if shares_user && facts.abi() < ABI_TRUNCATE {
        why.push_str(", and the user's own files cut short, which Linux 6.2 or newer prevents");
    }
    let by = landlock(facts)
        .into_iter()
        .chain(denies_chmod.then(|| "seccomp denies chmod and its kin".to_owned()));
    lacking(
        State::Partial,
        by,
        format!("{why}; no namespaces: {}", namespaces.why),
        fix,
    )
}

fn disk(facts: &Facts) -> Finding {
    match &facts.namespaces {
        Ok(_) => enforced(["size of the tmpfs".to_owned()]),
        Err(lack) => lacking(
            State::Partial,
            ["RLIMIT_FSIZE for each file".to_owned()],
            format!(
                "the number of files is not limited; no namespaces: {}",
                lack.why
            ),
            namespaces_fix(facts, lack),
        ),
    }
}

fn network_none(facts: &Facts) -> Finding {
    let namespace = namespace(facts, "network namespace");
    let filter = match &facts.seccomp {
        Ok(()) => {
            let filter = "seccomp denies sockets".to_owned();
            return enforced(namespace.into_iter().chain([filter]));
        }
        Err(lack) => lack,
    };
    let fix = seccomp_fix(facts, filter);
    if namespace.is_some() {
        let why = format!("VM sockets are not in it; no seccomp: {}", filter.why);
        lacking(State::Partial, namespace, why, fix)
    } else if facts.abi() >= ABI_TCP {
        let why = format!("TCP only; no seccomp: {}", filter.why);
        lacking(State::Partial, landlock(facts), why, fix)
    } else {
        lacking(
            State::Absent,
            [],
            format!("no seccomp: {}", filter.why),
            fix,
        )
    }
}

fn network_proxy(facts: &Facts) -> Finding {
    let filter = match &facts.seccomp {
        Ok(()) => "seccomp".to_owned(),
        Err(lack) => {
            let (state, why) = if facts.namespaces.is_ok() {
                (State::Partial, "VM sockets go past the proxy")
            } else {
                (State::Absent, "whatever is no TCP goes past the proxy")
            };
            let why = format!("{why}; no seccomp: {}", lack.why);
            let by = namespace(facts, "network namespace");
            return lacking(state, by, why, seccomp_fix(facts, lack));
        }
    };
    let Err(lack) = &facts.namespaces else {
        let by = ["network namespace", "the proxy's listener within it"];
        return enforced(by.map(ToOwned::to_owned).into_iter().chain([filter]));
    };
    let fix = namespaces_fix(facts, lack);
    if facts.abi() >= ABI_TCP {
        let by = [
            format!("Landlock ABI {}: the proxy's port alone", facts.abi()),
            filter,
        ];
        let why = format!(
            "that port can be reached at every address, not only the proxy's; no namespaces: {}",
            lack.why
        );
        lacking(State::Partial, by, why, fix)
    } else {
        let why = format!(
            "neither namespaces ({}) nor rules for ports ({})",
            lack.why,
            no_ports(facts)
        );
        lacking(State::Absent, [], why, fix)
    }
}

fn network_ports(facts: &Facts) -> Finding {
    if facts.abi() < ABI_TCP {
        return lacking(State::Absent, [], no_ports(facts), landlock_fix(facts));
    }
    match &facts.seccomp {
        Ok(()) => enforced(landlock(facts).into_iter().chain(["seccomp".to_owned()])),
        Err(lack) => lacking(
            State::Partial,
            landlock(facts),
            format!("TCP only, and not all of it; no seccomp: {}", lack.why),
            seccomp_fix(facts, lack),
        ),
    }
}

fn memory(facts: &Facts) -> Finding {
    if facts.totals().memory {
        return enforced(["cgroup memory.max".to_owned()]);
    }
    let by = ["RLIMIT_AS and RLIMIT_DATA for each process".to_owned()];
    let why = format!(
        "each process may use as much; {}",
        no_controller(facts, "memory")
    );
    lacking(State::Partial, by, why, cgroup_fix(facts))
}

fn processes(facts: &Facts) -> Finding {
    let rlimit = "RLIMIT_NPROC".to_owned();
    if facts.totals().pids {
        return enforced(["cgroup pids.max".to_owned()]);
    }
    match (&facts.user, &facts.namespaces) {
        (User::Root(lack), _) => {
            let why = format!("limits do not hold root: {}", lack.why);
            lacking(State::Absent, [], why, root_fix(lack))
        }
        (User::Pool, _) => enforced([format!("{rlimit} of a user of its own")]),
        (User::Own, Ok(Namespaces::OfUser)) => enforced([format!("{rlimit} in a user namespace")]),
        (User::Own, Ok(Namespaces::OfRoot) | Err(_)) => {
            let why = format!(
                "a budget shared with the user's other processes; {}",
                no_controller(facts, "pids")
            );
            lacking(State::Partial, [rlimit], why, cgroup_fix(facts))
        }
    }
}

fn cpu(facts: &Facts) -> Finding {
    if facts.totals().cpu {
        return enforced(["cgroup cpu.stat".to_owned()]);
    }
    let by = ["RLIMIT_CPU for each process".to_owned()];
    let why = format!(
        "each process may use as much; {}",
        no_controller(facts, "processor time")
    );
    lacking(State::Partial, by, why, cgroup_fix(facts))
}

fn isolation(facts: &Facts) -> Finding {
    let scope = (facts.abi() >= ABI_SCOPES)
        .then(|| format!("Landlock ABI {}: no signals outwards", facts.abi()));
    let reads = facts
        .seccomp
        .is_ok()
        .then(|| "seccomp denies ptrace".to_owned());
    let own_user = (facts.user == User::Pool).then(|| "a user of its own".to_owned());
    let by = namespace(facts, "pid namespace")
        .into_iter()
        .chain(own_user)
        .chain(scope);
    let by: Vec<_> = by.collect();
    let Err(lack) = &facts.namespaces else {
        return enforced(by.into_iter().chain(reads));
    };
    let fix = namespaces_fix(facts, lack);
    let (state, why) = match (by.is_empty(), facts.landlock.is_ok() || reads.is_some()) {
        (false, _) => (State::Partial, "which processes there are can be seen"),
        (true, true) => (
            State::Partial,
            "processes of the same user can be signalled",
        ),
        (true, false) => (
            State::Absent,
            "processes of the same user can be read and signalled",
        ),
    };
    let by = by.into_iter().chain(reads);
    lacking(
        state,
        by,
        format!("{why}; no namespaces: {}", lack.why),
        fix,
    )
}

fn privileges(facts: &Facts) -> Finding {
    if let User::Root(lack) = &facts.user {
        let why = format!("a plugin would be root: {}", lack.why);
        return lacking(State::Absent, [], why, root_fix(lack));
    }
    if !facts.platform.linux {
        let why = "programs that give privileges are not kept from doing so";
        return lacking(
            State::Partial,
            ["never root".to_owned()],
            why,
            foreign_fix(),
        );
    }
    let user = match facts.user {
        User::Pool => "a user of its own",
        User::Own | User::Root(_) => "never root",
    };
    enforced(["no_new_privs", "no capabilities", user].map(ToOwned::to_owned))
}

fn syscalls(facts: &Facts) -> Finding {
    match &facts.seccomp {
        Ok(()) => enforced(["seccomp".to_owned()]),
        Err(lack) => lacking(
            State::Absent,
            [],
            format!("no seccomp: {}", lack.why),
            seccomp_fix(facts, lack),
        ),
    }
}

fn tree_kill(facts: &Facts) -> Finding {
    let kill = facts
        .totals()
        .kill
        .then(|| "cgroup.kill".to_owned())
        .into_iter()
        .chain(namespace(facts, "pid namespace"));
    let kill: Vec<_> = kill.collect();
    if !kill.is_empty() {
        return enforced(kill);
    }
    let sweep = ["the supervisor, which adopts and kills all descendants".to_owned()];
    let fix = match &facts.namespaces {
        Ok(_) => cgroup_fix(facts),
        Err(lack) => namespaces_fix(facts, lack),
    };
    if !facts.platform.linux {
        let why = "what leaves its process group is not found";
        return lacking(State::Partial, ["process group".to_owned()], why, fix);
    }
    let is_out_of_reach =
        facts.user == User::Pool || (facts.user == User::Own && facts.abi() >= ABI_SCOPES);
    let why = if is_out_of_reach {
        "what has left the plugin's session lives on where its supervisor is killed from outside"
    } else {
        "a plugin can kill its supervisor, and what it has started then lives on"
    };
    lacking(State::Partial, sweep, why, fix)
}

fn enforced(by: impl IntoIterator<Item = String>) -> Finding {
    Finding {
        state: State::Enforced,
        by: by.into_iter().collect(),
        why: None,
        fix: None,
    }
}

fn lacking(
    state: State,
    by: impl IntoIterator<Item = String>,
    why: impl Into<String>,
    fix: String,
) -> Finding {
    Finding {
        state,
        by: by.into_iter().collect(),
        why: Some(why.into()),
        fix: Some(fix),
    }
}

fn namespace(facts: &Facts, name: &str) -> Option<String> {
    facts.namespaces.is_ok().then(|| name.to_owned())
}

fn landlock(facts: &Facts) -> Option<String> {
    let abi = facts.landlock.as_ref().ok()?;
    Some(format!("Landlock ABI {abi}"))
}

/// Why there are no rules for ports.
fn no_ports(facts: &Facts) -> String {
    match &facts.landlock {
        Ok(abi) => format!("Landlock has ABI {abi}, and knows ports from ABI {ABI_TCP} on"),
        Err(lack) => format!("no Landlock: {}", lack.why),
    }
}

/// Why a total is not counted.
fn no_controller(facts: &Facts, name: &str) -> String {
    match &facts.cgroup {
        Ok(_) => format!("the worker's cgroup does not count {name}"),
        Err(lack) => format!("no cgroup: {}", lack.why),
    }
}
