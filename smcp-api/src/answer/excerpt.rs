//! A long output in an answer: its head, what is left out and how to read it, its tail, and a link to all of it.

use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::json;
use smcp_common::job::{Failure, Job};

use super::EXCERPT_META;
use crate::app::App;
use crate::mcp::resource;
use crate::output_range::whole_characters;
use crate::refusal::Refusal;

const HEAD_BYTES: usize = 24 * 1024;
const TAIL_BYTES: usize = 8 * 1024;

/// The answer with an excerpt of the output of `job`; `reason` is a sentence that says why there is no more, or empty.
///
/// # Errors
/// Database errors.
pub(super) async fn answer(app: &App, job: &Job, reason: &str) -> Result<CallToolResult, Refusal> {
    let total = job.output_bytes;
    let head = app.queue.output(&job.id, 0, HEAD_BYTES).await?;
    let tail_from = total
        .saturating_sub(TAIL_BYTES as u64)
        .max(head.len() as u64);
    let tail = app.queue.output(&job.id, tail_from, TAIL_BYTES).await?;
    let excerpt = cut(&head, &tail, total);
    let mut result = CallToolResult::success(vec![
        ContentBlock::text(excerpt.text(job, reason)),
        ContentBlock::resource_link(resource::link(job)),
    ]);
    let meta = result.meta.get_or_insert_default();
    meta.0.insert(
        EXCERPT_META.to_owned(),
        json!({"from": excerpt.from, "to": excerpt.to, "total_bytes": total}),
    );
    Ok(result)
}

/// An output without its bytes `from` to `to`.
#[derive(Debug, PartialEq, Eq)]
struct Excerpt {
    head: String,
    from: u64,
    to: u64,
    tail: String,
}

/// Cuts at the ends of lines, as far as there are some in the half next to the gap, else between characters.
fn cut(head: &[u8], tail: &[u8], total: u64) -> Excerpt {
    let head = if head.len() as u64 == total {
        head
    } else {
        match head.iter().rposition(|byte| *byte == b'\n') {
            Some(newline) if newline >= head.len() / 2 => &head[..=newline],
            Some(_) | None => whole_characters(head),
        }
    };
    let tail = match tail.iter().position(|byte| *byte == b'\n') {
        Some(newline) if newline < tail.len() / 2 => &tail[newline + 1..],
        Some(_) | None => {
            let is_inside = |byte: &u8| byte & 0b1100_0000 == 0b1000_0000;
            let inside = tail
                .iter()
                .take(3)
                .take_while(|byte| is_inside(byte))
                .count();
            &tail[inside..]
        }
    };
    Excerpt {
        from: head.len() as u64,
        to: total - tail.len() as u64,
        head: String::from_utf8_lossy(head).into_owned(),
        tail: String::from_utf8_lossy(tail).into_owned(),
    }
}

impl Excerpt {
    fn text(&self, job: &Job, reason: &str) -> String {
        let Self {
            head,
            from,
            to,
            tail,
        } = self;
        let (id, total) = (&job.id, job.output_bytes);
        let mut note = String::new();
        if from < to {
            note = format!(
                "{} of {total} bytes are left out here, from byte {from} to byte {to}. {reason}Read them with \
                 jobs__output, id {id}, offset {from}; or as the resource {}?offset={from}.",
                to - from,
                resource::uri(id)
            );
        }
        if let Some(Failure { code, message }) = job.warning() {
            let lost = format!("{code}: {message}");
            // At the very end where nothing else is left out.
            if note.is_empty() {
                let whole = format!("{head}{tail}");
                return format!("{}\n[{lost}]", whole.trim());
            }
            note = format!("{note} {lost}");
        }
        let gap = if head.ends_with('\n') { "" } else { "\n" };
        format!("{head}{gap}[{note}]\n{}", tail.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_at(head: &str, tail: &[u8], total: u64) -> (String, u64, u64, String) {
        let cut = cut(head.as_bytes(), tail, total);
        (cut.head, cut.from, cut.to, cut.tail)
    }

    #[test]
    fn it_is_cut_between_lines_or_else_between_characters() {
        let row = |head: &str, from, to, tail: &str| (head.to_owned(), from, to, tail.to_owned());
        let rows = [
            (
                cut_at("one\ntwo\nth", b"ee\nfour\nfive\n", 100),
                row("one\ntwo\n", 8, 90, "four\nfive\n"),
            ),
            // A line that is longer than half of the part is cut.
            (
                cut_at("a\nlong line", b"long line\nz", 100),
                row("a\nlong line", 11, 89, "long line\nz"),
            ),
            (cut_at("", b"", 0), row("", 0, 0, "")),
            (cut_at("all of it", b"", 9), row("all of it", 9, 9, "")),
        ];
        for (found, expected) in rows {
            assert_eq!(found, expected);
        }
        let e = "é".as_bytes();
        let cut = cut(&[b"ab", &e[..1]].concat(), &[&e[1..], b"cd"].concat(), 50);
        assert_eq!((cut.head.as_str(), cut.from), ("ab", 2));
        assert_eq!((cut.tail.as_str(), cut.to), ("cd", 48));
    }
}
