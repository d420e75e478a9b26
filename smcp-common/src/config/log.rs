//! The log file: where it is, and when a new one is begun. The variables are those of the Python SMCP.

use std::path::PathBuf;
use std::time::Duration;

use super::{ConfigError, Environment, file};
use crate::clock::Timestamp;

/// The name in the directory that `MCP_LOG_DIR` names.
const NAME: &str = "mcp_server.log";
const DAY: Duration = Duration::from_hours(24);
const WHEN: &str = "S, M, H, D, midnight, or W0 (Monday) to W6 (Sunday)";

/// Settings of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// A level, or a filter such as `info,smcp_worker=debug`.
    pub filter: String,
    /// One JSON object a line instead of text.
    pub json: bool,
    /// Where it is written beside standard error.
    pub file: Option<LogFile>,
}

/// A log file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// Its name.
    pub path: PathBuf,
    /// When a new one is begun.
    pub rotation: Rotation,
    /// So many old ones are kept, as `path.1`, the newest, and so on.
    pub backups: u32,
}

/// When a new log file is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// Never, as where something else rotates it.
    Never,
    /// Where the file has so many bytes.
    BySize {
        /// At least 1.
        max_bytes: u64,
    },
    /// Where a period has passed since it was written last. Periods are counted from the epoch on, in UTC.
    ByTime {
        /// How long a period is; not zero.
        every: Duration,
        /// How long after the epoch the first one begins.
        offset: Duration,
    },
}

impl Rotation {
    /// Whether a file of `bytes`, last `written` then, makes room for a new one `now`.
    pub fn is_due(self, bytes: u64, written: Timestamp, now: Timestamp) -> bool {
        match self {
            Self::Never => false,
            Self::BySize { max_bytes } => bytes >= max_bytes,
            Self::ByTime { every, offset } => {
                let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
                let period =
                    |at: Timestamp| (at.as_millis() - millis(offset)).div_euclid(millis(every));
                period(now) > period(written)
            }
        }
    }
}

/// `MCP_LOG_FILE`, else `mcp_server.log` in `MCP_LOG_DIR`, else what the file says; none where `MCP_DISABLE_FILE_LOG` is on.
pub(super) fn file(env: &Environment, given: &file::Log) -> Result<Option<LogFile>, ConfigError> {
    let in_directory = || Some(PathBuf::from(env.text("MCP_LOG_DIR")?).join(NAME));
    let named = env.text("MCP_LOG_FILE").map(PathBuf::from);
    let path = named.or_else(in_directory).or_else(|| given.file.clone());
    let is_disabled = env.switch("MCP_DISABLE_FILE_LOG")?.unwrap_or(false);
    let Some(path) = path.filter(|_| !is_disabled) else {
        return Ok(None);
    };
    let rotation = env
        .text("MCP_LOG_ROTATION")
        .or_else(|| given.rotation.clone());
    let rotation = match rotation.as_deref().unwrap_or("size") {
        "none" => Rotation::Never,
        "size" => {
            let max_bytes = env.number("MCP_LOG_MAX_BYTES", "a number of bytes, at least 1")?;
            let max_bytes = max_bytes.or(given.max_bytes).unwrap_or(10 * 1024 * 1024);
            if max_bytes == 0 {
                let expected = "a number of bytes, at least 1; MCP_LOG_ROTATION=none rotates never";
                return Err(refused("MCP_LOG_MAX_BYTES", "0", expected));
            }
            Rotation::BySize { max_bytes }
        }
        "time" => {
            let when = env
                .text("MCP_LOG_ROTATE_WHEN")
                .or_else(|| given.rotate_when.clone());
            let every = env.number("MCP_LOG_ROTATE_INTERVAL", "a number, at least 1")?;
            let every = every.or(given.rotate_interval).unwrap_or(1);
            by_time(when.as_deref().unwrap_or("midnight"), every)?
        }
        other => return Err(refused("MCP_LOG_ROTATION", other, "size, time or none")),
    };
    let backups = env.number("MCP_LOG_BACKUP_COUNT", "a number of files")?;
    Ok(Some(LogFile {
        path,
        rotation,
        backups: backups.or(given.backups).unwrap_or(5),
    }))
}

