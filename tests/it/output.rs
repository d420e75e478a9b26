//! Output that is larger than an answer: its beginning comes at once, the rest when asked for.

use serde_json::json;

use crate::world::{World, job_of, text, text_of};

const BYTES: usize = 3 * 1024 * 1024 + 7;

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_the_answer_can_be_read_and_searched() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    // What the plugin prints: numbered lines of 16 bytes, cut to the length asked for, and a `$` at the end.
    let mut printed: String = (0..=BYTES / 16).map(|line| format!("{line:015}\n")).collect();
    printed.truncate(BYTES - 1);
    printed.push('$');

    let answer = client.call("awkward__large", json!({"bytes": BYTES})).await;
    assert_eq!(answer.is_error, Some(false));
    let id = job_of(&answer);
    let told = text_of(&answer);
    let (head, note) = told.rsplit_once("\n[").unwrap();
    assert_eq!(head, printed[..1024 * 1024].trim_end());
    assert_eq!(note, format!("The output is cut here: it has {BYTES} bytes. jobs__output with id {id} reads the rest.]"));

    let (mut read, mut offset) = (String::new(), 0);
    loop {
        let page = client.json("jobs__output", json!({"id": id, "offset": offset, "limit": 1_000_000})).await;
        read.push_str(page["text"].as_str().unwrap());
        assert_eq!((&page["total_bytes"], &page["truncated"]), (&json!(BYTES), &json!(false)));
        let next = page["next_offset"].as_u64().unwrap();
        if page["done"] == true {
            break;
        }
        assert!(next > offset, "{page}");
        offset = next;
    }
    assert!(read == printed, "what was read is not what was printed");

    let found = client.json("jobs__output", json!({"id": id, "limit": 1024 * 1024, "grep": "00012[34]$"})).await;
    assert_eq!(found["text"], "000000000000123\n000000000000124\n000000000010123\n000000000010124\n000000000020123\n\
        000000000020124\n000000000030123\n000000000030124\n000000000040123\n000000000040124\n000000000050123\n000000000050124\n\
        000000000060123\n000000000060124\n");
    let bad = client.call("jobs__output", json!({"id": id, "grep": "("})).await;
    assert!(text_of(&bad).contains("'grep'"), "{bad:?}");

    let whole = world.smcp(&["jobs", "output", &id]);
    assert!(whole.stdout == printed.as_bytes(), "{}", text(&whole.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_a_mebibyte_comes_whole() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let answer = client.call("awkward__large", json!({"bytes": 1024 * 1024})).await;
    assert_eq!(text_of(&answer).len(), 1024 * 1024);
    let nothing = client.call("awkward__large", json!({"bytes": 0})).await;
    assert_eq!((nothing.is_error, text_of(&nothing).as_str()), (Some(false), ""));
}
