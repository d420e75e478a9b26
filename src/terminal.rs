//! What is written to standard output and standard error: plain in a pipe, coloured and live on a terminal.

mod hidden;
mod progress;

use std::io::{self, IsTerminal, Write as _};

use anyhow::Context as _;
use serde::Serialize;
use smcp_common::config::Environment;

pub(crate) use self::hidden::ask_hidden;
pub(crate) use self::progress::Progress;

/// Writes text and a line end to standard output, unless the text has its own.
///
/// # Errors
/// Standard output cannot be written, a pipe whose reader is gone included.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    print_raw(text)?;
    if text.is_empty() || text.ends_with('\n') {
        Ok(())
    } else {
        print_raw("\n")
    }
}

/// Writes text to standard output as it is.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_raw(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("cannot write to standard output")
}

/// Writes a warning in a line to standard error.
///
/// # Errors
/// Standard error cannot be written.
pub(crate) fn warn(text: &str) -> anyhow::Result<()> {
    let style = Style::of(&io::stderr(), &Environment::of_process());
    let line = format!("{} {}\n", style.yellow("warning:"), one_line(text));
    io::stderr()
        .write_all(line.as_bytes())
        .context("cannot write to standard error")
}

/// Writes a line to standard error, for who looks on while standard output goes elsewhere.
///
/// # Errors
/// Standard error cannot be written.
pub(crate) fn note(text: &str) -> anyhow::Result<()> {
    io::stderr()
        .write_all(format!("{}\n", one_line(text)).as_bytes())
        .context("cannot write to standard error")
}

/// Writes a value as indented JSON to standard output.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print(&serde_json::to_string_pretty(value)?)
}

/// The text without characters that would steer the terminal; line ends become spaces.
pub(crate) fn one_line(text: &str) -> String {
    text.trim_end()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// So many of what has a regular plural.
pub(crate) fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// Whether text is coloured.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Style {
    colours: bool,
}

impl Style {
    /// For a stream: colours on a terminal, unless `NO_COLOR` is set.
    pub(crate) fn of(stream: &impl IsTerminal, environment: &Environment) -> Self {
        Self {
            colours: stream.is_terminal()
                && !is_dumb(environment)
                && environment.text("NO_COLOR").is_none(),
        }
    }

    /// For standard output.
    pub(crate) fn of_stdout(environment: &Environment) -> Self {
        Self::of(&io::stdout(), environment)
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// A state of a job, in the colour of its mood.
    pub(crate) fn state(self, state: &str) -> String {
        match state {
            "succeeded" => self.green(state),
            "failed" | "outcome_unknown" => self.red(state),
            "running" | "verifying" | "cancelled" => self.yellow(state),
            _ => state.to_owned(),
        }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colours {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

fn is_dumb(environment: &Environment) -> bool {
    environment.text("TERM").is_some_and(|term| term == "dumb")
}
