use smcp_common::sandbox::{Finding, State};

use super::super::facts::{Cgroup, Lack, Namespaces, Platform};
use super::*;

const LINUX: Platform = Platform {
    linux: true,
    container: false,
    apparmor: false,
};

fn lack<T>() -> Result<T, Lack> {
    Err(Lack::new("EPERM"))
}

/// A machine of today with all that an unprivileged worker can have.
fn whole() -> Facts {
    Facts {
        user: User::Own,
        namespaces: Ok(Namespaces::OfUser),
        landlock: Ok(7),
        seccomp: Ok(()),
        cgroup: Ok(Cgroup {
            memory: true,
            pids: true,
            cpu: true,
            kill: true,
        }),
        platform: LINUX,
    }
}

/// The same without a cgroup of its own, as started from a shell.
fn shell() -> Facts {
    Facts {
        cgroup: lack(),
        ..whole()
    }
}

/// The same where namespaces are forbidden, as in a container.
fn container(abi: u32) -> Facts {
    Facts {
        namespaces: lack(),
        landlock: Ok(abi),
        ..shell()
    }
}

/// Nothing but the limits of processes.
fn bare() -> Facts {
    Facts {
        landlock: lack(),
        seccomp: lack(),
        ..container(1)
    }
}

fn root(facts: Facts) -> Facts {
    Facts {
        user: User::Root(Lack::new("no CAP_SETUID")),
        ..facts
    }
}

fn pool(facts: Facts) -> Facts {
    let namespaces = facts.namespaces.map(|_| Namespaces::OfRoot);
    Facts {
        user: User::Pool,
        namespaces,
        ..facts
    }
}

/// One letter a key, in the order of [`Key::ALL`]: enforced, partial, absent.
fn letters(facts: &Facts) -> String {
    let report = report(facts, Require::None);
    let letter = |key: &Key| match report.keys[key].state {
        State::Enforced => 'E',
        State::Partial => 'P',
        State::Absent => 'A',
    };
    Key::ALL.iter().map(letter).collect()
}

#[test]
fn every_combination_comes_to_its_tier_and_its_states() {
    use Tier::{Contained, Isolated, LimitsOnly, Restricted};
    let no_landlock = |facts| Facts {
        landlock: lack(),
        ..facts
    };
    let no_seccomp = |facts| Facts {
        seccomp: lack(),
        ..facts
    };
    let foreign = Facts {
        platform: Platform {
            linux: false,
            ..LINUX
        },
        ..bare()
    };
    // Files, disk, network (none, proxy, ports), memory, processes, processor, isolation, privileges, calls, tree.
    let rows = [
        ("whole", whole(), Contained, "EEEEEEEEEEEE"),
        ("shell", shell(), Isolated, "EEEEEPEPEEEE"),
        ("shell of root", pool(shell()), Isolated, "EEEEEPEPEEEE"),
        (
            "Linux 6.1",
            Facts {
                landlock: Ok(2),
                ..shell()
            },
            Isolated,
            "EEEEAPEPEEEE",
        ),
        (
            "no Landlock",
            no_landlock(shell()),
            Restricted,
            "EEEEAPEPEEEE",
        ),
        (
            "no seccomp",
            no_seccomp(shell()),
            LimitsOnly,
            "EEPPPPEPEEAE",
        ),
        ("container", container(7), Restricted, "PPEPEPPPPEEP"),
        (
            "container of root",
            pool(container(7)),
            Restricted,
            "PPEPEPEPPEEP",
        ),
        (
            "container on Linux 6.1",
            container(2),
            Restricted,
            "PPEAAPPPPEEP",
        ),
        (
            "container of root on Linux 6.1",
            pool(container(2)),
            Restricted,
            "PPEAAPEPPEEP",
        ),
        (
            "seccomp alone",
            no_landlock(container(7)),
            LimitsOnly,
            "APEAAPPPPEEP",
        ),
        (
            "Landlock alone",
            no_seccomp(container(7)),
            LimitsOnly,
            "PPPAPPPPPEAP",
        ),
        ("nothing", bare(), LimitsOnly, "APAAAPPPAEAP"),
        ("nothing of root", pool(bare()), LimitsOnly, "APAAAPEPPEAP"),
        ("root", root(shell()), LimitsOnly, "EEEEEPAPEAEE"),
        ("another system", foreign, LimitsOnly, "APAAAPPPAPAP"),
    ];
    for (name, facts, expected, states) in rows {
        assert_eq!(
            (tier(&facts), &*letters(&facts)),
            (expected, states),
            "{name}"
        );
    }
}

