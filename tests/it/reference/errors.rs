//! `docs/reference/errors.md`.

use std::collections::BTreeSet;

use smcp_api::code::{ANSWERS, CALLS, Code, HTTP, TOOLS};

use super::{head, keep, row, source};

const JOBS: &str = "smcp-common/src/job/outcome.rs";
const WORKFLOWS: &str = "smcp-common/src/workflow/progress.rs";

#[test]
fn the_page_has_every_code() {
    let mut page = "# Error codes\n\n\
<!-- Made of the code by tests/it/reference.rs; change it there. -->\n\n\
What fails is told with a code that does not change and a sentence for people. An answer to a tool call has both in\n\
`structuredContent.error` and sets `isError`; `smcp` prints the sentence, and with `--json` both. The code that a\n\
plugin has printed for its own failure is beside it, as `plugin_code`.\n"
        .to_owned();
    section(
        &mut page,
        "A call that was not run",
        "Nothing has been recorded but a denial.",
        CALLS,
    );
    let jobs = source::codes(JOBS);
    table(
        &mut page,
        "A job that has failed",
        "In `error` of the job, and in the answer of its call. [States](states.md) says in which state it is then, and \
         [Protocol](../protocol.md#tools-and-what-comes-with-a-call) which of them are tried again.",
        &jobs,
    );
    table(
        &mut page,
        "A step, or a workflow",
        "A step has the code of its job else.",
        &source::codes(WORKFLOWS),
    );
    section(
        &mut page,
        "An answer that is not the usual one",
        "The call has been recorded.",
        ANSWERS,
    );
    section(
        &mut page,
        "Built-in tools",
        "Beside those of a call that was not run. Tools that change many jobs have such a code for each that they have left alone.",
        TOOLS,
    );
    page += "\n## Before MCP\n\nOf an HTTP request that reaches no tool. The body is `{\"code\", \"message\"}` where nothing else is said.\n\n";
    page += &head(&["status", "code", "meaning"]);
    for (status, code) in HTTP {
        page += &row(&[
            &status.to_string(),
            &format!("`{}`", code.name),
            code.meaning,
        ]);
    }
    page += "\nMessages that are no calls of tools are answered by JSON-RPC's own numbers, such as -32602 for parameters that do not fit.\n";
    keep("errors.md", &page);
}

fn section(page: &mut String, title: &str, about: &str, codes: &[Code]) {
    let rows = codes.iter();
    let rows: Vec<_> = rows
        .map(|code| (code.name.to_owned(), code.meaning.to_owned()))
        .collect();
    table(page, title, about, &rows);
}

fn table(page: &mut String, title: &str, about: &str, rows: &[(String, String)]) {
    *page += &format!("\n## {title}\n\n{about}\n\n");
    *page += &head(&["code", "meaning"]);
    for (name, meaning) in rows {
        assert!(!meaning.is_empty(), "{name} says nothing");
        *page += &row(&[&format!("`{name}`"), meaning]);
    }
}

/// Every place in which a code is written, as the sources are written today: a code in another one is found by whoever
/// adds that place here.
#[test]
fn the_registry_has_the_codes_of_the_sources_and_no_others() {
    let mut written = BTreeSet::new();
    for path in ["smcp-api/src", "smcp-common/src", "smcp-worker/src"]
        .into_iter()
        .flat_map(source::files)
    {
        if path.ends_with("smcp-api/src/code.rs") {
            continue;
        }
        let text = source::read(&path);
        let is_code = |line: &&str| !line.trim_start().starts_with("//");
        let text = text.lines().filter(is_code).collect::<Vec<_>>().join("\n");
        let is_api = path.to_string_lossy().contains("smcp-api/src");
        let mut places = vec!["Refusal::new(", "rejection(", "code: ", "\"code\": "];
        if is_api {
            places.push("Problem::new(");
            places.push("\"error\": ");
        }
        if path.ends_with("refusal.rs") {
            places.push("Self::new(");
        }
        for place in places {
            written.extend(source::literals_after(&text, place));
        }
        for rest in text.split("(StatusCode::").skip(1) {
            let literal = rest.split_once(", \"").and_then(|(status, rest)| {
                let is_status = status.chars().all(|c| c.is_ascii_uppercase() || c == '_');
                is_status.then(|| rest.split_once('"'))?
            });
            written.extend(literal.map(|(literal, _)| literal.to_owned()));
        }
        written.extend(source::literals_within(&text, "fn code("));
        // A constant of the same file.
        for name in text.split("Refusal::new(").skip(1) {
            let name: String = name
                .chars()
                .take_while(|c| c.is_ascii_uppercase() || *c == '_')
                .collect();
            if !name.is_empty() {
                written.extend(source::literals_after(
                    &text,
                    &format!("const {name}: &str ="),
                ));
            }
        }
    }
    let is_code = |text: &String| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    };
    written.retain(is_code);
    let http = HTTP.iter().map(|(_, code)| code);
    let known = [CALLS, ANSWERS, TOOLS].into_iter().flatten().chain(http);
    let known: BTreeSet<_> = known.map(|code| code.name.to_owned()).collect();
    let failures: BTreeSet<_> = [JOBS, WORKFLOWS]
        .into_iter()
        .flat_map(source::codes)
        .map(|(name, _)| name)
        .collect();
    let unknown: Vec<_> = written
        .iter()
        .filter(|name| !known.contains(*name) && !failures.contains(*name))
        .collect();
    assert!(
        unknown.is_empty(),
        "not in smcp-api/src/code.rs: {unknown:?}"
    );
    let stale: Vec<_> = known
        .iter()
        .filter(|name| !written.contains(*name) && !failures.contains(*name))
        .collect();
    assert!(
        stale.is_empty(),
        "nowhere but in smcp-api/src/code.rs: {stale:?}"
    );
}
