//! Striking secrets out of what a plugin prints, also where it comes in pieces.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use aho_corasick::{AhoCorasick, AhoCorasickKind, Input, MatchKind};
use serde_json::Value;

use super::shapes::shapes;

/// So many bytes of a shape are looked for; where they are found, the rest is compared. An automaton of whole shapes would
/// take a thousand times the memory of a long value.
const BEGINNING_BYTES: usize = 32;

/// Strikes out some values, in every shape that `shapes.rs` knows; clones share what it knows of them, and learns.
#[derive(Clone, Default)]
pub struct Redactor(Arc<RwLock<Option<Arc<Known>>>>);

struct Known {
    /// Finds beginnings of shapes.
    automaton: AhoCorasick,
    /// For each beginning, by their places in `shapes`, those that may stand where it is found: the longest first.
    candidates: Vec<Vec<usize>>,
    /// The shapes in order, each with the place of its mark.
    shapes: Vec<(Vec<u8>, usize)>,
    /// What stands for each value.
    marks: Vec<String>,
    /// Whether a shape begins with that byte.
    begins: [bool; 256],
    longest: usize,
}

impl Redactor {
    /// One that strikes out `values`, each with its name: `[redacted:NAME]` takes its place. A value of fewer than
    /// [`MIN_VALUE_BYTES`](super::MIN_VALUE_BYTES) is left as it is.
    pub fn new<'v>(values: impl IntoIterator<Item = (&'v str, &'v str)>) -> Self {
        let known = Known::of(BTreeMap::new(), Vec::new(), values);
        Self(Arc::new(RwLock::new(known.map(Arc::new))))
    }

    /// Strikes out `value`, too, from now on and in every clone; what a stream holds back then included.
    pub fn learn(&self, name: &str, value: &str) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let (all, marks) = match known.as_deref() {
            Some(before) => (
                before.shapes.iter().cloned().collect(),
                before.marks.clone(),
            ),
            None => (BTreeMap::new(), Vec::new()),
        };
        if let Some(more) = Known::of(all, marks, [(name, value)]) {
            *known = Some(Arc::new(more));
        }
    }

    /// Whether it knows nothing to strike out.
    pub fn is_idle(&self) -> bool {
        self.known().is_none()
    }

    fn known(&self) -> Option<Arc<Known>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.clone()
    }

    /// A text without the values.
    pub fn text(&self, text: &str) -> String {
        let mut stream = self.stream();
        let mut bytes = stream.push(text.as_bytes()).into_owned();
        bytes.extend(stream.finish());
        // Whole texts are struck out of a text, and put into it.
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A JSON value without them, names of fields included.
    pub fn value(&self, value: Value) -> Value {
        if self.is_idle() {
            return value;
        }
        match value {
            Value::String(text) => self.text(&text).into(),
            Value::Array(items) => items.into_iter().map(|item| self.value(item)).collect(),
            Value::Object(fields) => fields
                .into_iter()
                .map(|(name, value)| (self.text(&name), self.value(value)))
                .collect(),
            scalar @ (Value::Null | Value::Bool(_)) => scalar,
            Value::Number(number) => {
                let text = number.to_string();
                let redacted = self.text(&text);
                if redacted == text {
                    number.into()
                } else {
                    redacted.into()
                }
            }
        }
    }

    /// A stream of bytes without them.
    pub fn stream(&self) -> RedactedStream {
        RedactedStream {
            redactor: self.clone(),
            held: Vec::new(),
        }
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known();
        let marks = known.as_deref().map(|known| &known.marks);
        f.debug_tuple("Redactor").field(&marks).finish()
    }
}

/// A stream that comes in pieces. What may be the beginning of a value is held back until it is known: never more than
/// the longest shape without a byte.
pub struct RedactedStream {
    redactor: Redactor,
    held: Vec<u8>,
}

impl RedactedStream {
    /// What is known of the stream when `chunk` has come.
    pub fn push<'c>(&mut self, chunk: &'c [u8]) -> Cow<'c, [u8]> {
        let Some(known) = self.redactor.known() else {
            return Cow::Borrowed(chunk);
        };
        self.held.extend_from_slice(chunk);
        let (done, from) = known.strike(&self.held, known.undecided(&self.held));
        self.held.drain(..from);
        Cow::Owned(done)
    }

    /// The rest, when nothing follows.
    pub fn finish(&mut self) -> Vec<u8> {
        let held = std::mem::take(&mut self.held);
        match self.redactor.known() {
            Some(known) => known.strike(&held, held.len()).0,
            None => held,
        }
    }
}