#[test]
fn what_is_lacking_says_why_and_what_to_do() {
    let key = |facts: &Facts, key: Key| {
        let report = report(facts, Require::None);
        let Finding { by, why, fix, .. } = report.keys[&key].clone();
        (
            by.join(" + "),
            why.unwrap_or_default(),
            fix.unwrap_or_default(),
        )
    };
    let row = |by: &str, why: &str, fix: &str| (by.to_owned(), why.to_owned(), fix.to_owned());
    assert_eq!(
        key(&whole(), Key::Filesystem),
        row("mount namespace + Landlock ABI 7", "", "")
    );
    assert_eq!(
        key(&shell(), Key::Memory),
        row(
            "RLIMIT_AS and RLIMIT_DATA for each process",
            "each process may use as much; no cgroup: EPERM",
            "run the worker as a systemd service with Delegate=memory pids cpu (cgroup v2)"
        )
    );
    let docker = Facts {
        platform: Platform {
            container: true,
            ..LINUX
        },
        ..container(2)
    };
    assert_eq!(
        key(&docker, Key::Filesystem),
        row(
            "Landlock ABI 2 + seccomp denies chmod and its kin",
            "names, sizes and times of other files can be read, and the user's own files cut short, which Linux 6.2 or \
             newer prevents; no namespaces: EPERM",
            "start the container with a seccomp profile that allows user namespaces (--security-opt seccomp=FILE)"
        )
    );
    let ubuntu = Facts {
        platform: Platform {
            apparmor: true,
            ..LINUX
        },
        ..container(4)
    };
    assert!(key(&ubuntu, Key::Disk).2.contains("AppArmor profile"));
    let switched_off = Facts {
        namespaces: Err(Lack::with_fix("switched off", "switch it on")),
        ..shell()
    };
    assert_eq!(key(&switched_off, Key::Isolation).2, "switch it on");
    for facts in [whole(), shell(), container(1), bare(), root(bare())] {
        for (key, finding) in report(&facts, Require::None).keys {
            let is_enforced = finding.state == State::Enforced;
            assert_eq!(finding.why.is_none(), is_enforced, "{key}");
            assert_eq!(finding.fix.is_none(), is_enforced, "{key}");
            assert_eq!(
                finding.by.is_empty(),
                finding.state == State::Absent,
                "{key}"
            );
        }
    }
}

#[test]
fn the_demand_decides_whether_plugins_run_at_all() {
    let no_landlock = Facts {
        landlock: lack(),
        ..container(1)
    };
    let rows = [
        (container(1), Require::Restricted, true),
        (no_landlock.clone(), Require::Restricted, false),
        (no_landlock, Require::None, true),
        (bare(), Require::Strict, false),
        (shell(), Require::Strict, true),
        (root(whole()), Require::None, false),
        (root(whole()), Require::Restricted, false),
    ];
    for (facts, require, runs) in rows {
        let refusal = report(&facts, require).refusal;
        assert_eq!(refusal.is_none(), runs, "{require:?}: {refusal:?}");
    }
    assert_eq!(
        report(&bare(), Require::Restricted).refusal.unwrap(),
        "Plugins could be limited here, but not kept from files and processes: system calls cannot be filtered (EPERM). \
         Run a Linux with CONFIG_SECCOMP_FILTER; or let them run so by sandbox.require = \"none\" in smcp.toml."
    );
}

