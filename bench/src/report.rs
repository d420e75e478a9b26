//! What was found, as a table for people or as JSON lines for programs.

use std::io::{self, Write as _};
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::machine::Machine;
use crate::series::Series;

/// Where results go, one at a time, as they are found.
#[derive(Debug)]
pub(crate) struct Report {
    json: bool,
    machine: Machine,
}

impl Report {
    /// Begins with a line about the machine and the file system of `directory`.
    pub(crate) fn begin(json: bool, directory: &Path) -> anyhow::Result<Self> {
        let machine = Machine::of(directory)?;
        let mut out = io::stdout().lock();
        if !json {
            writeln!(out, "{machine}")?;
            writeln!(
                out,
                "{:<42} {:<18} {:>12} {:>12} {:>12} {:>5}",
                "CASE", "FIGURE", "MEDIAN", "MIN", "MAX", "RUNS"
            )?;
        }
        Ok(Self { json, machine })
    }

    /// Prints the result of one case of a benchmark. `case` is an object: what distinguishes it from the others.
    pub(crate) fn result(&self, bench: &str, case: &Value, series: &Series) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            let figures: Map<_, _> = series
                .summaries()
                .map(|(name, is)| {
                    (
                        name.to_owned(),
                        json!({"median": is.median, "min": is.min, "max": is.max}),
                    )
                })
                .collect();
            let result = json!({
                "bench": bench,
                "case": case,
                "runs": series.runs(),
                "figures": figures,
                "machine": self.machine.to_json(),
            });
            writeln!(out, "{result}")?;
        } else {
            let mut label = label(bench, case);
            for (name, is) in series.summaries() {
                writeln!(
                    out,
                    "{label:<42} {name:<18} {:>12} {:>12} {:>12} {:>5}",
                    number(is.median),
                    number(is.min),
                    number(is.max),
                    series.runs()
                )?;
                label.clear();
            }
        }
        out.flush()?;
        Ok(())
    }
}

fn label(bench: &str, case: &Value) -> String {
    let mut label = bench.to_owned();
    for (name, value) in case.as_object().into_iter().flatten() {
        match value.as_str() {
            Some(text) => label.push_str(&format!(" {text}")),
            None => label.push_str(&format!(" {name}={value}")),
        }
    }
    label
}

/// Three digits of a small number, no decimals of a large one.
fn number(value: f64) -> String {
    if value.abs() < 100.0 {
        format!("{value:.3}")
    } else {
        format!("{value:.0}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_named_by_what_distinguishes_it() {
        assert_eq!(
            label("enqueue", &json!({"durability": "full", "callers": 64})),
            "enqueue full callers=64"
        );
        assert_eq!(label("idle", &Value::Null), "idle");
    }
}
