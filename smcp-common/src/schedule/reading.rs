//! A cron expression in plain English.

use chrono_tz::Tz;
use croner::Cron;

/// What the library says of the expression, as a phrase with the zone.
pub(super) fn of(cron: &Cron, zone: Tz) -> String {
    let said = cron.describe();
    let said = said.trim_end_matches('.');
    // "At every 15 minutes": the library's only slip in grammar.
    let said = match said.strip_prefix("At every") {
        Some(rest) => format!("Every{rest}"),
        None => said.to_owned(),
    };
    format!("{said}, in {}", zone.name())
}
