//! What the plugins wrote down themselves: a line when a run starts and one before it ends, in the order in which it
//! happened, as all append to one file.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// `start`, a job's id, its attempt, a process id, and the spaces between them: all lines are of one length.
const LINE: u64 = 5 + 1 + 36 + 1 + 5 + 1 + 10 + 1;

/// The file.
#[derive(Debug, Clone)]
pub(super) struct Journal(PathBuf);

/// One line of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) starts: bool,
    pub(super) job: String,
    pub(super) attempt: u32,
}

impl Journal {
    pub(super) fn in_directory(data: &Path) -> Self {
        Self(data.join("outside/journal"))
    }

    /// How many lines there are, without reading them.
    pub(super) fn lines(&self) -> anyhow::Result<u64> {
        Ok(fs::metadata(&self.0)?.len() / LINE)
    }

    pub(super) fn read(&self) -> anyhow::Result<Vec<Line>> {
        let text = fs::read_to_string(&self.0)?;
        text.lines()
            .map(|line| Line::parse(line).with_context(|| format!("the journal says '{line}'")))
            .collect()
    }
}

impl Line {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let starts = match words.next()? {
            "start" => true,
            "ended" => false,
            _ => return None,
        };
        Some(Self {
            starts,
            job: words.next()?.to_owned(),
            attempt: words.next()?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_happened_to_which_attempt() {
        let job = "019a8c7e-5d2f-7b1a-9c41-2f6f0d3b8a55";
        let text = format!("start {job} 00002 0000004711");
        assert_eq!(text.len() as u64 + 1, LINE);
        let line = Line {
            starts: true,
            job: job.to_owned(),
            attempt: 2,
        };
        assert_eq!(Line::parse(&text), Some(line));
        assert_eq!(Line::parse("star"), None);
    }
}
