//! Output that is larger than an answer: its beginning comes at once, the rest when asked for.

use serde_json::{Value, json};

use crate::world::{Client, World, job_of, text, text_of};

const BYTES: usize = 3 * 1024 * 1024 + 7;

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_the_answer_can_be_read_and_searched() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    // What the plugin prints: numbered lines of 16 bytes, cut to the length asked for, and a `$` at the end.
    let lines: Vec<_> = (0..=BYTES / 16)
        .map(|line| format!("{line:015}\n"))
        .collect();
    let mut printed = lines.concat();
    printed.truncate(BYTES - 1);
    printed.push('$');

    let answer = client.call("awkward__large", json!({"bytes": BYTES})).await;
    assert_eq!(answer.is_error, Some(false));
    let id = job_of(&answer);
    let told = text_of(&answer);
    let (head, rest) = told.split_once('[').unwrap();
    let (note, tail) = rest.split_once("]\n").unwrap();
    assert!(head.len() > 20 * 1024 && printed.starts_with(head) && head.ends_with('\n'));
    assert!(tail.len() > 7 * 1024 && printed.ends_with(tail), "{tail}");
    let (from, to) = (head.len(), printed.len() - tail.len());
    assert_eq!(
        note,
        format!(
            "{} of {BYTES} bytes are left out here, from byte {from} to byte {to}. Read them with \
             jobs__output, id {id}, offset {from}; or as the resource smcp://jobs/{id}/output?offset={from}.",
            to - from
        )
    );

    let whole = pages(&client, json!({"id": id, "limit": 1_000_000})).await;
    assert!(whole == printed, "what was read is not what was printed");

    // No line is missed that lies across the border of two pages.
    let found = pages(&client, json!({"id": id, "limit": 99_999, "grep": "7$"})).await;
    let matching = lines.iter().filter(|line| line.ends_with("7\n"));
    let expected: Vec<_> = matching.map(String::as_str).collect();
    assert!(found == expected.concat(), "not every line was found");
    let bad = client
        .call("jobs__output", json!({"id": id, "grep": "("}))
        .await;
    assert!(text_of(&bad).contains("'grep'"), "{bad:?}");

    let whole = world.smcp(&["jobs", "output", &id]);
    assert!(
        whole.stdout == printed.as_bytes(),
        "{}",
        text(&whole.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_64_kib_comes_whole() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let answer = client
        .call("awkward__large", json!({"bytes": 64 * 1024}))
        .await;
    assert_eq!(
        (text_of(&answer).len(), answer.content.len()),
        (64 * 1024, 1)
    );
    let nothing = client.call("awkward__large", json!({"bytes": 0})).await;
    assert_eq!(
        (nothing.is_error, text_of(&nothing).as_str()),
        (Some(false), "")
    );
}

/// All that `jobs__output` reads, page by page.
async fn pages(client: &Client, mut arguments: Value) -> String {
    let mut read = String::new();
    loop {
        let page = client.json("jobs__output", arguments.clone()).await;
        read.push_str(page["text"].as_str().unwrap());
        assert_eq!(
            (&page["total_bytes"], &page["truncated"], &page["done"]),
            (&json!(BYTES), &json!(false), &json!(true))
        );
        let next = page["next_offset"].as_u64().unwrap();
        if next == BYTES as u64 {
            return read;
        }
        assert!(
            next > arguments["offset"].as_u64().unwrap_or(0),
            "no progress at {next}"
        );
        arguments["offset"] = json!(next);
    }
}
