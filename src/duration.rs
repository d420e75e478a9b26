//! Durations as people write and read them.

use std::fmt::Write as _;
use std::time::Duration;

/// Reads `90s`, `10m`, `1h30m` or `2d`: whole numbers, each with its unit, largest unit first or not.
///
/// # Errors
/// A sentence that says what is expected.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let expected = || {
        format!(
            "'{text}' is no duration: write a number with its unit, such as 90s, 10m, 1h30m or 2d"
        )
    };
    let mut seconds: u64 = 0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(expected());
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .ok_or_else(expected)?;
        let number: u64 = rest[..digits].parse().map_err(|_| expected())?;
        let (unit, after) = rest[digits..].split_at_checked(1).ok_or_else(expected)?;
        let of_unit = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 60 * 60,
            "d" => 24 * 60 * 60,
            _ => return Err(expected()),
        };
        let part = number.checked_mul(of_unit).ok_or_else(expected)?;
        seconds = seconds.checked_add(part).ok_or_else(expected)?;
        rest = after;
    }
    Ok(Duration::from_secs(seconds))
}

/// A duration in the two units that matter: `85 ms`, `1.2 s`, `3 m 20 s`, `2 h 5 m`, `3 d 4 h`.
pub(crate) fn render(duration: Duration) -> String {
    let s = duration.as_secs();
    match s {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3600 => pair(s / 60, "m", s % 60, "s"),
        3600..86_400 => pair(s / 3600, "h", s % 3600 / 60, "m"),
        _ => pair(s / 86_400, "d", s % 86_400 / 3600, "h"),
    }
}

fn pair(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    let mut text = format!("{large} {large_unit}");
    if small > 0 {
        // Writing to a String cannot fail.
        write!(text, " {small} {small_unit}").unwrap_or_default();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_units() {
        let rows = [
            ("90s", Some(90)),
            ("10m", Some(600)),
            ("1h30m", Some(5400)),
            ("2d", Some(172_800)),
            (" 1d1s ", Some(86_401)),
            ("0s", Some(0)),
            ("", None),
            ("10", None),
            ("m", None),
            ("10x", None),
            ("-1s", None),
            ("1.5h", None),
            ("1h 30m", None),
            ("10µ", None),
            ("99999999999999999999s", None),
            ("999999999999999999d", None),
        ];
        for (text, seconds) in rows {
            assert_eq!(parse(text).ok(), seconds.map(Duration::from_secs), "{text}");
        }
        assert!(parse("10").unwrap_err().contains("such as 90s"));
    }

    #[test]
    fn durations_are_shown_in_the_units_that_matter() {
        let rows = [
            (85, "85 ms"),
            (1_234, "1.2 s"),
            (60_000, "1 m"),
            (200_000, "3 m 20 s"),
            (7_500_000, "2 h 5 m"),
            (273_600_000, "3 d 4 h"),
        ];
        for (ms, expected) in rows {
            assert_eq!(render(Duration::from_millis(ms)), expected);
        }
    }
}