impl fmt::Debug for RedactedStream {
    /// What is held back may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedactedStream")
            .field("held_bytes", &self.held.len())
            .finish_non_exhaustive()
    }
}

impl Known {
    /// All of `shapes`, and those of `values`; `None` where there are none.
    fn of<'v>(
        mut all: BTreeMap<Vec<u8>, usize>,
        mut marks: Vec<String>,
        values: impl IntoIterator<Item = (&'v str, &'v str)>,
    ) -> Option<Self> {
        for (name, value) in values {
            for shape in shapes(value) {
                // Of two values that look alike the first gives its name.
                all.entry(shape).or_insert(marks.len());
            }
            marks.push(format!("[redacted:{}]", printable(name)));
        }
        let shapes: Vec<_> = all.into_iter().collect();
        if shapes.is_empty() {
            return None;
        }
        let (beginnings, candidates): (Vec<_>, Vec<_>) = by_beginning(&shapes).into_iter().unzip();
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(beginnings);
        // It fails with more than a hundred million secrets.
        let automaton = automaton.ok()?;
        let mut begins = [false; 256];
        for (shape, _) in &shapes {
            begins[usize::from(shape[0])] = true;
        }
        let longest = shapes.iter().map(|(shape, _)| shape.len()).max();
        Some(Self {
            automaton,
            candidates,
            marks,
            begins,
            longest: longest.unwrap_or(0),
            shapes,
        })
    }

    /// `text` without the values that begin before `until`, and from where on it has been left: a value that has begun
    /// before may end after.
    fn strike(&self, text: &[u8], until: usize) -> (Vec<u8>, usize) {
        let mut done = Vec::with_capacity(text.len());
        let (mut from, mut look_from) = (0, 0);
        while let Some(found) = self.automaton.find(Input::new(text).range(look_from..))
            && found.start() < until
        {
            let at = found.start();
            let mut candidates = self.candidates[found.pattern()].iter();
            let whole = candidates.find(|&&shape| text[at..].starts_with(&self.shapes[shape].0));
            let Some(&whole) = whole else {
                look_from = at + 1;
                continue;
            };
            let (shape, value) = &self.shapes[whole];
            done.extend_from_slice(&text[from..at]);
            done.extend_from_slice(self.marks[*value].as_bytes());
            from = at + shape.len();
            look_from = from;
        }
        if from < until {
            done.extend_from_slice(&text[from..until]);
            from = until;
        }
        (done, from)
    }

    /// From where on `text` may be the beginning of a shape that goes on in the next piece.
    fn undecided(&self, text: &[u8]) -> usize {
        let first = (text.len() + 1).saturating_sub(self.longest);
        (first..text.len())
            .find(|&at| self.begins[usize::from(text[at])] && self.is_beginning(&text[at..]))
            .unwrap_or(text.len())
    }

    /// Whether `part` is the beginning of a longer shape.
    fn is_beginning(&self, part: &[u8]) -> bool {
        let at = self.shapes.partition_point(|(shape, _)| &shape[..] <= part);
        let next = self.shapes.get(at);
        next.is_some_and(|(shape, _)| shape.starts_with(part))
    }
}

/// The distinct beginnings of shapes, each with the shapes that may stand where it is the longest one to be found: those that
/// begin so, and those that it begins with itself.
fn by_beginning(shapes: &[(Vec<u8>, usize)]) -> BTreeMap<&[u8], Vec<usize>> {
    let mut own = BTreeMap::<&[u8], Vec<usize>>::new();
    for (place, (shape, _)) in shapes.iter().enumerate() {
        let beginning = &shape[..shape.len().min(BEGINNING_BYTES)];
        own.entry(beginning).or_default().push(place);
    }
    let all = own.keys().map(|&beginning| {
        let parts = (1..=beginning.len()).map(|length| &beginning[..length]);
        let mut places: Vec<_> = parts
            .filter_map(|part| own.get(part))
            .flatten()
            .copied()
            .collect();
        places.sort_by_key(|&place| std::cmp::Reverse(shapes[place].0.len()));
        (beginning, places)
    });
    all.collect()
}

/// Names of parameters may be anything; what stands for a value must be fine within a JSON string.
fn printable(name: &str) -> String {
    let fine = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    name.chars()
        .map(|c| if fine(c) { c } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests;
