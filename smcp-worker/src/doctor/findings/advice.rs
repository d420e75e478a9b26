//! What an operator can do about what is missing, in clauses without a period.

use crate::doctor::facts::{Facts, Lack};

pub(super) fn namespaces_fix(facts: &Facts, lack: &Lack) -> String {
    let platform = facts.platform;
    if let Some(fix) = &lack.fix {
        return fix.clone();
    }
    if !platform.linux {
        foreign_fix()
    } else if platform.container {
        "start the container with a seccomp profile that allows user namespaces (--security-opt seccomp=FILE)"
            .to_owned()
    } else if platform.apparmor {
        "give the smcp binary an AppArmor profile that says 'userns,', or set \
         kernel.apparmor_restrict_unprivileged_userns=0"
            .to_owned()
    } else {
        "allow user namespaces (user.max_user_namespaces, kernel.unprivileged_userns_clone), and do not set \
         RestrictNamespaces in the worker's systemd unit"
            .to_owned()
    }
}

/// What mends files where neither namespaces nor Landlock are there: the one or the other.
pub(super) fn files_fix(facts: &Facts, namespaces: &Lack) -> String {
    let fix = namespaces_fix(facts, namespaces);
    if facts.landlock.is_ok() || !facts.platform.linux {
        fix
    } else {
        format!("{fix}; or {}", landlock_fix(facts))
    }
}

pub(super) fn landlock_fix(facts: &Facts) -> String {
    match &facts.landlock {
        Err(Lack { fix: Some(fix), .. }) => fix.clone(),
        Err(_) if !facts.platform.linux => foreign_fix(),
        Err(_) => {
            "run Linux 5.13 or newer with 'landlock' among its security modules (lsm=)".to_owned()
        }
        Ok(_) => "run Linux 6.7 or newer".to_owned(),
    }
}

pub(super) fn seccomp_fix(facts: &Facts, lack: &Lack) -> String {
    match &lack.fix {
        Some(fix) => fix.clone(),
        None if !facts.platform.linux => foreign_fix(),
        None => "run a Linux with CONFIG_SECCOMP_FILTER".to_owned(),
    }
}

pub(super) fn cgroup_fix(facts: &Facts) -> String {
    match &facts.cgroup {
        Err(Lack { fix: Some(fix), .. }) => fix.clone(),
        Ok(_) | Err(_) if !facts.platform.linux => foreign_fix(),
        Ok(_) | Err(_) if facts.platform.container => {
            "give the container a cgroup of its own that it can write to (--cgroupns=private, cgroup v2)".to_owned()
        }
        Ok(_) | Err(_) => {
            "run the worker as a systemd service with Delegate=memory pids cpu (cgroup v2)".to_owned()
        }
    }
}

pub(super) fn root_fix(lack: &Lack) -> String {
    let fix = "run the worker as a user of its own, or give root CAP_SETUID and CAP_SETGID";
    lack.fix.clone().unwrap_or_else(|| fix.to_owned())
}

pub(super) fn foreign_fix() -> String {
    "run the worker on Linux".to_owned()
}
