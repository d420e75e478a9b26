//! A cron expression in a time zone.

use chrono::{DateTime, Datelike as _, SecondsFormat, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};
use croner::parser::{CronParser, Seconds, Year};
use serde::Serialize;

use super::reading;
use crate::clock::Timestamp;

/// The longest expression that is read.
pub const MAX_CRON_CHARS: usize = 200;

/// The fields with what each is called, in the order of an expression of six.
const FIELDS: [&str; 6] = [
    "second",
    "minute",
    "hour",
    "day of month",
    "month",
    "day of week",
];

/// A cron expression that has a next time, and the zone whose clocks it goes by.
#[derive(Debug, Clone)]
pub struct Cron {
    cron: croner::Cron,
    zone: Tz,
}

/// An expression or a zone that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// There is no such zone.
    #[error("'{name}' is no time zone; write an IANA name such as Europe/Berlin or UTC{}", hint(.like.as_deref()))]
    Zone {
        /// What was given.
        name: String,
        /// A zone that is spelled nearly so.
        like: Option<String>,
    },
    /// It is too long to be meant.
    #[error("a cron expression has at most {MAX_CRON_CHARS} characters, this one has {0}")]
    Long(usize),
    /// It has another number of fields.
    #[error(
        "'{0}' is no cron expression: it has 5 fields (minute, hour, day of month, month, day of week), 6 with seconds \
         before them, or is one of @hourly, @daily, @weekly, @monthly and @yearly"
    )]
    Fields(String),
    /// One of its fields cannot be read.
    #[error("'{cron}' is no cron expression: the {field} '{text}' cannot be read ({why})")]
    Field {
        /// The expression.
        cron: String,
        /// Which field: `hour`, `day of month`.
        field: &'static str,
        /// What stands there.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// No date fits it, as the 30th of February.
    #[error("'{0}' never comes: no date fits it")]
    Never(String),
}

/// An instant as the clocks of a zone show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LocalTime {
    /// RFC 3339 in UTC: `2026-11-23T08:00:00Z`.
    pub utc: String,
    /// The same with the zone's offset at that time: `2026-11-23T09:00:00+01:00`.
    pub local: String,
    /// `Monday` to `Sunday`, there and then.
    pub weekday: &'static str,
}

impl Cron {
    /// Reads an expression of 5 or 6 fields, or a name such as `@daily`, in an IANA time zone. It must have a time
    /// after `now`.
    ///
    /// # Errors
    /// [`CronError`], which says what is wrong and where.
    pub fn parse(expression: &str, zone: &str, now: Timestamp) -> Result<Self, CronError> {
        let cron = Self::read(expression, zone)?;
        if cron.next_after(now).is_none() {
            return Err(CronError::Never(expression.to_owned()));
        }
        Ok(cron)
    }

    /// The same of an expression that was once parsed, and may have no time left.
    ///
    /// # Errors
    /// [`CronError`], where this version of the program does not know the expression or the zone any more.
    pub fn read(expression: &str, zone: &str) -> Result<Self, CronError> {
        let zone = self::zone(zone)?;
        let chars = expression.chars().count();
        if chars > MAX_CRON_CHARS {
            return Err(CronError::Long(chars));
        }
        let parser = CronParser::builder()
            .seconds(Seconds::Optional)
            .year(Year::Disallowed)
            .build();
        let cron = parser
            .parse(expression)
            .map_err(|error| explain(parser, expression, &error))?;
        Ok(Self { cron, zone })
    }

    /// The first time after `instant`; always a whole second. None where no date fits any more.
    ///
    /// A fixed time of day that the clocks leave out in spring comes at the first instant after the gap, and one that they
    /// show twice in autumn comes once, the first time. What repeats within the hours follows the clocks: in a gap there
    /// is none of it, and in an overlap it comes twice.
    pub fn next_after(&self, instant: Timestamp) -> Option<Timestamp> {
        let from = DateTime::<Utc>::from_timestamp_millis(instant.as_millis())?;
        let next = self
            .cron
            .find_next_occurrence(&from.with_timezone(&self.zone), false)
            .ok()?;
        let next = Timestamp::from_millis(next.timestamp_millis());
        (next > instant).then_some(next)
    }

    /// The first `count` times after `instant`.
    pub fn upcoming(&self, instant: Timestamp, count: usize) -> Vec<Timestamp> {
        std::iter::successors(self.next_after(instant), |at| self.next_after(*at))
            .take(count)
            .collect()
    }

    /// The expression in plain English, with the zone: `At 09:00, on Monday, in Europe/Berlin`.
    pub fn reading(&self) -> String {
        reading::of(&self.cron, self.zone)
    }

    /// An instant as the clocks of the zone show it.
    pub fn local(&self, at: Timestamp) -> LocalTime {
        let utc = DateTime::<Utc>::from_timestamp_millis(at.as_millis()).unwrap_or_default();
        let local = utc.with_timezone(&self.zone);
        LocalTime {
            utc: utc.to_rfc3339_opts(SecondsFormat::AutoSi, true),
            local: local.to_rfc3339_opts(SecondsFormat::AutoSi, false),
            weekday: match local.weekday() {
                chrono::Weekday::Mon => "Monday",
                chrono::Weekday::Tue => "Tuesday",
                chrono::Weekday::Wed => "Wednesday",
                chrono::Weekday::Thu => "Thursday",
                chrono::Weekday::Fri => "Friday",
                chrono::Weekday::Sat => "Saturday",
                chrono::Weekday::Sun => "Sunday",
            },
        }
    }
}

fn zone(name: &str) -> Result<Tz, CronError> {
    name.parse().map_err(|_| {
        let fold = |text: &str| text.to_lowercase().replace([' ', '-'], "_");
        let wanted = fold(name);
        let like = TZ_VARIANTS.iter().map(|zone| zone.name()).find(|known| {
            let known = fold(known);
            known == wanted || (!wanted.is_empty() && known.ends_with(&format!("/{wanted}")))
        });
        CronError::Zone {
            name: name.chars().take(80).collect(),
            like: like.map(ToOwned::to_owned),
        }
    })
}

fn hint(like: Option<&str>) -> String {
    like.map_or_else(String::new, |like| format!("; did you mean {like}?"))
}

/// What is wrong, and in which field: each is tried by itself.
fn explain(parser: CronParser, expression: &str, error: &croner::errors::CronError) -> CronError {
    let given: Vec<_> = expression.split_whitespace().collect();
    let names = match given.len() {
        5 => &FIELDS[1..],
        6 => &FIELDS[..],
        _ => return CronError::Fields(expression.to_owned()),
    };
    let whole = [("expression", expression, reason(error))];
    let parts = names.iter().enumerate().filter_map(|(n, name)| {
        let mut alone = vec!["*"; given.len()];
        alone[n] = given[n];
        let error = parser.parse(&alone.join(" ")).err()?;
        Some((*name, given[n], reason(&error)))
    });
    let (field, text, why) =
        parts
            .chain(whole)
            .next()
            .unwrap_or(("expression", expression, String::new()));
    CronError::Field {
        cron: expression.to_owned(),
        field,
        text: text.to_owned(),
        why,
    }
}

/// The library's words without the name of its error.
fn reason(error: &croner::errors::CronError) -> String {
    use croner::errors::CronError as Theirs;
    let text = match error {
        Theirs::InvalidPattern(why)
        | Theirs::IllegalCharacters(why)
        | Theirs::ComponentError(why) => why.clone(),
        Theirs::EmptyPattern
        | Theirs::InvalidDate
        | Theirs::InvalidTime
        | Theirs::TimeSearchLimitExceeded => error.to_string(),
    };
    text.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests;
