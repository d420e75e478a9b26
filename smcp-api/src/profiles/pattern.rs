//! Patterns of names, as Python's `fnmatch` reads them, for which the files were written: `*`, `?`, `[ab-d]`, `[!ab-d]`.

use regex::{Regex, escape};

/// A pattern that whole names are compared with.
#[derive(Debug, Clone)]
pub(super) struct Pattern(Regex);

impl Pattern {
    /// Reads a pattern. A bracket that is not closed stands for itself, and several `*` for one.
    ///
    /// # Errors
    /// What is wrong with a range, such as one that runs backwards.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        let regex = format!(r"(?s)\A{}\z", translate(pattern));
        Regex::new(&regex).map(Self).map_err(|_| {
            "a range in brackets must run from a lower to a higher character".to_owned()
        })
    }

    /// Whether it describes the whole name.
    pub(super) fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

fn translate(pattern: &str) -> String {
    let mut regex = String::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        rest = &rest[first.len_utf8()..];
        match first {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            '[' => {
                if let Some((class, after)) = class(rest) {
                    regex.push_str(&class);
                    rest = after;
                } else {
                    regex.push_str(r"\[");
                }
            }
            other => regex.push_str(&escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    regex
}

/// A set of characters whose `[` has been read, and what comes after it; `None` where it is not closed.
fn class(text: &str) -> Option<(String, &str)> {
    let (is_negated, set) = match text.strip_prefix('!') {
        Some(set) => (true, set),
        None => (false, text),
    };
    // A bracket that comes first belongs to the set.
    let first = set.chars().next()?.len_utf8();
    let end = first + set[first..].find(']')?;
    let mut class = String::from(if is_negated { "[^" } else { "[" });
    for (at, c) in set[..end].char_indices() {
        let is_range = c == '-' && at > 0 && at + 1 < end;
        if !is_range && !c.is_alphanumeric() {
            class.push('\\');
        }
        class.push(c);
    }
    class.push(']');
    Some((class, &set[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_in_python() {
        let rows: [(&str, &[&str], &[&str]); 11] = [
            (
                "demo_*__[ce]*",
                &["demo_math__calc", "demo___e"],
                &["demo_math__add", "xdemo_m__c"],
            ),
            ("demo_**", &["demo_", "demo_a__b"], &["demo"]),
            ("a?c", &["abc", "a-c", "a\nc"], &["ac", "abbc"]),
            ("a[!b-d]e", &["aae", "a-e"], &["abe", "ace", "ae"]),
            ("a[]b]", &["a]", "ab"], &["a", "a[]b]"]),
            ("a[^b]", &["a^", "ab"], &["ac"]),
            ("a[b-]", &["ab", "a-"], &["ac"]),
            ("a[", &["a["], &["a"]),
            ("a[!", &["a[!"], &["ab"]),
            ("a.b+", &["a.b+"], &["axb", "a.bb"]),
            ("", &[""], &["a"]),
        ];
        for (text, matching, others) in rows {
            let pattern = Pattern::new(text).unwrap();
            for name in matching {
                assert!(pattern.matches(name), "{text} {name:?}");
            }
            for name in others {
                assert!(!pattern.matches(name), "{text} {name:?}");
            }
        }
        assert!(Pattern::new("[z-a]").is_err());
    }
}
