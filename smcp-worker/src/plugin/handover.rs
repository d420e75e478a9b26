//! What a plugin hands over by its events: secrets to be stored. Their lines are taken out before anything else sees them.

use serde_json::Value;
use smcp_common::secret::{MAX_VALUE_BYTES, Plain, Redactor, check_name, check_value};

/// So many secrets one call may hand over.
const MAX_SECRETS: usize = 16;
/// A line with a value of the largest size, each of whose bytes is written as an escape.
const MAX_LINE_BYTES: usize = 6 * MAX_VALUE_BYTES + 1024;

/// A secret that a plugin has handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handed {
    /// What it is to be stored as.
    pub name: String,
    /// The secret itself.
    pub value: Plain,
}

/// A secret that cannot be one, and why; without its value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfit(String);

/// Takes the secrets out of a stream of events, and strikes them out of everything that is read from then on.
#[derive(Debug)]
pub(super) struct Handover {
    redactor: Redactor,
    partial: Vec<u8>,
    /// What becomes of the rest of a line that is too long to be looked at as a whole.
    rest: Rest,
    count: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// There is none.
    None,
    /// It is like any other line.
    Passes,
    /// It may be of a secret.
    IsDropped,
}

/// What a piece of a stream of events comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sifted {
    /// What is no secret, byte by byte as it came.
    pub(super) others: Vec<u8>,
    pub(super) secrets: Vec<Result<Handed, Unfit>>,
}

impl Handover {
    pub(super) fn new(redactor: &Redactor) -> Self {
        Self {
            redactor: redactor.clone(),
            partial: Vec::new(),
            rest: Rest::None,
            count: 0,
        }
    }

    /// The whole lines that have come with `chunk`.
    pub(super) fn push(&mut self, chunk: &[u8]) -> Sifted {
        let mut sifted = Sifted::default();
        for piece in chunk.split_inclusive(|&byte| byte == b'\n') {
            let ends = piece.ends_with(b"\n");
            match self.rest {
                Rest::None => {
                    self.partial.extend_from_slice(piece);
                    if ends {
                        self.line(&mut sifted);
                    } else if self.partial.len() > MAX_LINE_BYTES {
                        self.rest = self.too_long(&mut sifted);
                    }
                }
                Rest::Passes => sifted.others.extend_from_slice(piece),
                Rest::IsDropped => {}
            }
            if ends {
                self.rest = Rest::None;
            }
        }
        sifted
    }

    /// The last line, when the stream has ended without a line end.
    pub(super) fn finish(&mut self) -> Sifted {
        let mut sifted = Sifted::default();
        self.line(&mut sifted);
        sifted
    }

    fn line(&mut self, sifted: &mut Sifted) {
        let line = std::mem::take(&mut self.partial);
        match read(&line) {
            Some(said) => self.take(said, sifted),
            None => sifted.others.extend(line),
        }
    }

    fn too_long(&mut self, sifted: &mut Sifted) -> Rest {
        let line = std::mem::take(&mut self.partial);
        if !speaks_of_a_secret(&line) {
            sifted.others.extend(line);
            return Rest::Passes;
        }
        let why = format!("its line has more than {MAX_LINE_BYTES} bytes");
        self.take(Said::nothing(why), sifted);
        Rest::IsDropped
    }

    fn take(&mut self, said: Said, sifted: &mut Sifted) {
        self.count += 1;
        if self.count <= MAX_SECRETS {
            let name = said.name.as_deref().unwrap_or("secret");
            // What is larger takes more memory than it is worth: no secret is.
            if let Some(value) = &said.value
                && value.reveal().len() <= MAX_VALUE_BYTES
            {
                self.redactor.learn(name, value.reveal());
            }
            sifted.secrets.push(said.checked());
        } else if self.count == MAX_SECRETS + 1 {
            let why = format!("a call may hand over {MAX_SECRETS} secrets at most");
            sifted.secrets.push(Err(Unfit(why)));
        }
    }
}

/// What a line says of a secret.
struct Said {
    name: Option<String>,
    value: Option<Plain>,
    /// What is wrong with the line as such.
    wrong: Option<String>,
}

impl Said {
    fn nothing(why: String) -> Self {
        Self {
            name: None,
            value: None,
            wrong: Some(why),
        }
    }

    fn checked(self) -> Result<Handed, Unfit> {
        if let Some(why) = self.wrong {
            return Err(Unfit(why));
        }
        let (Some(name), Some(value)) = (self.name, self.value) else {
            return Err(Unfit("it has no name, or no value, that is a text".into()));
        };
        check_name(&name).map_err(|error| Unfit(error.to_string()))?;
        check_value(value.reveal()).map_err(|error| Unfit(format!("{name}: {error}")))?;
        Ok(Handed { name, value })
    }
}

