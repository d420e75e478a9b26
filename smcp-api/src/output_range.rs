//! A part of a job's output, as `jobs__output` and `resources/read` give it.

use smcp_common::job::Job;

use crate::app::App;
use crate::refusal::Refusal;

/// Bytes that one read takes at most.
pub const MAX_BYTES: usize = 1024 * 1024;
/// Bytes that one read takes where nothing is said.
pub const DEFAULT_BYTES: usize = 64 * 1024;

/// What a part may not cut in two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Border {
    /// A character: the next part has it whole.
    Character,
    /// A line: no search of either half would find what is in the whole.
    Line,
}

/// A part of an output.
#[derive(Debug)]
pub struct Part {
    /// What was printed there.
    pub bytes: Vec<u8>,
    /// Where the next part begins.
    pub next_offset: u64,
    /// Whether the job has ended, so that its output does not grow any more.
    pub done: bool,
}

/// Reads the output of `job` from byte `offset`, at most `limit` bytes.
///
/// # Errors
/// Database errors.
pub async fn read(
    app: &App,
    job: &Job,
    offset: u64,
    limit: usize,
    border: Border,
) -> Result<Part, Refusal> {
    let mut bytes = app
        .queue
        .output(&job.id, offset, limit.min(MAX_BYTES))
        .await?;
    let done = job.state.is_final();
    let is_end = done && offset.saturating_add(bytes.len() as u64) >= job.output_bytes;
    if !is_end {
        let kept = match border {
            Border::Character => whole_characters(&bytes).len(),
            Border::Line => whole_lines(&bytes).len(),
        };
        bytes.truncate(kept);
    }
    Ok(Part {
        next_offset: offset.saturating_add(bytes.len() as u64),
        bytes,
        done,
    })
}

/// Without a character that is cut in two at the end.
pub(crate) fn whole_characters(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => {
            &bytes[..error.valid_up_to()]
        }
        Ok(_) | Err(_) => bytes,
    }
}

/// Without a line that is cut in two at the end.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    match bytes.iter().rposition(|byte| *byte == b'\n') {
        Some(newline) => &bytes[..=newline],
        None => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_not_cut_in_two() {
        let text = "aé".as_bytes();
        assert_eq!(whole_characters(&text[..2]), b"a");
        assert_eq!(
            whole_characters(&text[1..2]),
            &text[1..2],
            "something is read"
        );
        assert_eq!(whole_characters(b"a\xffb"), b"a\xffb");
        assert_eq!(whole_characters(text), text);
    }

    #[test]
    fn a_search_sees_whole_lines() {
        assert_eq!(whole_lines(b"one\ntw"), b"one\n");
        assert_eq!(whole_lines(b"endless"), b"endless");
    }
}
