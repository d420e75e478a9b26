//! A record, as it is shown.

use serde::Deserialize;
use serde_json::Value;
use smcp_common::clock::Timestamp;

use crate::table::Table;
use crate::terminal::{Style, one_line};

/// A record, as `audit__search` answers it.
#[derive(Debug, Deserialize)]
pub(super) struct Record {
    seq: i64,
    at: Timestamp,
    kind: String,
    agent: String,
    job: Option<String>,
    data: Value,
}

impl Record {
    /// Itself as one line.
    pub(super) fn line(&self, style: Style) -> String {
        let Self {
            seq,
            at,
            kind,
            agent,
            ..
        } = self;
        let kind = style.bold(kind);
        format!("{seq} {at} {kind} {} {}", one_line(agent), self.details())
    }

    /// What there is to say of it, as words `name=value`.
    fn details(&self) -> String {
        let mut words = Vec::new();
        if let Some(job) = &self.job {
            words.push(format!("job={job}"));
        }
        for (name, value) in self.data.as_object().into_iter().flatten() {
            // Of use to programs only.
            if value.is_null() || name == "arguments_digest" {
                continue;
            }
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), ToOwned::to_owned);
            words.push(format!("{name}={value}"));
        }
        one_line(&words.join(" "))
    }
}

/// Records as a table.
pub(super) fn table(records: &[Record], style: Style) -> String {
    let mut table = Table::new(["RECORD", "AT", "KIND", "AGENT", "DETAILS"]);
    for record in records {
        table.row([
            record.seq.to_string(),
            record.at.to_string(),
            record.kind.clone(),
            one_line(&record.agent),
            record.details(),
        ]);
    }
    table.render(|row, _, cell| match row {
        0 => style.bold(cell),
        _ => cell.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_a_line_whatever_it_says() {
        let record = Record::deserialize(json!({
            "seq": 7, "at": 1000, "kind": "call.denied", "agent": "ci", "job": null, "hash": "00",
            "data": {"arguments": {"a": "x\ny"}, "arguments_digest": "00", "code": "not_allowed", "address": null},
        }))
        .unwrap();
        assert_eq!(
            record.line(Style::default()),
            r#"7 1970-01-01T00:00:01.000Z call.denied ci arguments={"a":"x\ny"} code=not_allowed"#
        );
        assert_eq!(
            table(&[record], Style::default()).lines().last().unwrap(),
            r#"7       1970-01-01T00:00:01.000Z  call.denied  ci     arguments={"a":"x\ny"} code=not_allowed"#
        );
    }
}
