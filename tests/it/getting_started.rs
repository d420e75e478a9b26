//! The first pages for users, followed to the letter.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::documents::{blocks, follow};
use crate::world::{World, interpreter, text};

#[test]
fn getting_started_leads_from_nothing_to_an_approved_call_and_its_record() {
    let session = follow("docs/getting-started.md");
    let (success, printed) = session.run("smcp jobs list --json");
    assert!(success, "{printed}");
    assert!(printed.matches("\"succeeded\"").count() >= 4, "{printed}");
}

#[test]
fn the_python_client_of_the_page_about_clients_gets_its_answer() {
    let (world, _roles) = World::running();
    let added = world.smcp(&["agents", "add", "page", "--group", "users"]);
    let key = text(&added.stdout);
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/connecting.md");
    let blocks = blocks(&fs::read_to_string(page).unwrap());
    let block = blocks.iter().find(|block| block.info == "python").unwrap();
    let code = block.text.replace("http://127.0.0.1:8000", &world.url());
    let code = code.replace("smcp_…", key.trim());
    let output = Command::new(interpreter("SMCP_TEST_PYTHON", "test-venv"))
        .args(["-c", &code])
        .output()
        .unwrap();
    assert!(
        text(&output.stdout).contains("\"result\": 42"),
        "{output:?}"
    );
}
