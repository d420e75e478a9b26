//! Answers in the words of the client's protocol revision: rmcp sends what it is given, and clients that check their
//! messages refuse a whole answer for one kind of content that they do not know.

use rmcp::model::{CallToolResult, ContentBlock, ProtocolVersion};
use serde_json::Value;

use super::resource;
use crate::answer::JOB_META;

/// The result as a client of that revision understands it; as it is where the revision is not known.
pub(super) fn for_revision(
    mut result: CallToolResult,
    revision: Option<&ProtocolVersion>,
) -> CallToolResult {
    let Some(revision) = revision else {
        return result;
    };
    let knows = |since: ProtocolVersion| *revision >= since;
    let raw = raw_output(&result);
    if !knows(ProtocolVersion::V_2025_06_18) {
        for block in &mut result.content {
            match block {
                ContentBlock::ResourceLink(link) => {
                    *block = ContentBlock::text(format!("[{}: {}]", link.name, link.uri));
                }
                ContentBlock::Audio(audio) if !knows(ProtocolVersion::V_2025_03_26) => {
                    let note = format!("[audio, {}: {raw}]", audio.mime_type);
                    *block = ContentBlock::text(note);
                }
                ContentBlock::Text(_)
                | ContentBlock::Image(_)
                | ContentBlock::Audio(_)
                | ContentBlock::Resource(_)
                | _ => {}
            }
        }
    }
    // Results may have unknown keys in every revision, so that older clients, too, can be told the code of an error.
    // But until 2025-11-25 structured content is an object, and clients refuse an answer with any other.
    let is_admitted = |value: &Value| value.is_object() || knows(ProtocolVersion::V_2026_07_28);
    if let Some(dropped) = result
        .structured_content
        .take_if(|value| !is_admitted(value))
        && !result.content.iter().any(|block| block.as_text().is_some())
    {
        result.content.push(ContentBlock::text(dropped.to_string()));
    }
    result
}

/// Where the output can be read as the plugin printed it.
fn raw_output(result: &CallToolResult) -> String {
    let job = result
        .meta
        .as_ref()
        .and_then(|meta| meta.0.get(JOB_META)?.as_str()?.parse().ok());
    job.map_or_else(
        || "this client's revision of MCP has none".to_owned(),
        |job| {
            format!(
                "jobs__output with id {job} reads it, in base64, from {}",
                resource::uri(&job)
            )
        },
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const JOB: &str = "00000000-0000-4000-8000-000000000001";

    fn revised(result: &Value, revision: &ProtocolVersion) -> Value {
        let result = serde_json::from_value(result.clone()).unwrap();
        json!(for_revision(result, Some(revision)))
    }

    #[test]
    fn a_revision_gets_the_content_that_it_knows() {
        let given = json!({
            "content": [
                {"type": "text", "text": "t"},
                {"type": "image", "data": "aGk=", "mimeType": "image/png"},
                {"type": "audio", "data": "aGk=", "mimeType": "audio/wav"},
                {"type": "resource", "resource": {"uri": "x:y", "text": "t"}},
                {"type": "resource_link", "uri": "x:z", "name": "n"},
            ],
            "structuredContent": {"n": 1},
            "_meta": {"smcp/job": JOB},
        });
        let mut of_2025_03_26 = given.clone();
        of_2025_03_26["content"][4] = json!({"type": "text", "text": "[n: x:z]"});
        let mut of_2024_11_05 = of_2025_03_26.clone();
        let note = format!(
            "[audio, audio/wav: jobs__output with id {JOB} reads it, in base64, from smcp://jobs/{JOB}/output]"
        );
        of_2024_11_05["content"][2] = json!({"type": "text", "text": note});
        let rows = [
            (ProtocolVersion::V_2024_11_05, &of_2024_11_05),
            (ProtocolVersion::V_2025_03_26, &of_2025_03_26),
            (ProtocolVersion::V_2025_06_18, &given),
            (ProtocolVersion::V_2025_11_25, &given),
            (ProtocolVersion::V_2026_07_28, &given),
        ];
        for (revision, expected) in rows {
            assert_eq!(&revised(&given, &revision), expected, "{revision}");
        }
    }

    #[test]
    fn structured_content_that_is_no_object_is_for_those_who_know_it() {
        let given = json!({"content": [], "structuredContent": [1, 2]});
        let as_text = json!({"content": [{"type": "text", "text": "[1,2]"}]});
        let rows = [
            (ProtocolVersion::V_2024_11_05, &as_text),
            (ProtocolVersion::V_2025_06_18, &as_text),
            (ProtocolVersion::V_2025_11_25, &as_text),
            (ProtocolVersion::V_2026_07_28, &given),
        ];
        for (revision, expected) in rows {
            assert_eq!(&revised(&given, &revision), expected, "{revision}");
        }
    }
}