/// The periods of Python's `TimedRotatingFileHandler`.
fn by_time(when: &str, interval: u32) -> Result<Rotation, ConfigError> {
    let lower = when.to_ascii_lowercase();
    let (unit, offset) = match lower.as_str() {
        "s" => (Duration::from_secs(1), Duration::ZERO),
        "m" => (Duration::from_mins(1), Duration::ZERO),
        "h" => (Duration::from_hours(1), Duration::ZERO),
        "d" | "midnight" => (DAY, Duration::ZERO),
        _ => {
            let weekday = lower
                .strip_prefix('w')
                .and_then(|day| day.parse::<u32>().ok());
            let Some(weekday) = weekday.filter(|weekday| *weekday < 7) else {
                return Err(refused("MCP_LOG_ROTATE_WHEN", when, WHEN));
            };
            // The epoch was a Thursday, W3.
            (DAY * 7, DAY * ((weekday + 4) % 7))
        }
    };
    if interval == 0 {
        return Err(refused(
            "MCP_LOG_ROTATE_INTERVAL",
            "0",
            "a number, at least 1",
        ));
    }
    Ok(Rotation::ByTime {
        every: unit * interval,
        offset,
    })
}

fn refused(key: &'static str, value: &str, expected: &'static str) -> ConfigError {
    ConfigError::Value {
        key,
        value: value.to_owned(),
        expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<LogFile>, String> {
        let env: Environment = variables.iter().copied().collect();
        file(&env, &file::Log::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_variables_of_the_original_say_where_and_when() {
        assert_eq!(read(&[]), Ok(None));
        let by_size = |path: &str, max_bytes, backups| {
            Ok(Some(LogFile {
                path: path.into(),
                rotation: Rotation::BySize { max_bytes },
                backups,
            }))
        };
        assert_eq!(
            read(&[("MCP_LOG_DIR", "logs")]),
            by_size("logs/mcp_server.log", 10 * 1024 * 1024, 5)
        );
        let chosen = [
            ("MCP_LOG_DIR", "logs"),
            ("MCP_LOG_FILE", "a.log"),
            ("MCP_LOG_MAX_BYTES", "1"),
            ("MCP_LOG_BACKUP_COUNT", "0"),
        ];
        assert_eq!(read(&chosen), by_size("a.log", 1, 0));
        let disabled = [("MCP_LOG_FILE", "a.log"), ("MCP_DISABLE_FILE_LOG", "1")];
        assert_eq!(read(&disabled), Ok(None));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_can() {
        for (key, value, expected) in [
            ("MCP_LOG_ROTATION", "daily", "size, time or none"),
            ("MCP_LOG_MAX_BYTES", "0", "at least 1"),
            ("MCP_LOG_MAX_BYTES", "10MB", "a number of bytes"),
            ("MCP_LOG_BACKUP_COUNT", "-1", "a number of files"),
            ("MCP_LOG_ROTATE_WHEN", "W7", "W0 (Monday) to W6"),
            ("MCP_LOG_ROTATE_INTERVAL", "0", "at least 1"),
        ] {
            let by_time = if key.starts_with("MCP_LOG_ROTATE_") {
                "time"
            } else {
                "size"
            };
            let mut given = vec![("MCP_LOG_FILE", "a.log"), ("MCP_LOG_ROTATION", by_time)];
            given.retain(|(name, _)| *name != key);
            given.push((key, value));
            let message = read(&given).unwrap_err();
            assert!(
                message.contains(key) && message.contains(expected),
                "{message}"
            );
        }
    }

    #[test]
    fn a_period_ends_when_the_clock_says_so() {
        let at = |text: &str| Timestamp::parse(text).unwrap();
        for (when, interval, written, now, due) in [
            (
                "s",
                1,
                "2026-11-28T10:00:00.999Z",
                "2026-11-28T10:00:01Z",
                true,
            ),
            (
                "m",
                5,
                "2026-11-28T10:04:00Z",
                "2026-11-28T10:04:59Z",
                false,
            ),
            ("m", 5, "2026-11-28T10:04:00Z", "2026-11-28T10:05:00Z", true),
            ("H", 1, "2026-11-28T10:59:00Z", "2026-11-28T11:00:00Z", true),
            (
                "midnight",
                1,
                "2026-11-28T23:59:59Z",
                "2026-11-29T00:00:00Z",
                true,
            ),
            (
                "midnight",
                1,
                "2026-11-28T00:00:00Z",
                "2026-11-28T23:59:59Z",
                false,
            ),
            // 2026-11-30 is a Monday.
            (
                "W0",
                1,
                "2026-11-29T23:00:00Z",
                "2026-11-30T00:00:00Z",
                true,
            ),
            (
                "W0",
                1,
                "2026-11-30T00:00:00Z",
                "2026-12-06T23:59:59Z",
                false,
            ),
            (
                "W6",
                1,
                "2026-11-28T23:00:00Z",
                "2026-11-29T00:00:00Z",
                true,
            ),
            // The clock was set back.
            (
                "s",
                1,
                "2026-11-28T10:00:05Z",
                "2026-11-28T10:00:01Z",
                false,
            ),
        ] {
            let rotation = by_time(when, interval).unwrap();
            let told = rotation.is_due(1, at(written), at(now));
            assert_eq!(told, due, "{when} {interval} {written} {now}");
        }
    }
}
