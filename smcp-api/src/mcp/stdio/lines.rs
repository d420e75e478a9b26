//! Lines of bounded length.

use std::io;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

/// Reads the lines of `R`. None is held in memory that is longer than the limit.
#[derive(Debug)]
pub(super) struct Lines<R> {
    input: BufReader<R>,
    limit: usize,
}

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line, without its end and without spaces around it; never empty. The last one need not have an end.
    Text(Vec<u8>),
    /// A line over the limit, which has been passed over.
    TooLong,
    /// There are no more.
    End,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Lines of at most `limit` bytes.
    pub(super) fn new(input: R, limit: usize) -> Self {
        let input = BufReader::new(input);
        Self { input, limit }
    }

    /// The limit, in bytes.
    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    /// The next line that is not empty.
    ///
    /// # Errors
    /// What the system says when the input cannot be read.
    pub(super) async fn next(&mut self) -> io::Result<Line> {
        loop {
            match self.whole().await? {
                Line::Text(line) => {
                    let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&line);
                    let line = line.trim_ascii();
                    if !line.is_empty() {
                        return Ok(Line::Text(line.to_vec()));
                    }
                }
                other @ (Line::TooLong | Line::End) => return Ok(other),
            }
        }
    }

    async fn whole(&mut self) -> io::Result<Line> {
        let mut line = Vec::new();
        let mut too_long = false;
        loop {
            let available = self.input.fill_buf().await?;
            let at_end = available.is_empty();
            let newline = available.iter().position(|byte| *byte == b'\n');
            let part = available.split_at(newline.unwrap_or(available.len())).0;
            too_long = too_long || part.len() > self.limit.saturating_sub(line.len());
            if too_long {
                line = Vec::new();
            } else {
                line.extend_from_slice(part);
            }
            let read = part.len() + usize::from(newline.is_some());
            self.input.consume(read);
            if at_end && line.is_empty() && !too_long {
                return Ok(Line::End);
            }
            if at_end || newline.is_some() {
                return Ok(if too_long {
                    Line::TooLong
                } else {
                    Line::Text(line)
                });
            }
        }
    }
}

/// Some systems put one in front of everything.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(input: &str) -> Vec<Line> {
        let mut lines = Lines::new(input.as_bytes(), 5);
        let mut all = Vec::new();
        loop {
            match lines.next().await.unwrap() {
                Line::End => return all,
                line @ (Line::Text(_) | Line::TooLong) => all.push(line),
            }
        }
    }

    #[tokio::test]
    async fn lines_are_told_apart_and_long_ones_are_passed_over() {
        let text = |text: &str| Line::Text(text.into());
        let rows = [
            ("", vec![]),
            ("\n \r\n\n", vec![]),
            ("a\nb\r\n", vec![text("a"), text("b")]),
            ("12345\n", vec![text("12345")]),
            ("123456\nb\n", vec![Line::TooLong, text("b")]),
            ("no en", vec![text("no en")]),
            ("no end", vec![Line::TooLong]),
            ("\u{feff}1\n", vec![text("1")]),
        ];
        for (input, expected) in rows {
            assert_eq!(read(input).await, expected, "{input:?}");
        }
    }

    #[tokio::test]
    async fn a_line_longer_than_every_buffer_is_one_line() {
        let input = format!("{}\nb\n", "x".repeat(100_000));
        assert_eq!(read(&input).await, [Line::TooLong, Line::Text(b"b".into())]);
    }
}
