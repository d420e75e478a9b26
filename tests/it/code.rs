//! Rules for the code itself that no lint can state.

use std::fs;
use std::path::{Path, PathBuf};

/// Unsafe code is denied by a lint everywhere; only this file may lift it.
const UNSAFE: &str = "smcp-worker/src/sandbox/sys.rs";

#[test]
fn one_file_alone_is_unsafe() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lifts = |path: &PathBuf| {
        // In two parts, so that this file is none of those.
        let lint = concat!("unsafe", "_code");
        fs::read_to_string(path).unwrap().contains(lint)
    };
    let found: Vec<_> = [
        "src",
        "smcp-api",
        "smcp-common",
        "smcp-worker",
        "bench",
        "tests",
    ]
    .iter()
    .flat_map(|directory| sources(&root.join(directory)))
    .filter(lifts)
    .map(|path| path.strip_prefix(root).unwrap().to_owned())
    .collect();
    assert_eq!(found, [Path::new(UNSAFE)]);
}

/// The Rust files in and below `directory`.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}
