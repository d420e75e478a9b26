use proptest::prelude::*;
use serde_json::json;

use super::*;

fn redacted(redactor: &Redactor, chunks: &[&[u8]]) -> String {
    let mut stream = redactor.stream();
    let mut text = Vec::new();
    for chunk in chunks {
        text.extend_from_slice(&stream.push(chunk));
        let longest = redactor.known().map_or(1, |known| known.longest);
        assert!(stream.held.len() < longest);
    }
    text.extend(stream.finish());
    String::from_utf8(text).unwrap()
}

#[test]
fn a_value_is_struck_out_wherever_the_stream_is_cut() {
    let redactor = Redactor::new([("A", "hunter2"), ("B", "hunter2000")]);
    let text = b"x hunter2, hunter2000 hunter200 aHVudGVyMg== 68756e74657232 hunter";
    let expected = "x [redacted:A], [redacted:B] [redacted:A]00 [redacted:A] [redacted:A] hunter";
    for at in 0..text.len() {
        let (first, second) = text.split_at(at);
        assert_eq!(redacted(&redactor, &[first, second]), expected, "{at}");
    }
    let bytes: Vec<_> = text.chunks(1).collect();
    assert_eq!(redacted(&redactor, &bytes), expected);
}

#[test]
fn a_long_value_is_struck_out_as_a_whole_and_its_beginning_alone_is_not() {
    let long = "0123456789".repeat(10);
    let (longer, short) = (format!("{long}x"), &long[..20]);
    let redactor = Redactor::new([("A", &*long), ("B", &longer), ("C", short)]);
    let text = format!("{long} {longer} {short} {}! {}", &long[..19], &long[..99]);
    let expected = format!(
        "[redacted:A] [redacted:B] [redacted:C] {}! {}",
        &long[..19],
        // As many of the shorter one as there are in it.
        "[redacted:C]".repeat(4) + &long[80..99]
    );
    for at in 0..text.len() {
        let (first, second) = text.as_bytes().split_at(at);
        assert_eq!(redacted(&redactor, &[first, second]), expected, "{at}");
    }
}

#[test]
fn a_long_value_takes_no_more_memory_than_its_shapes() {
    let value = "a long/\"value\" of <much> text & more\n".repeat(1_700);
    let redactor = Redactor::new([("A", value.as_str())]);
    let known = redactor.known().unwrap();
    assert!(known.automaton.memory_usage() < 1024 * 1024);
}

#[test]
fn what_cannot_become_a_value_is_passed_on_at_once() {
    let redactor = Redactor::new([("A", "hunter2")]);
    let mut stream = redactor.stream();
    assert_eq!(&*stream.push(b"progress 1\n"), b"progress 1\n");
    assert_eq!(&*stream.push(b"hunt"), b"");
    assert_eq!(&*stream.push(b"ing\n"), b"hunting\n");
    assert_eq!(stream.finish(), b"");
}

#[test]
fn events_are_looked_through_to_their_leaves() {
    let redactor = Redactor::new([("PIN", "12345678"), ("odd \"name\"", "hunter2")]);
    let event = json!({"message": "pin 12345678", "hunter2": [12_345_678, 1234, true, null]});
    assert_eq!(
        redactor.value(event),
        json!({"message": "pin [redacted:PIN]",
               "[redacted:odd__name_]": ["[redacted:PIN]", 1234, true, null]})
    );
}

#[test]
fn a_value_that_is_learnt_is_struck_out_of_what_comes_next() {
    for first in [Redactor::default(), Redactor::new([("A", "hunter2")])] {
        let mut stream = first.stream();
        let mut text = stream.push(b"swordfish, sword").into_owned();
        first.clone().learn("B", "swordfish");
        text.extend_from_slice(&stream.push(b"swordfi"));
        text.extend_from_slice(&stream.push(b"sh, "));
        text.extend_from_slice(&stream.push(b"hunter2, c3dvcmRmaXNo"));
        text.extend(stream.finish());
        let text = String::from_utf8(text).unwrap();
        let known = if first.known().unwrap().marks.len() == 1 {
            "hunter2"
        } else {
            "[redacted:A]"
        };
        assert_eq!(
            text,
            format!("swordfish, sword[redacted:B], {known}, [redacted:B]")
        );
        assert_eq!(first.text("swordfish"), "[redacted:B]");
    }
}

#[test]
fn nothing_is_struck_out_where_nothing_is_known() {
    let redactor = Redactor::new([("SHORT", "abc")]);
    assert!(redactor.is_idle());
    assert!(matches!(
        redactor.stream().push(b"abc"),
        Cow::Borrowed(b"abc")
    ));
}

proptest! {
    #[test]
    fn where_the_stream_is_cut_does_not_matter(
        values in prop::collection::vec(prop_oneof!["[ab]{4,7}", "(ab){14,18}[ab]{0,4}"], 1..4),
        text in "[ab+/%=2Z]{0,200}",
        cuts in prop::collection::vec(0_usize..200, 0..8),
    ) {
        let named: Vec<_> = values.iter().map(|value| ("N", value.as_str())).collect();
        let redactor = Redactor::new(named);
        let text = format!("{text}{}{text}", values[0]);
        let mut cuts: Vec<_> = cuts.into_iter().filter(|cut| *cut < text.len()).collect();
        cuts.sort_unstable();
        let mut chunks = Vec::new();
        let mut from = 0;
        for cut in cuts {
            chunks.push(&text.as_bytes()[from..cut]);
            from = cut;
        }
        chunks.push(&text.as_bytes()[from..]);
        let whole = redacted(&redactor, &[text.as_bytes()]);
        prop_assert_eq!(redacted(&redactor, &chunks), &whole[..]);
        for value in &values {
            prop_assert!(!whole.contains(value.as_str()));
        }
    }

    #[test]
    fn no_shape_of_a_value_is_left(value in any::<String>(), before in "[ -~]{0,9}", after in "[ -~]{0,9}") {
        let value = format!("{value}#\u{e9}/7");
        let redactor = Redactor::new([("V", value.as_str())]);
        for shape in shapes(&value) {
            let shape = String::from_utf8(shape).unwrap();
            let text = redactor.text(&format!("{before}{shape}{after}"));
            prop_assert!(!text.contains(&shape), "{}", text);
        }
    }
}
