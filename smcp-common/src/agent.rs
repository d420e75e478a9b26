//! Who calls: agents, their groups and their keys.

use std::collections::BTreeSet;

/// The agent of a request from this machine that presents no key.
pub const LOCAL: &str = "local";
/// The agent behind the shared keys `MCP_API_KEY` and `MCP_API_KEYS`.
pub const LEGACY: &str = "legacy";
/// The agent behind the key in the data directory.
pub const OPERATOR: &str = "operator";

/// The group whose members may call the tools of plugins, unless a rule says otherwise.
pub const USERS: &str = "users";
/// The group whose members administer this server.
pub const OPERATORS: &str = "operators";

/// The groups of an agent that nobody has to add; `None` for any other.
pub fn groups_of_builtin(agent: &str) -> Option<BTreeSet<String>> {
    let group = match agent {
        LOCAL | LEGACY => USERS,
        OPERATOR => OPERATORS,
        _ => return None,
    };
    Some(BTreeSet::from([group.to_owned()]))
}
