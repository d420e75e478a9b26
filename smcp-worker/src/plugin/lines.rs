//! Bytes that arrive in pieces, cut into lines of a bounded length.

/// Cuts a stream into lines without their line ends; empty lines are left out.
#[derive(Debug)]
pub(super) struct Lines {
    partial: Vec<u8>,
    max_bytes: usize,
}

impl Lines {
    /// A line longer than `max_bytes` loses what is beyond.
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            partial: Vec::new(),
            max_bytes,
        }
    }

    /// The lines that end in `chunk`.
    pub(super) fn push(&mut self, chunk: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        for piece in chunk.split_inclusive(|&byte| byte == b'\n') {
            let (text, ends) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            let room = self.max_bytes - self.partial.len();
            self.partial
                .extend_from_slice(&text[..text.len().min(room)]);
            if ends {
                lines.extend(self.finish());
            }
        }
        lines
    }

    /// The last line, when the stream ended without a line end.
    pub(super) fn finish(&mut self) -> Option<Vec<u8>> {
        let mut line = std::mem::take(&mut self.partial);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        (!line.is_empty()).then_some(line)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(chunks: &[&[u8]], max_bytes: usize) -> Vec<Vec<u8>> {
        let mut lines = Lines::new(max_bytes);
        let mut cut: Vec<_> = chunks.iter().flat_map(|chunk| lines.push(chunk)).collect();
        cut.extend(lines.finish());
        cut
    }

    #[test]
    fn lines_are_cut_at_their_ends() {
        let check = |chunks: &[&str], expected: &[&str]| {
            let chunks: Vec<_> = chunks.iter().map(|chunk| chunk.as_bytes()).collect();
            let lines = cut(&chunks, 5);
            let lines: Vec<_> = lines
                .iter()
                .map(|line| str::from_utf8(line).unwrap())
                .collect();
            assert_eq!(lines, expected, "{chunks:?}");
        };
        check(&[], &[]);
        check(&["a\nb\n"], &["a", "b"]);
        check(&["a\nb"], &["a", "b"]);
        check(&["a", "b", "\n", "c"], &["ab", "c"]);
        check(&["\n\n", "a\n\n"], &["a"]);
        check(&["a\r\n", "\r\n", "b\r", "\n"], &["a", "b"]);
        check(&["123456789\nx\n"], &["12345", "x"]);
        check(&["123", "456", "789", "\nx"], &["12345", "x"]);
    }

    proptest! {
        #[test]
        fn where_the_stream_is_cut_into_chunks_does_not_matter(
            chunks in prop::collection::vec(prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..9), 0..9),
            max_bytes in 1_usize..6,
        ) {
            let whole = chunks.concat();
            let pieces: Vec<_> = chunks.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(cut(&pieces, max_bytes), cut(&[&whole], max_bytes));
        }
    }
}
