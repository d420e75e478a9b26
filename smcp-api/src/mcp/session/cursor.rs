//! The ids of a session's SSE events, which clients send back as `Last-Event-ID`.
//!
//! An id says all that any API process needs to go on with its stream: there is nothing to look up that a restart could
//! lose. It gives no right: whoever presents one is asked for his own.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rmcp::model::{ProgressToken, RequestId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use smcp_common::clock::Timestamp;
use smcp_common::job::JobId;

/// A place in one of the streams of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Cursor {
    /// In the answer to a call that became a job.
    #[serde(rename = "j")]
    Job {
        /// The request that is answered.
        #[serde(rename = "r")]
        request: RequestId,
        /// The job that it became.
        #[serde(rename = "j")]
        job: JobId,
        /// The last event of the job that the client has heard of.
        #[serde(rename = "s")]
        seen: i64,
        /// The progress token of the request.
        #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
        token: Option<ProgressToken>,
        /// Since when the client waits.
        #[serde(rename = "w")]
        since: Timestamp,
    },
    /// In the answer to a request that may simply be carried out again.
    #[serde(rename = "a")]
    Again {
        /// The request that is answered.
        #[serde(rename = "r")]
        request: RequestId,
        /// The built-in tool that it calls.
        #[serde(rename = "t")]
        tool: String,
        /// With what.
        #[serde(rename = "a", default, skip_serializing_if = "Map::is_empty")]
        arguments: Map<String, Value>,
    },
    /// In the answer to a request that must not be carried out again, and whose answer is kept.
    #[serde(rename = "k")]
    Kept {
        /// The request that is answered.
        #[serde(rename = "r")]
        request: RequestId,
    },
    /// In the stream of what concerns the session as a whole; the client has heard of this version of the catalogue.
    #[serde(rename = "c")]
    Catalogue(i64),
    /// At the end of a stream.
    #[serde(rename = "e")]
    End,
}

impl Cursor {
    /// The longest arguments that an id may carry, in bytes of JSON.
    pub(super) const MAX_ARGUMENTS: usize = 2_048;
}

/// A `Last-Event-ID` that is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the Last-Event-ID is not the id of an event of this server")]
pub(in crate::mcp) struct InvalidCursor;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_vec(self).map_err(|_| fmt::Error)?;
        f.write_str(&URL_SAFE_NO_PAD.encode(json))
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        // rmcp begins a session's own stream with this id.
        if text == "0" {
            return Ok(Self::Catalogue(0));
        }
        let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        serde_json::from_slice(&json).map_err(|_| InvalidCursor)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_id_is_read_as_it_was_written() {
        let request = RequestId::String("a \"b\"\n".into());
        let arguments = json!({"id": "1"});
        let cursors = [
            Cursor::Job {
                request: RequestId::Number(7),
                job: JobId::random(),
                seen: 3,
                token: Some(ProgressToken(RequestId::Number(1))),
                since: Timestamp::from_millis(5),
            },
            Cursor::Again {
                request: request.clone(),
                tool: "jobs__wait".into(),
                arguments: arguments.as_object().unwrap().clone(),
            },
            Cursor::Kept { request },
            Cursor::Catalogue(4),
            Cursor::End,
        ];
        for cursor in cursors {
            let id = cursor.to_string();
            assert!(id.bytes().all(|byte| byte.is_ascii_graphic()), "{id}");
            assert_eq!(id.parse(), Ok(cursor));
        }
    }

    #[test]
    fn other_ids_are_none_of_ours() {
        for id in ["", "1", "0/0", "e30", "bnVsbA", "\u{e9}"] {
            assert_eq!(id.parse::<Cursor>(), Err(InvalidCursor), "{id}");
        }
    }
}