/// Every machine that can be told apart.
fn machines() -> Vec<Facts> {
    let mut machines = vec![whole()];
    let users = [User::Root(Lack::new("no")), User::Own, User::Pool];
    machines = each(&machines, &users, |facts, user| facts.user = user);
    let namespaces = [lack(), Ok(Namespaces::OfUser), Ok(Namespaces::OfRoot)];
    machines = each(&machines, &namespaces, |facts, namespaces| {
        facts.namespaces = namespaces;
    });
    let abis = [lack(), Ok(1), Ok(2), Ok(3), Ok(4), Ok(6), Ok(7)];
    machines = each(&machines, &abis, |facts, abi| facts.landlock = abi);
    machines = each(&machines, &[lack(), Ok(())], |facts, seccomp| {
        facts.seccomp = seccomp;
    });
    let switch = [false, true];
    machines = each(
        &machines,
        &[lack(), Ok(Cgroup::default())],
        |facts, cgroup| facts.cgroup = cgroup,
    );
    for set in [
        |cgroup: &mut Cgroup, on| cgroup.memory = on,
        |cgroup: &mut Cgroup, on| cgroup.pids = on,
        |cgroup: &mut Cgroup, on| cgroup.cpu = on,
        |cgroup: &mut Cgroup, on| cgroup.kill = on,
    ] {
        machines = each(&machines, &switch, |facts, on| {
            if let Ok(cgroup) = &mut facts.cgroup {
                set(cgroup, on);
            }
        });
    }
    machines
}

fn each<T: Clone>(machines: &[Facts], values: &[T], set: impl Fn(&mut Facts, T)) -> Vec<Facts> {
    let with = |facts: &Facts, value: &T| {
        let mut facts = facts.clone();
        set(&mut facts, value.clone());
        facts
    };
    machines
        .iter()
        .flat_map(|facts| values.iter().map(move |value| (facts, value)))
        .map(|(facts, value)| with(facts, value))
        .collect()
}

/// The same machine with one thing more or better, for each thing.
fn better(facts: &Facts) -> Vec<Facts> {
    let mut better = Vec::new();
    let mut add = |change: &dyn Fn(&mut Facts)| {
        let mut more = facts.clone();
        change(&mut more);
        better.push(more);
    };
    add(&|facts| {
        facts.user = match facts.user {
            User::Root(_) => User::Own,
            User::Own | User::Pool => User::Pool,
        }
    });
    for kind in [Namespaces::OfUser, Namespaces::OfRoot] {
        if facts.namespaces.is_err() {
            add(&|facts| facts.namespaces = Ok(kind));
        }
    }
    add(&|facts| facts.landlock = Ok(facts.landlock.as_ref().map_or(1, |abi| abi + 1)));
    add(&|facts| facts.seccomp = Ok(()));
    let totals = facts.totals();
    add(&|facts| facts.cgroup = Ok(totals));
    add(&|facts| {
        facts.cgroup = Ok(Cgroup {
            memory: true,
            ..totals
        });
    });
    add(&|facts| {
        facts.cgroup = Ok(Cgroup {
            pids: true,
            ..totals
        });
    });
    add(&|facts| {
        facts.cgroup = Ok(Cgroup {
            cpu: true,
            ..totals
        });
    });
    add(&|facts| {
        facts.cgroup = Ok(Cgroup {
            kill: true,
            ..totals
        });
    });
    better
}

#[test]
fn more_never_makes_it_worse() {
    let machines = machines();
    for facts in &machines {
        let before = report(facts, Require::Restricted);
        for more in better(facts) {
            let after = report(&more, Require::Restricted);
            assert!(after.tier >= before.tier, "{facts:?} -> {more:?}");
            assert!(
                after.refusal.is_none() || before.refusal.is_some(),
                "{facts:?} -> {more:?}"
            );
            for key in Key::ALL {
                assert!(
                    after.keys[&key].state >= before.keys[&key].state,
                    "{key}: {facts:?} -> {more:?}"
                );
            }
        }
    }
}
