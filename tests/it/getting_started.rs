//! The first pages for users, followed to the letter.

use crate::documents::follow;

#[test]
fn getting_started_leads_from_nothing_to_an_approved_call_and_its_record() {
    let session = follow("docs/getting-started.md");
    let (success, printed) = session.run("smcp jobs list --json");
    assert!(success, "{printed}");
    assert!(printed.matches("\"succeeded\"").count() >= 4, "{printed}");
}
