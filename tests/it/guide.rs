//! The guide for authors of plugins, followed to the letter.

use crate::documents::follow;

#[test]
fn the_guide_leads_from_nothing_to_a_plugin() {
    let session = follow("docs/plugins/guide.md");
    let (success, printed) = session.run("smcp jobs list --json");
    assert!(success, "{printed}");
    let succeeded = printed.matches("\"succeeded\"").count();
    assert_eq!(succeeded, 3, "{printed}");
}
