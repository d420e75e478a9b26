use serde_json::json;

use super::*;
use crate::canonical;
use crate::key_file::Key;

const RECORDS: usize = 20;
const CHAIN: &str = "c1";

fn signer(byte: u8) -> Signer {
    Signer::new(&Key::new([byte; 32]))
}

/// The lines of an export: the heading, record 1 on line 2, checkpoints after records 10 and 20.
fn export() -> Vec<String> {
    written(RECORDS, |_, _| {})
}

/// The same, after `change` has done something to the details of each record before it was hashed.
fn written(records: usize, change: impl Fn(usize, &mut String)) -> Vec<String> {
    let mut previous = GENESIS;
    let heading = Heading {
        chain: CHAIN.to_owned(),
        from: 1,
        previous,
    };
    let mut lines = vec![heading.line()];
    for n in 1..=records {
        let mut data = format!(r#"{{"n":{n},"tool":"demo_math__calculate"}}"#);
        change(n, &mut data);
        let record = Record {
            seq: n.try_into().unwrap(),
            at: Timestamp::from_millis(1_000),
            kind: "job.queued",
            agent: "local",
            job: Some("job-1"),
            data: &data,
        };
        previous = record.hash(&previous);
        lines.push(record_line(&record, &previous));
        if n % 10 == 0 {
            lines.push(signed(9, CHAIN, record.seq, &previous));
        }
    }
    lines
}

fn signed(key: u8, chain: &str, seq: i64, hash: &Hash) -> String {
    let tip = Tip { chain, seq, hash };
    Checkpoint::sign(&signer(key), tip, Timestamp::from_millis(2_000)).line()
}

fn trust() -> Trust {
    Trust {
        keys: vec![signer(9).public().clone()],
        anchors: Vec::new(),
    }
}

fn text(lines: &[String]) -> String {
    lines
        .iter()
        .fold(String::new(), |text, line| text + line + "\n")
}

fn verify(text: &str, trust: Trust) -> Result<Verified, String> {
    let result = verify_export(text.as_bytes(), trust).unwrap();
    result.map_err(|finding| finding.to_string())
}

/// Where record `n` stands.
const fn line(n: usize) -> usize {
    n + (n - 1) / 10
}

#[test]
fn a_chain_as_written_holds() {
    let found = verify(&text(&export()), trust()).unwrap();
    let expected = Verified {
        first: 1,
        last: 20,
        signed: 20,
        checkpoints: 2,
        anchors: 0,
        signatures: true,
    };
    assert_eq!(found, expected);
    let unsigned = verify(&text(&export()), Trust::default()).unwrap();
    assert_eq!(
        unsigned,
        Verified {
            signatures: false,
            ..expected
        }
    );
}

/// A way to tamper with an export, and what is found.
struct Tampering {
    name: &'static str,
    tamper: fn(Vec<String>) -> String,
    found: &'static str,
}

fn tampered(tamper: fn(&mut Vec<String>), mut lines: Vec<String>) -> String {
    tamper(&mut lines);
    text(&lines)
}

const TAMPERINGS: &[Tampering] = &[
    Tampering {
        name: "an edited record",
        tamper: |it| {
            tampered(
                |it| it[line(17)] = it[line(17)].replace("local", "nobody"),
                it,
            )
        },
        found: "record 17: does not match its hash",
    },
    Tampering {
        name: "reordered records",
        tamper: |it| tampered(|it| it.swap(line(16), line(17)), it),
        found: "record 16: record 17 is where it should be",
    },
    Tampering {
        name: "a removed record",
        tamper: |it| tampered(|it| drop(it.remove(line(17))), it),
        found: "record 17: record 18 is where it should be",
    },
    Tampering {
        name: "a duplicated record",
        tamper: |it| tampered(|it| it.insert(line(17), it[line(17)].clone()), it),
        found: "record 17: comes twice",
    },
    Tampering {
        name: "an inserted record",
        tamper: |it| {
            tampered(
                |it| it.insert(line(17), it[line(16)].replace("\"seq\":16", "\"seq\":17")),
                it,
            )
        },
        found: "record 17: does not match its hash",
    },
    Tampering {
        name: "a truncated tail",
        tamper: |it| tampered(|it| drop(it.drain(line(17)..=line(20))), it),
        found: "record 17: is missing, as is all after it: 20 records have been signed",
    },
    Tampering {
        name: "a changed checkpoint",
        tamper: |it| {
            tampered(
                |it| it[line(10) + 1] = it[line(10) + 1].replace("\"at\":2000", "\"at\":2001"),
                it,
            )
        },
        found: "checkpoint of record 10: its signature is not valid",
    },
    Tampering {
        name: "a forged signature",
        tamper: |it| {
            tampered(
                |it| {
                    let good = signer(9).public().id().to_owned();
                    let forged = signed(8, CHAIN, 10, &[1; 32]);
                    it[line(10) + 1] = forged.replace(signer(8).public().id(), &good);
                },
                it,
            )
        },
        found: "checkpoint of record 10: its signature is not valid",
    },
    Tampering {
        name: "a checkpoint by another key",
        tamper: |it| tampered(|it| it[line(10) + 1] = signed(8, CHAIN, 10, &[1; 32]), it),
        found: "checkpoint of record 10: it is signed with the key ",
    },
    Tampering {
        name: "a checkpoint of another chain",
        tamper: |it| tampered(|it| it[line(10) + 1] = signed(9, "c2", 10, &[1; 32]), it),
        found: "checkpoint of record 10: it belongs to another chain, c2",
    },
    Tampering {
        name: "a file cut in the middle of a line",
        tamper: |it| {
            let mut text = text(&it[..=line(17)]);
            text.truncate(text.len() - 20);
            text
        },
        found: "record 17: the file ends in the middle of its line (line 19)",
    },
    Tampering {
        name: "JSON that is not canonical",
        tamper: |it| {
            tampered(
                |it| it[line(17)] = it[line(17)].replace(",\"at\"", ", \"at\""),
                it,
            )
        },
        found: "record 17: is not canonical JSON",
    },
    Tampering {
        name: "JSON that is not canonical, around the record",
        tamper: |it| {
            tampered(
                |it| it[line(17)] = it[line(17)].replace(",\"record\"", ", \"record\""),
                it,
            )
        },
        found: "record 17: is not canonical JSON",
    },
    Tampering {
        name: "a history that was made anew, but for its checkpoints",
        tamper: |it| {
            let mut anew = written(RECORDS, |n, data| {
                if n == 17 {
                    *data = data.replace("calculate", "multiply");
                }
            });
            anew[line(20) + 1].clone_from(&it[line(20) + 1]);
            text(&anew)
        },
        found: "record 20: is not the one that was signed: it or one before it, since record 11",
    },
    Tampering {
        name: "a checkpoint that was moved",
        tamper: |it| {
            tampered(
                |it| {
                    let moved = it.remove(line(10) + 1);
                    it.insert(line(15), moved);
                },
                it,
            )
        },
        found: "checkpoint of record 10: it does not stand after that record",
    },
    Tampering {
        name: "something that is no record",
        tamper: |it| tampered(|it| it[line(17)] = "{}".to_owned(), it),
        found: "record 17: cannot be read as a record (line 19)",
    },
    Tampering {
        name: "a heading with another id",
        tamper: |it| tampered(|it| it[0] = it[0].replace("c1", "c2"), it),
        found: "checkpoint of record 10: it belongs to another chain, c1",
    },
];

#[test]
fn every_kind_of_tampering_is_found_and_named() {
    for Tampering {
        name,
        tamper,
        found,
    } in TAMPERINGS
    {
        let said = verify(&tamper(export()), trust()).expect_err(name);
        assert!(said.starts_with(found), "{name}: {said}");
    }
}

#[test]
fn with_an_anchor_even_a_chain_without_checkpoints_of_its_own_cannot_be_shortened_or_rewritten() {
    let lines = export();
    let anchors: Vec<_> = lines
        .iter()
        .filter_map(|line| Checkpoint::parse(line))
        .collect();
    assert_eq!(anchors.len(), 2);
    let anchored = || Trust {
        anchors: anchors.clone(),
        ..trust()
    };
    assert_eq!(verify(&text(&lines), anchored()).unwrap().anchors, 2);
    let without = |lines: Vec<String>| -> Vec<_> {
        lines
            .into_iter()
            .filter(|line| Checkpoint::parse(line).is_none())
            .collect()
    };
    let shortened = text(&without(written(16, |_, _| {})));
    assert!(
        verify(&shortened, trust()).is_ok(),
        "nothing says that there was more"
    );
    assert_eq!(
        verify(&shortened, anchored()).unwrap_err(),
        "record 17: is missing, as is all after it: 20 records have been signed"
    );
    let rewritten = text(&without(written(RECORDS, |n, data| {
        if n == 3 {
            *data = data.replace("calculate", "multiply");
        }
    })));
    assert!(verify(&rewritten, trust()).is_ok());
    assert!(verify(&rewritten, anchored()).unwrap_err().starts_with(
        "record 10: is not the one that was signed: it or one before it, since record 1,"
    ));
}

#[test]
fn a_part_of_a_chain_is_verified_from_where_it_begins() {
    let lines = export();
    let hash = lines[line(12)][9..73].to_owned();
    let heading = Heading {
        chain: CHAIN.to_owned(),
        from: 13,
        previous: canonical::unhex(&hash).unwrap(),
    };
    let mut part = vec![heading.line()];
    part.extend_from_slice(&lines[line(13)..]);
    let found = verify(&text(&part), trust()).unwrap();
    assert_eq!((found.first, found.last, found.signed), (13, 20, 20));
    part[0] = part[0].replace(&hash, &"0".repeat(64));
    let said = verify(&text(&part), trust()).unwrap_err();
    assert!(
        said.starts_with("record 13: does not match its hash"),
        "{said}"
    );
}

#[test]
fn what_is_no_export_is_refused() {
    for bad in [
        "",
        "{}\n",
        "dear grandmother\n",
        "{\"chain\":\"c1\"",
        "\u{fffd}",
    ] {
        assert!(verify_export(bad.as_bytes(), trust()).is_err(), "{bad}");
    }
    assert!(verify_export([0xff, b'\n'].as_slice(), trust()).is_err());
    for from in [0, -1, i64::MAX] {
        let previous = GENESIS;
        let chain = CHAIN.to_owned();
        let heading = Heading {
            chain,
            from,
            previous,
        };
        let text = heading.line() + "\n";
        assert!(verify_export(text.as_bytes(), trust()).is_err(), "{from}");
    }
}

#[test]
fn what_is_hashed_is_canonical_json() {
    for job in [None, Some("j")] {
        let data = json!({"a": [1, "x"]});
        let (agent, text) = ("a \"quoted\"\n é", canonical::to_string(&data));
        let record = Record {
            seq: 7,
            at: Timestamp::from_millis(5),
            kind: "job.queued",
            agent,
            job,
            data: &text,
        };
        let value = json!({"seq": 7, "kind": "job.queued", "job": job, "data": data, "at": 5, "agent": agent});
        let mut written = String::new();
        record.write_canonical(&mut written);
        assert_eq!(written, canonical::to_string(&value));
        let line = record_line(&record, &[0; 32]);
        assert!(canonical::is_canonical(&line), "{line}");
    }
}
