//! Replays the inputs that the fuzzer found worth keeping; `fuzz/README.md` says how they came about.
#![expect(
    clippy::unwrap_used,
    reason = "code that only tests use fails the test; clippy's test setting does not reach them"
)]

#[path = "../../../fuzz/bodies/describe.rs"]
mod describe;
#[path = "../../../fuzz/bodies/edge.rs"]
mod edge;
#[path = "../../../fuzz/bodies/mcp.rs"]
mod mcp;
#[path = "../../../fuzz/bodies/messages.rs"]
mod messages;
#[path = "../../../fuzz/bodies/request.rs"]
mod request;

use std::fs;
use std::panic::{catch_unwind, set_hook, take_hook};
use std::path::Path;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Panics so far, those included that a task of the server has caught.
static PANICS: AtomicUsize = AtomicUsize::new(0);
static HOOKED: Once = Once::new();

#[test]
fn messages() {
    replay("messages", messages::run);
}

#[test]
fn mcp() {
    replay("mcp", mcp::run);
}

#[test]
fn describe() {
    replay("describe", describe::run);
}

fn replay(target: &str, run: fn(&[u8])) {
    HOOKED.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |panic| {
            PANICS.fetch_add(1, Ordering::Relaxed);
            usual(panic);
        }));
    });
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let mut inputs = 0;
    for entry in fs::read_dir(&corpus).unwrap() {
        let path = entry.unwrap().path();
        let input = fs::read(&path).unwrap();
        drop(catch_unwind(|| run(&input)));
        assert_eq!(PANICS.load(Ordering::Relaxed), 0, "{}", path.display());
        inputs += 1;
    }
    assert!(inputs > 0, "{} is empty", corpus.display());
}
