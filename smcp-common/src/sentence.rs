//! Sentences made of the clauses in which errors and reasons are written.

use std::fmt::Display;

/// The clause with a capital letter and a full stop; nothing of nothing.
pub fn sentence(clause: &impl Display) -> String {
    let clause = clause.to_string();
    let mut letters = clause.chars();
    letters.next().map_or_else(String::new, |first| {
        format!("{}{}.", first.to_uppercase(), letters.as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clause_becomes_a_sentence() {
        for (clause, expected) in [("it is so", "It is so."), ("émile", "Émile."), ("", "")] {
            assert_eq!(sentence(&clause), expected);
        }
    }
}
