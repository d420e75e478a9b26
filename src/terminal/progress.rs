//! What a running job tells while one waits for it.

use std::io::{self, IsTerminal as _, Stderr, Write};

use rustix::termios::tcgetwinsize;
use smcp_common::config::Environment;

use super::{Style, is_dumb, one_line};

/// Columns of a progress bar.
const BAR: usize = 20;
/// Goes back to the start of the line and clears it.
const CLEAR: &str = "\r\x1b[2K";

/// What a running job tells: on a terminal a line that is rewritten in place, otherwise a line for each piece.
#[derive(Debug)]
pub(crate) struct Progress<W: Write> {
    out: W,
    /// The terminal's columns; `None` where there is no terminal.
    width: Option<usize>,
    style: Style,
    shown: bool,
}

impl Progress<Stderr> {
    /// On standard error, so that standard output has the answer alone.
    pub(crate) fn on_stderr(environment: &Environment) -> Self {
        let out = io::stderr();
        let live = out.is_terminal() && !is_dumb(environment);
        let width =
            live.then(|| tcgetwinsize(&out).map_or(80, |size| usize::from(size.ws_col).max(20)));
        Self {
            style: Style::of(&out, environment),
            out,
            width,
            shown: false,
        }
    }
}

impl<W: Write> Progress<W> {
    /// Whether a line can be rewritten.
    pub(crate) const fn is_live(&self) -> bool {
        self.width.is_some()
    }

    /// Shows how far the job has come.
    pub(crate) fn report(&mut self, progress: f64, total: Option<f64>, message: Option<&str>) {
        let counted = match total {
            Some(total) => format!("{}/{}", count(progress), count(total)),
            None => count(progress),
        };
        let message = message.map(one_line).unwrap_or_default();
        let text = format!("{counted} {message}");
        match (self.width, total) {
            (Some(width), Some(total)) => {
                let room = width.saturating_sub(BAR + 2);
                let line = format!("{} {}", bar(progress / total), cut(text.trim_end(), room));
                self.live(&line);
            }
            (Some(width), None) => self.live(&cut(text.trim_end(), width.saturating_sub(1))),
            (None, _) => self.line(text.trim_end()),
        }
    }

    /// Shows a line that the job has logged.
    pub(crate) fn log(&mut self, line: &str) {
        let line = self.style.dim(&one_line(line));
        self.line(&line);
    }

    /// Writes a line that stays.
    pub(crate) fn line(&mut self, line: &str) {
        self.clear();
        self.write(&format!("{line}\n"));
    }

    /// Takes the live line away.
    pub(crate) fn clear(&mut self) {
        if self.shown {
            self.write(CLEAR);
            self.shown = false;
        }
    }

    fn live(&mut self, line: &str) {
        self.write(&format!("{CLEAR}{line}"));
        self.shown = true;
    }

    /// Progress is an extra: the answer matters also where nobody can see the progress.
    fn write(&mut self, text: &str) {
        drop(
            self.out
                .write_all(text.as_bytes())
                .and_then(|()| self.out.flush()),
        );
    }
}

impl<W: Write> Drop for Progress<W> {
    fn drop(&mut self) {
        self.clear();
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share between 0 and 1 of a few columns"
)]
fn bar(share: f64) -> String {
    let share = if share.is_finite() {
        share.clamp(0.0, 1.0)
    } else {
        0.0
    };
    let done = (share * BAR as f64).round() as usize;
    format!("{}{}", "━".repeat(done), "┈".repeat(BAR - done))
}

/// A number with two decimals at the most.
fn count(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    text.chars()
        .take(columns.saturating_sub(1))
        .chain(['…'])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(width: Option<usize>, report: impl FnOnce(&mut Progress<&mut Vec<u8>>)) -> String {
        let mut out = Vec::new();
        let mut progress = Progress {
            out: &mut out,
            width,
            style: Style {
                colours: width.is_some(),
            },
            shown: false,
        };
        report(&mut progress);
        drop(progress);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_pipe_gets_lines() {
        let text = written(None, |progress| {
            progress.report(3.0, Some(10.0), Some("copying"));
            progress.log("warm\x1b[31m\tup");
            progress.report(0.5, None, None);
            progress.report(20.0 / 3.0, Some(10.0), None);
        });
        assert_eq!(text, "3/10 copying\nwarm [31m up\n0.5\n6.67/10\n");
    }

    #[test]
    fn a_terminal_gets_one_line_that_is_rewritten_and_taken_away() {
        let text = written(Some(40), |progress| {
            progress.report(5.0, Some(10.0), Some("a message that is too long for this"));
            progress.log("up");
            progress.report(10.0, Some(10.0), None);
        });
        let (half, full) = ("━".repeat(10) + &"┈".repeat(10), "━".repeat(20));
        let expected = format!(
            "{CLEAR}{half} 5/10 a message th…{CLEAR}\x1b[2mup\x1b[0m\n{CLEAR}{full} 10/10{CLEAR}"
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn odd_totals_do_not_break_the_bar() {
        for share in [f64::NAN, f64::INFINITY, -1.0, 7.0] {
            assert_eq!(bar(share).chars().count(), BAR, "{share}");
        }
    }
}
