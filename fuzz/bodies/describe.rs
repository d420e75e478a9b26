//! What a plugin prints for `--describe` or `--help`, and a call of the tools that it so declares.
//!
//! The input is a document and, behind a zero byte, the arguments of the call.

use serde_json::{Map, Value};
use smcp_common::plugin::{Lane, Manifest, Tool, help, normalise};

pub(crate) fn run(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let mut text = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let (printed, arguments) = (text(), text());
    let arguments = serde_json::from_str(&arguments).unwrap_or_default();
    if let Ok(document) = serde_json::from_str::<Value>(&printed)
        && let Ok(manifest) = Manifest::parse(&document)
    {
        for tool in manifest.into_tools("fuzzed").0 {
            call(&tool, &arguments);
        }
    }
    for tool in help::tools("fuzzed", &printed).0 {
        call(&tool, &arguments);
    }
}

/// What becomes of a tool on its way from the worker to a client, and of a call on its way back.
fn call(tool: &Tool, arguments: &Map<String, Value>) {
    let stored = serde_json::to_string(tool).unwrap();
    let tool: Tool = serde_json::from_str(&stored).unwrap();
    assert_eq!(serde_json::to_string(&tool).unwrap(), stored);

    let once = normalise(&tool, arguments.clone());
    let twice = normalise(&tool, once.clone());
    assert_eq!(
        Value::Object(once.clone()).to_string(),
        Value::Object(twice).to_string()
    );
    if let Some(lane) = tool.lane.render(&tool.plugin, &once) {
        assert!(
            !lane.is_empty() && lane.len() <= Lane::MAX_BYTES,
            "{lane:?}"
        );
    }

    let schema = tool.input_schema();
    assert_eq!(tool.input_schema(), schema);
    if let Ok(validator) = jsonschema::validator_for(&schema) {
        let once = Value::Object(once);
        let problems = validator.iter_errors(&once).take(10);
        let told = problems.map(|problem| {
            (
                problem.instance_path().to_string(),
                problem.masked().to_string(),
            )
        });
        assert_eq!(told.count() == 0, validator.is_valid(&once));
    }
}
