//! Recognises canonical texts without making a value of them: verifying a chain does that for each of its records.

/// Deeper than that, `serde_json` reads nothing.
const DEPTH: usize = 127;

/// Whether `text` is surely canonical. Texts with an escape, a fraction or an exponent are left to whoever reads them
/// in full.
pub(super) fn is_plain(text: &str) -> bool {
    let mut reader = Reader {
        bytes: text.as_bytes(),
        at: 0,
    };
    reader.value(0).is_some() && reader.at == text.len()
}

struct Reader<'t> {
    bytes: &'t [u8],
    at: usize,
}

impl<'t> Reader<'t> {
    fn value(&mut self, depth: usize) -> Option<()> {
        match self.bytes.get(self.at)? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string().map(drop),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.whole_number(),
        }
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        self.at += 1;
        if depth >= DEPTH {
            return None;
        }
        if self.takes(b'}') {
            return Some(());
        }
        let mut before: Option<&[u8]> = None;
        loop {
            let key = self.string()?;
            if before.is_some_and(|before| before >= key) || !self.takes(b':') {
                return None;
            }
            before = Some(key);
            self.value(depth + 1)?;
            if self.takes(b'}') {
                return Some(());
            }
            if !self.takes(b',') {
                return None;
            }
        }
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        self.at += 1;
        if depth >= DEPTH {
            return None;
        }
        if self.takes(b']') {
            return Some(());
        }
        loop {
            self.value(depth + 1)?;
            if self.takes(b']') {
                return Some(());
            }
            if !self.takes(b',') {
                return None;
            }
        }
    }

    /// A string without escapes: what is between its quotes.
    fn string(&mut self) -> Option<&'t [u8]> {
        if !self.takes(b'"') {
            return None;
        }
        let rest = self.bytes.get(self.at..)?;
        let special = |byte: &u8| *byte < b' ' || *byte == b'"' || *byte == b'\\';
        let length = rest.iter().position(special)?;
        self.at += length;
        self.takes(b'"').then_some(&rest[..length])
    }

    /// Eighteen digits fit into every number type there is.
    fn whole_number(&mut self) -> Option<()> {
        let is_negative = self.takes(b'-');
        let rest = &self.bytes[self.at..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        let follows = rest.get(digits);
        let is_fine = match (digits, rest.first()) {
            (1, Some(b'0')) => !is_negative,
            (1..=18, Some(first)) => *first != b'0',
            _ => false,
        };
        (is_fine && !matches!(follows, Some(b'.' | b'e' | b'E'))).then_some(())
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        let is_there = self.bytes[self.at..].starts_with(word);
        self.at += word.len();
        is_there.then_some(())
    }

    fn takes(&mut self, byte: u8) -> bool {
        let is_there = self.bytes.get(self.at) == Some(&byte);
        self.at += usize::from(is_there);
        is_there
    }
}