/// What `line` says of a secret; `None` where it is about something else.
fn read(line: &[u8]) -> Option<Said> {
    let Ok(event) = serde_json::from_slice::<Value>(line) else {
        let why = "its line is no JSON".to_owned();
        return speaks_of_a_secret(line).then(|| Said::nothing(why));
    };
    let secret = event.get("secret")?;
    let text = |key: &str| secret.get(key).and_then(Value::as_str).map(str::to_owned);
    Some(Said {
        name: text("name"),
        value: text("value").map(Plain::new),
        wrong: None,
    })
}

/// Whether a line that cannot be read may hand over a secret: then nobody must see it.
fn speaks_of_a_secret(line: &[u8]) -> bool {
    let key = b"\"secret\"";
    line.trim_ascii_start().starts_with(b"{") && line.windows(key.len()).any(|part| part == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sifted(text: &str) -> (String, Vec<String>, Redactor) {
        let redactor = Redactor::default();
        let mut handover = Handover::new(&redactor);
        let (mut others, mut secrets) = (Vec::new(), Vec::new());
        // A prime, so that lines are cut anywhere.
        let chunks = text.as_bytes().chunks(4099);
        let mut all: Vec<_> = chunks.map(|chunk| handover.push(chunk)).collect();
        all.push(handover.finish());
        for sifted in all {
            others.extend(sifted.others);
            secrets.extend(sifted.secrets.into_iter().map(|secret| match secret {
                Ok(handed) => format!("{}={}", handed.name, handed.value.reveal().len()),
                Err(error) => error.to_string(),
            }));
        }
        (String::from_utf8(others).unwrap(), secrets, redactor)
    }

    #[test]
    fn secrets_are_taken_out_and_the_rest_is_left_as_it_is() {
        let others =
            "{\"progress\": 1}\n\nno \"secret\" at all\r\n[\"secret\"]\n{\"message\": \"secret\"}";
        let (left, secrets, redactor) = sifted(&format!(
            "{{\"secret\": {{\"name\": \"A\", \"value\": \"hunter2\"}}}}\n{others}\n \
             {{\"\\u0073ecret\": {{\"name\": \"B\", \"value\": \"sword\\u0066ish\"}}}}"
        ));
        assert_eq!(left, format!("{others}\n"));
        assert_eq!(secrets, ["A=7", "B=9"]);
        assert_eq!(
            redactor.text("hunter2 swordfish"),
            "[redacted:A] [redacted:B]"
        );
    }

    #[test]
    fn what_cannot_be_stored_is_told_without_its_value_and_never_passed_on() {
        let rows = [
            (r#"{"secret": {"name": "A", "value": "hunter2""#, "no JSON"),
            (r#"{"secret": "hunter2"}"#, "no name, or no value"),
            (
                r#"{"secret": {"value": "hunter2"}}"#,
                "no name, or no value",
            ),
            (r#"{"secret": {"name": "A"}}"#, "no name, or no value"),
            (
                r#"{"secret": {"name": "A-B", "value": "hunter2"}}"#,
                "cannot be the name",
            ),
            (
                r#"{"secret": {"name": "A", "value": "abc"}}"#,
                "A: the value has 3 bytes",
            ),
        ];
        for (line, why) in rows {
            for end in ["", "\n"] {
                let (left, secrets, _) = sifted(&format!("{line}{end}"));
                assert_eq!(left, "", "{line}");
                assert!(
                    secrets.len() == 1 && secrets[0].contains(why),
                    "{secrets:?}"
                );
                assert!(!secrets[0].contains("hunter2"), "{secrets:?}");
            }
        }
        // Struck out all the same: it is a secret, only not one that can be stored.
        let (_, _, redactor) = sifted(r#"{"secret": {"name": "A-B", "value": "hunter2"}}"#);
        assert_eq!(redactor.text("hunter2"), "[redacted:A-B]");
    }

    #[test]
    fn size_and_number_are_bounded() {
        let line =
            |value: &str| format!("{{\"secret\": {{\"name\": \"A\", \"value\": \"{value}\"}}}}\n");
        let (_, secrets, _) = sifted(&line(&"\\u0061".repeat(MAX_VALUE_BYTES)));
        assert_eq!(secrets, ["A=65536"]);
        let (left, secrets, _) = sifted(&(line(&"a".repeat(2 * MAX_LINE_BYTES)) + "x\n"));
        assert_eq!(left, "x\n");
        assert!(secrets[0].contains("more than"), "{secrets:?}");
        let long = "y".repeat(2 * MAX_LINE_BYTES) + "\nx\n";
        assert_eq!(sifted(&long).0, long);
        let (_, secrets, _) = sifted(&line("hunter2").repeat(MAX_SECRETS + 3));
        assert_eq!(secrets.len(), MAX_SECRETS + 1);
        assert!(secrets[MAX_SECRETS].contains("16 secrets at most"));
    }
}
