//! A point in time as rules see it.

use chrono::{DateTime, Datelike as _, Timelike as _, Utc};
use chrono_tz::Tz;

use crate::clock::Timestamp;

/// A point in time on the calendar and the clocks of a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// 1 is Monday, 7 is Sunday.
    pub weekday: i64,
    /// Minutes since midnight by the clocks there.
    pub minute_of_day: i64,
}

impl Moment {
    /// `None` for times that no calendar has.
    pub(super) fn of(at: Timestamp, zone: Tz) -> Option<Self> {
        let there = DateTime::<Utc>::from_timestamp_millis(at.as_millis())?.with_timezone(&zone);
        Some(Self {
            weekday: i64::from(there.weekday().number_from_monday()),
            minute_of_day: i64::from(there.hour() * 60 + there.minute()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weekday_and_minute_are_those_of_the_zone() {
        let rows = [
            ("2026-11-29T23:30:00Z", "UTC", 7, 23 * 60 + 30),
            ("2026-11-29T23:30:00Z", "Europe/Berlin", 1, 30),
            ("2026-06-30T22:00:00Z", "Europe/Berlin", 3, 0),
            ("2026-11-30T04:59:59Z", "America/New_York", 7, 23 * 60 + 59),
            ("2026-11-30T00:00:00Z", "Asia/Kolkata", 1, 5 * 60 + 30),
        ];
        for (at, zone, weekday, minute_of_day) in rows {
            let moment = Moment::of(Timestamp::parse(at).unwrap(), zone.parse().unwrap());
            let expected = Moment {
                weekday,
                minute_of_day,
            };
            assert_eq!(moment, Some(expected), "{at} {zone}");
        }
        assert_eq!(Moment::of(Timestamp::from_millis(i64::MAX), Tz::UTC), None);
    }
}
