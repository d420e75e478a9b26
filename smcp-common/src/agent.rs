//! Who calls: agents, their groups and their keys.

use std::collections::BTreeSet;

/// The agent of a request from this machine that presents no key.
pub const LOCAL: &str = "local";
/// The agent behind the shared keys `MCP_API_KEY` and `MCP_API_KEYS`.
pub const LEGACY: &str = "legacy";
/// The agent behind the key in the data directory.
pub const OPERATOR: &str = "operator";
/// The agents that nobody has to add.
pub const BUILT_IN: [&str; 3] = [LEGACY, LOCAL, OPERATOR];

/// The group whose members may call the tools of plugins, unless a rule says otherwise.
pub const USERS: &str = "users";
/// The group whose members administer this server.
pub const OPERATORS: &str = "operators";

/// Whoever names no agent and is refused, in audit records.
pub const STRANGER: &str = "anonymous";

/// Names that audit records use for what is no agent.
const TAKEN: [&str; 2] = [STRANGER, "queue"];
/// The longest name, in characters.
const LONGEST: usize = 63;

/// The groups of an agent that nobody has to add, as long as nobody has changed them; `None` for any other.
pub fn groups_of_builtin(agent: &str) -> Option<BTreeSet<String>> {
    let group = match agent {
        LOCAL | LEGACY => USERS,
        OPERATOR => OPERATORS,
        _ => return None,
    };
    Some(BTreeSet::from([group.to_owned()]))
}

/// A name that an agent or a group cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// It has other characters, or too many.
    #[error(
        "'{0}' is no name: write 1 to 63 of a-z, 0-9, '.', '_' and '-', a letter or a digit first"
    )]
    Form(String),
    /// It means something else.
    #[error("'{0}' is a name that SMCP uses itself")]
    Reserved(String),
}

/// Whether an agent that is added may have that name.
///
/// # Errors
/// [`InvalidName`], which says what is expected.
pub fn check_name(name: &str) -> Result<(), InvalidName> {
    // Workers and schedules sign with a colon in their names, so that no agent can be taken for one.
    check_form(name)?;
    if BUILT_IN.contains(&name) || TAKEN.contains(&name) {
        return Err(InvalidName::Reserved(name.to_owned()));
    }
    Ok(())
}

/// Whether a group may have that name.
///
/// # Errors
/// [`InvalidName::Form`].
pub fn check_group(name: &str) -> Result<(), InvalidName> {
    check_form(name)
}

fn check_form(name: &str) -> Result<(), InvalidName> {
    let begins = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let fits = name.len() <= LONGEST
        && name.starts_with(begins)
        && name
            .chars()
            .all(|c| begins(c) || matches!(c, '.' | '_' | '-'));
    if fits {
        Ok(())
    } else {
        Err(InvalidName::Form(name.chars().take(80).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_not_taken() {
        for name in ["a", "7", "ci", "ci-2.staging_eu", &"x".repeat(63)] {
            assert_eq!(check_name(name), Ok(()), "{name}");
            assert_eq!(check_group(name), Ok(()), "{name}");
        }
        let form = |name: &str| Err(InvalidName::Form(name.to_owned()));
        for name in [
            "",
            "Ci",
            "-ci",
            ".ci",
            "_ci",
            "c i",
            "ci\n",
            "größe",
            "worker:1",
            &"x".repeat(64),
        ] {
            assert_eq!(check_name(name), form(name), "{name:?}");
            assert_eq!(check_group(name), form(name), "{name:?}");
        }
        for name in ["local", "legacy", "operator", "anonymous", "queue"] {
            assert_eq!(
                check_name(name),
                Err(InvalidName::Reserved(name.to_owned()))
            );
            assert_eq!(check_group(name), Ok(()), "{name}");
        }
    }
}
