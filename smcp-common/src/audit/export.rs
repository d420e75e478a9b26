//! A chain as a file: a heading, then each record and each checkpoint on a line of its own, as canonical JSON. The text
//! that is hashed stands there as it is, so that verifying need not make it again.

use std::fmt::Write as _;
use std::io::{self, BufRead, Read as _};

use serde::Deserialize;

use super::{Checkpoint, Finding, Hash, Problem, Record, Trust, Verified, Verifier};
use crate::canonical::{hex, is_canonical, unhex, write_string};

/// What the heading says that the file is.
const FORMAT: &str = "smcp-audit-1";
/// No chain has as many records. So numbers can be counted up from any heading.
const MAX_RECORDS: i64 = 1 << 53;
/// Longer lines are not read.
const MAX_LINE_BYTES: u64 = 64 * 1024 * 1024;

/// The heading: which chain it is, and what the first record follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// The chain's own random id.
    pub chain: String,
    /// The number of the first record.
    pub from: i64,
    /// The hash of the record before it.
    pub previous: Hash,
}

impl Heading {
    /// Itself as a line, without its end.
    pub fn line(&self) -> String {
        let mut line = "{\"chain\":".to_owned();
        write_string(&self.chain, &mut line);
        let (from, previous) = (self.from, hex(&self.previous));
        // Writing to a String cannot fail.
        write!(
            line,
            ",\"format\":\"{FORMAT}\",\"from\":{from},\"previous\":\"{previous}\"}}"
        )
        .ok();
        line
    }

    fn parse(line: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Form<'l> {
            chain: &'l str,
            from: i64,
            previous: &'l str,
        }
        let form: Form<'_> = serde_json::from_str(line).ok()?;
        let heading = Self {
            chain: form.chain.to_owned(),
            from: form.from,
            previous: unhex(form.previous)?,
        };
        let is_fine = heading.line() == line && (1..MAX_RECORDS).contains(&heading.from);
        is_fine.then_some(heading)
    }
}

/// A record as a line, without its end.
pub fn record_line(record: &Record<'_>, hash: &Hash) -> String {
    let mut line = format!("{{\"hash\":\"{}\",\"record\":", hex(hash));
    record.write_canonical(&mut line);
    line.push('}');
    line
}

/// A file that cannot be verified.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It cannot be read.
    #[error("it cannot be read")]
    Io(#[from] io::Error),
    /// It does not begin as an export does.
    #[error("it is no export of audit records: its first line is not the heading of one")]
    NoExport,
}

/// Verifies an export.
///
/// # Errors
/// [`ExportError`] where there is nothing to verify. What is wrong with the chain is in the answer.
pub fn verify_export(
    mut file: impl BufRead,
    trust: Trust,
) -> Result<Result<Verified, Finding>, ExportError> {
    let mut line = Vec::new();
    let heading = match next_line(&mut file, &mut line)? {
        Line::Whole(text) => Heading::parse(text),
        Line::End | Line::Cut | Line::NoText => None,
    };
    let heading = heading.ok_or(ExportError::NoExport)?;
    let Heading {
        chain,
        from,
        previous,
    } = heading;
    let mut verifier = match Verifier::after(Some(chain), from - 1, previous, trust) {
        Ok(verifier) => verifier,
        Err(finding) => return Ok(Err(finding)),
    };
    let mut number = 1;
    loop {
        number += 1;
        let problem = |problem| Finding::of(verifier.last() + 1, problem);
        let taken = match next_line(&mut file, &mut line)? {
            Line::Whole(text) => take(&mut verifier, text),
            Line::End => return Ok(verifier.finish()),
            Line::Cut => Err(problem(Problem::CutOff)),
            Line::NoText => Err(problem(Problem::Unreadable)),
        };
        if let Err(finding) = taken {
            let line = Some(number);
            return Ok(Err(Finding { line, ..finding }));
        }
    }
}

fn take(verifier: &mut Verifier, line: &str) -> Result<(), Finding> {
    if let Some((hash, text, seq)) = parse_record(line) {
        if !is_canonical(text) {
            return Err(Finding::of(seq, Problem::NotCanonical));
        }
        return verifier.record(seq, text, &hash);
    }
    if let Some(checkpoint) = Checkpoint::parse(line) {
        return verifier.checkpoint(&checkpoint);
    }
    let expected = verifier.last() + 1;
    let Ok(value) = serde_json::from_str::<serde_json::Value>(line) else {
        return Err(Finding::of(expected, Problem::Unreadable));
    };
    let problem = if is_canonical(line) {
        Problem::Unreadable
    } else {
        Problem::NotCanonical
    };
    let number = value["record"]["seq"].as_i64().unwrap_or(expected);
    Err(Finding::of(number, problem))
}

/// The hash, the text that it covers, and the number in it.
fn parse_record(line: &str) -> Option<(Hash, &str, i64)> {
    let rest = line.strip_prefix("{\"hash\":\"")?;
    let (hash, rest) = rest.split_at_checked(64)?;
    let text = rest.strip_prefix("\",\"record\":")?.strip_suffix('}')?;
    let (_, seq) = text.strip_suffix('}')?.rsplit_once(",\"seq\":")?;
    Some((unhex(hash)?, text, seq.parse().ok()?))
}

enum Line<'l> {
    Whole(&'l str),
    NoText,
    Cut,
    End,
}

/// Reads the next line into `line`, without its end.
fn next_line<'l>(file: &mut impl BufRead, line: &'l mut Vec<u8>) -> io::Result<Line<'l>> {
    line.clear();
    let mut limited = file.take(MAX_LINE_BYTES);
    limited.read_until(b'\n', line)?;
    Ok(match line.pop() {
        None => Line::End,
        Some(b'\n') => std::str::from_utf8(line).map_or(Line::NoText, Line::Whole),
        Some(_) => Line::Cut,
    })
}
