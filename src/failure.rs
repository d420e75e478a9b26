//! How the program ends when something went wrong: one message, one exit code.

use std::error::Error;
use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use smcp_common::config::ConfigError;
use smcp_common::telemetry::TelemetryError;

/// The exit code of what was refused by a guard, or asked for in the wrong way.
const REFUSED: u8 = 2;

/// Something was asked for in the wrong way; the program exits with code 2.
#[derive(Debug)]
pub(crate) struct BadUsage(pub(crate) String);

impl fmt::Display for BadUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for BadUsage {}

/// Prints `error`, what it follows from on lines of their own, and answers the exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if is_broken_pipe(error) {
        // Whoever read us has seen enough, as `head` does. That is no failure.
        return ExitCode::SUCCESS;
    }
    // With standard error closed there is nobody to tell.
    drop(io::stderr().write_all(render(error).as_bytes()));
    exit_code(error)
}

fn render(error: &anyhow::Error) -> String {
    let mut text = String::from("error: ");
    let mut last = String::new();
    for (depth, cause) in error.chain().enumerate() {
        let message = cause.to_string();
        // Libraries often repeat the text of their cause in their own.
        if depth > 0 && last.contains(&message) {
            continue;
        }
        if depth > 0 {
            text.push_str("  because: ");
        }
        text.push_str(message.trim_end());
        text.push('\n');
        last = message;
    }
    text
}

fn exit_code(error: &anyhow::Error) -> ExitCode {
    let refused = |cause: &(dyn Error + 'static)| {
        cause.is::<BadUsage>() || cause.is::<ConfigError>() || cause.is::<TelemetryError>()
    };
    if let Some(api) = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<smcp_api::ApiError>())
    {
        return ExitCode::from(api.exit_code());
    }
    if error.chain().any(refused) {
        ExitCode::from(REFUSED)
    } else {
        ExitCode::FAILURE
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |cause: &(dyn Error + 'static)| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    error.chain().any(broken)
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::*;

    #[test]
    fn the_chain_is_printed_once_line_by_line() {
        let io = io::Error::other("no space left");
        let error = anyhow::Error::new(io)
            .context("cannot write x")
            .context("the backup failed");
        assert_eq!(
            render(&error),
            "error: the backup failed\n  because: cannot write x\n  because: no space left\n"
        );
        let repeated = anyhow!("no space left").context("cannot write x: no space left");
        assert_eq!(render(&repeated), "error: cannot write x: no space left\n");
    }

    #[test]
    fn bad_usage_and_bad_settings_exit_with_2() {
        let rows = [
            (anyhow!("x"), ExitCode::FAILURE),
            (
                anyhow!(BadUsage("x".into())).context("y"),
                ExitCode::from(2),
            ),
            (anyhow!(ConfigError::NoDataDirectory), ExitCode::from(2)),
        ];
        for (error, expected) in rows {
            assert_eq!(exit_code(&error), expected, "{error:?}");
        }
    }

    #[test]
    fn a_reader_that_has_seen_enough_is_no_failure() {
        let error =
            Err::<(), _>(io::Error::from(io::ErrorKind::BrokenPipe)).context("cannot print");
        assert!(is_broken_pipe(&error.unwrap_err()));
    }
}
