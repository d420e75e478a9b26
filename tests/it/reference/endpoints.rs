//! `docs/reference/endpoints.md`, which is written by hand.

use std::fs;

use super::{root, source};

#[test]
fn the_page_has_every_route() {
    let page = fs::read_to_string(root().join("docs/reference/endpoints.md")).unwrap();
    let sources = source::files("smcp-api/src").into_iter().map(source::read);
    let routes: Vec<_> = sources
        .flat_map(|text| source::literals_after(&text, ".route("))
        .collect();
    assert!(routes.len() > 6, "{routes:?}");
    for route in routes.iter().map(String::as_str).chain(["/mcp"]) {
        assert!(
            page.contains(&format!("`{route}`")),
            "endpoints.md does not have {route}"
        );
    }
}
