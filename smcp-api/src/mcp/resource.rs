//! Jobs' output as MCP resources: what an answer leaves out of a long output is read by range.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rmcp::ErrorData;
use rmcp::model::{
    ListResourceTemplatesResult, ListResourcesResult, MetaObject, ReadResourceResult, Resource,
    ResourceContents, ResourceTemplate,
};
use serde_json::json;
use smcp_common::job::{Job, JobId};
use smcp_common::queue::Filter;

use crate::answer::INLINE_TEXT_BYTES;
use crate::app::App;
use crate::builtin::find_job;
use crate::caller::Caller;
use crate::output_range::{self, Border, DEFAULT_BYTES, MAX_BYTES};
use crate::policy::is_operator;
use crate::refusal::Refusal;

const MIME_TYPE: &str = "text/plain";
const TEMPLATE: &str = "smcp://jobs/{id}/output{?offset,limit}";
/// Resources that are listed at most.
const LISTED: usize = 50;
/// So many of the newest jobs are looked through for them.
const SEARCHED: u32 = 200;

/// The URI of a job's output.
pub(crate) fn uri(job: &JobId) -> String {
    format!("smcp://jobs/{job}/output")
}

/// What leads to a job's output.
pub(crate) fn link(job: &Job) -> Resource {
    Resource::new(uri(&job.id), format!("output of job {}", job.id))
        .with_description(format!("What {} printed.", job.tool))
        .with_mime_type(MIME_TYPE)
        .with_size(job.output_bytes)
}

/// The one template that there is.
pub(super) fn templates() -> ListResourceTemplatesResult {
    let description = format!(
        "What a job has printed, from byte offset (0), at most limit bytes ({DEFAULT_BYTES}; up to {MAX_BYTES}). \
         _meta of the contents has smcp/next_offset and smcp/total_bytes."
    );
    let template = ResourceTemplate::new(TEMPLATE, "job output")
        .with_description(description)
        .with_mime_type(MIME_TYPE);
    ListResourceTemplatesResult::with_all_items(vec![template])
}

/// The caller's newest jobs whose output does not fit an answer.
pub(super) async fn list(app: &App, caller: &Caller) -> Result<ListResourcesResult, ErrorData> {
    let filter = Filter {
        agent: (!is_operator(app, caller)).then(|| caller.agent.clone()),
        limit: SEARCHED,
        ..Filter::default()
    };
    let jobs = app.queue.jobs(filter).await;
    let jobs = jobs.map_err(|error| Refusal::from(error).to_protocol_error())?;
    let large = jobs
        .iter()
        .filter(|job| job.output_bytes > INLINE_TEXT_BYTES as u64);
    Ok(ListResourcesResult::with_all_items(
        large.take(LISTED).map(link).collect(),
    ))
}

/// Reads the part of an output that `uri` names; as text, or in base64 where its bytes are no UTF-8.
///
/// To callers who may not follow the job there is no such resource.
pub(super) async fn read(
    app: &App,
    caller: &Caller,
    uri: &str,
) -> Result<ReadResourceResult, ErrorData> {
    let range = Range::parse(uri)?;
    let job = find_job(app, caller, range.job).map_err(|refusal| match refusal.code {
        "no_such_job" | "invalid_arguments" => not_found(uri),
        _ => refusal.to_protocol_error(),
    })?;
    let part = output_range::read(app, &job, range.offset, range.limit, Border::Character).await;
    let part = part.map_err(|refusal| refusal.to_protocol_error())?;
    let contents = match String::from_utf8(part.bytes) {
        Ok(text) => ResourceContents::text(text, uri),
        Err(error) => ResourceContents::blob(STANDARD.encode(error.as_bytes()), uri),
    };
    let mut meta = MetaObject::new();
    for (name, value) in [
        ("smcp/next_offset", json!(part.next_offset)),
        ("smcp/total_bytes", json!(job.output_bytes)),
        ("smcp/truncated", json!(job.output_truncated)),
        ("smcp/printed_bytes", json!(job.printed_bytes)),
        ("smcp/done", json!(part.done)),
    ] {
        meta.0.insert(name.to_owned(), value);
    }
    let contents = contents.with_mime_type(MIME_TYPE).with_meta(meta);
    Ok(ReadResourceResult::new(vec![contents]))
}

/// What a URI of the template asks for.
#[derive(Debug, PartialEq, Eq)]
struct Range<'a> {
    job: &'a str,
    offset: u64,
    limit: usize,
}

impl<'a> Range<'a> {
    fn parse(uri: &'a str) -> Result<Self, ErrorData> {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let job = path
            .strip_prefix("smcp://jobs/")
            .and_then(|rest| rest.strip_suffix("/output"))
            .ok_or_else(|| not_found(uri))?;
        let mut range = Self {
            job,
            offset: 0,
            limit: DEFAULT_BYTES,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let is_read = match name {
                "offset" => value.parse().map(|offset| range.offset = offset).is_ok(),
                "limit" => value
                    .parse()
                    .ok()
                    .filter(|limit| (1..=MAX_BYTES).contains(limit))
                    .map(|limit| range.limit = limit)
                    .is_some(),
                _ => false,
            };
            if !is_read {
                let message = format!(
                    "{TEMPLATE} takes offset, from 0, and limit, from 1 to {MAX_BYTES}; '{}' is neither.",
                    pair.chars().take(40).collect::<String>()
                );
                return Err(ErrorData::invalid_params(message, None));
            }
        }
        Ok(range)
    }
}

/// rmcp gives the error the code that the peer's revision has for it.
fn not_found(uri: &str) -> ErrorData {
    let message = format!("There is no such resource; there are {TEMPLATE} of your own jobs.");
    ErrorData::resource_not_found(message, Some(json!({ "uri": uri })))
}

#[cfg(test)]
mod tests {
    use rmcp::model::ErrorCode;

    use super::*;

    #[test]
    fn a_range_is_read_from_the_uri() {
        let range = |job, offset, limit| Range { job, offset, limit };
        let rows = [
            ("smcp://jobs/a/output", range("a", 0, DEFAULT_BYTES)),
            ("smcp://jobs/a/output?", range("a", 0, DEFAULT_BYTES)),
            (
                "smcp://jobs/a/output?offset=7",
                range("a", 7, DEFAULT_BYTES),
            ),
            ("smcp://jobs/a/output?limit=9&offset=7", range("a", 7, 9)),
        ];
        for (uri, expected) in rows {
            assert_eq!(Range::parse(uri).unwrap(), expected, "{uri}");
        }
    }

    #[test]
    fn another_uri_is_not_found_and_a_bad_range_is_told() {
        for uri in ["test://missing", "smcp://jobs/a", "smcp://jobs/output", ""] {
            let error = Range::parse(uri).unwrap_err();
            assert_eq!(error.code, ErrorCode::RESOURCE_NOT_FOUND, "{uri}");
            assert_eq!(error.data, Some(json!({ "uri": uri })));
        }
        for query in ["offset=-1", "offset", "limit=0", "limit=1048577", "grep=a"] {
            let error = Range::parse(&format!("smcp://jobs/a/output?{query}")).unwrap_err();
            assert_eq!(error.code, ErrorCode::INVALID_PARAMS, "{query}");
            assert!(error.message.contains(query), "{}", error.message);
        }
    }
}
