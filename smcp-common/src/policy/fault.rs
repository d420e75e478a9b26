//! Why rules cannot be used.

use super::Problem;

/// Why rules cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// They are not rules.
    #[error("{}", lines(.0))]
    Rules(Vec<Problem>),
    /// This version of the program does not know the zone of their weekdays and times of day.
    #[error("rules cannot be used: there is no time zone '{0}'")]
    Zone(String),
    /// What was made for them is not as it must be.
    #[error("rules cannot be used: {0} cannot be made; please report this")]
    Internal(&'static str),
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}
