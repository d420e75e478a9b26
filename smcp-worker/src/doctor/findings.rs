//! From what was found to what holds, key by key.

mod advice;
mod keys;

use smcp_common::sandbox::{Key, Report, Require, Tier};

use self::advice::{files_fix, root_fix, seccomp_fix};
use self::keys::finding;
use super::facts::{Facts, User};

/// What those facts come to where `require` is demanded.
pub fn report(facts: &Facts, require: Require) -> Report {
    let tier = tier(facts);
    let keys = Key::ALL.map(|key| (key, finding(key, facts)));
    Report {
        tier,
        require,
        refusal: refusal(facts, tier, require),
        keys: keys.into(),
        self_test: None,
    }
}

/// The name for the whole. Files must be out of reach and system calls filtered for anything above limits.
pub fn tier(facts: &Facts) -> Tier {
    let has_namespaces = facts.namespaces.is_ok();
    let confines_files = has_namespaces || facts.landlock.is_ok();
    let totals = facts.totals();
    if matches!(facts.user, User::Root(_)) || facts.seccomp.is_err() || !confines_files {
        Tier::LimitsOnly
    } else if !has_namespaces || facts.landlock.is_err() {
        Tier::Restricted
    } else if totals.memory && totals.pids {
        Tier::Contained
    } else {
        Tier::Isolated
    }
}

/// Why no plugin is run at all.
fn refusal(facts: &Facts, tier: Tier, require: Require) -> Option<String> {
    if let User::Root(lack) = &facts.user {
        return Some(format!(
            "The worker is root, and plugins never run as root, but it cannot become another user: {}. {}.",
            lack.why,
            sentence(&root_fix(lack))
        ));
    }
    if require == Require::None || tier > Tier::LimitsOnly {
        return None;
    }
    let (lacking, fix) = match (&facts.namespaces, &facts.landlock, &facts.seccomp) {
        (_, _, Err(seccomp)) => (
            format!("system calls cannot be filtered ({})", seccomp.why),
            seccomp_fix(facts, seccomp),
        ),
        (Err(namespaces), Err(landlock), _) => (
            format!(
                "there are neither namespaces ({}) nor Landlock ({})",
                namespaces.why, landlock.why
            ),
            files_fix(facts, namespaces),
        ),
        (Ok(_), _, Ok(())) | (_, Ok(_), Ok(())) => return None,
    };
    Some(format!(
        "Plugins could be limited here, but not kept from files and processes: {lacking}. {}; or let them run so by \
         sandbox.require = \"none\" in smcp.toml.",
        sentence(&fix)
    ))
}

/// A clause as the beginning of a sentence.
fn sentence(clause: &str) -> String {
    let mut letters = clause.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
