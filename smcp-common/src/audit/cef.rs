//! Records in the Common Event Format of `ArcSight`, version 0, which most collectors of security events read.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Hash, Record};
use crate::canonical::hex;

/// A record as one line, without its end.
pub fn cef_line(record: &Record<'_>, hash: &Hash) -> String {
    let data: Value = serde_json::from_str(record.data).unwrap_or_default();
    let text = |key: &str| data[key].as_str().map(ToOwned::to_owned);
    let mut line = format!(
        "CEF:0|SMCP|smcp|{}|{}|{}|{}|",
        env!("CARGO_PKG_VERSION"),
        header(record.kind),
        header(&record.kind.replace(['.', '_'], " ")),
        severity(record.kind),
    );
    let labelled = [
        ("cs1", "job", record.job.map(ToOwned::to_owned)),
        ("cs2", "tool", text("tool")),
        ("cs3", "data", Some(record.data.to_owned())),
        ("cs4", "hash", Some(hex(hash))),
    ];
    // Writing to a String cannot fail.
    write!(
        line,
        "rt={} externalId={} suser={}",
        record.at.as_millis(),
        record.seq,
        extension(record.agent)
    )
    .ok();
    let fields = [("src", text("address")), ("app", text("transport"))];
    for (key, value) in fields {
        if let Some(value) = value {
            write!(line, " {key}={}", extension(&value)).ok();
        }
    }
    for (key, label, value) in labelled {
        if let Some(value) = value {
            write!(line, " {key}Label={label} {key}={}", extension(&value)).ok();
        }
    }
    line
}

/// From 0 to 10.
fn severity(kind: &str) -> u8 {
    match kind.rsplit('.').next() {
        Some("denied" | "refused") => 6,
        _ => 3,
    }
}

fn header(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('|', "\\|");
    text.replace(['\n', '\r'], " ")
}

fn extension(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('=', "\\=");
    text.replace('\n', "\\n").replace('\r', "\\r")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn a_record_is_one_line_whatever_it_says() {
        let record = Record {
            seq: 7,
            at: Timestamp::from_millis(1_000),
            kind: "call.denied",
            agent: "a|b=c\\d\ne\r",
            job: None,
            data: r#"{"address":"::1","code":"x=y","tool":"m__add","transport":"stdio"}"#,
        };
        assert_eq!(
            cef_line(&record, &[0xab; 32]),
            format!(
                "CEF:0|SMCP|smcp|{}|call.denied|call denied|6|rt=1000 externalId=7 suser=a|b\\=c\\\\d\\ne\\r src=::1 app=stdio \
                 cs2Label=tool cs2=m__add cs3Label=data cs3={} cs4Label=hash cs4={}",
                env!("CARGO_PKG_VERSION"),
                record.data.replace('=', "\\="),
                "ab".repeat(32)
            )
        );
    }

    #[test]
    fn a_header_is_escaped() {
        assert_eq!(header("a|b\\c=d\n"), "a\\|b\\\\c=d ");
    }

    #[test]
    fn a_job_is_named() {
        let record = Record {
            seq: 1,
            at: Timestamp::from_millis(0),
            kind: "job.queued",
            agent: "local",
            job: Some("j1"),
            data: "{}",
        };
        assert!(cef_line(&record, &[0; 32]).contains(
            "|3|rt=0 externalId=1 suser=local cs1Label=job cs1=j1 cs3Label=data cs3={} "
        ));
    }
}
