//! Reading JSON-RPC messages from a request body or a line.

use rmcp::RoleServer;
use rmcp::model::{ErrorData, JsonRpcError, RequestId};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use serde_json::Value;
use thiserror::Error;

/// A message from a client.
pub(super) type Incoming = RxJsonRpcMessage<RoleServer>;

/// A message to a client.
pub(super) type Outgoing = TxJsonRpcMessage<RoleServer>;

/// Reads one message.
pub(super) fn parse(body: &[u8]) -> Result<Incoming, MessageError> {
    Ok(serde_json::from_slice(body)?)
}

/// Reads one message or, as JSON-RPC allows and MCP did up to 2025-03-26, an array of them.
pub(super) fn parse_batch(body: &[u8]) -> Result<Vec<Incoming>, MessageError> {
    if !is_array(body) {
        return Ok(vec![parse(body)?]);
    }
    let members: Vec<Incoming> = serde_json::from_slice(body)?;
    if members.is_empty() {
        return Err(MessageError::EmptyBatch);
    }
    Ok(members)
}

/// Reads the messages of a line, and makes the answer to each thing in it that is none.
pub(super) fn parse_line(line: &[u8]) -> Vec<Result<Incoming, Box<JsonRpcError>>> {
    // Not by way of a value at first: nothing shall be lost of a message that can be read.
    if let Ok(message) = parse(line) {
        return vec![Ok(message)];
    }
    match serde_json::from_slice(line) {
        Ok(Value::Array(members)) if !members.is_empty() => {
            members.into_iter().map(parse_value).collect()
        }
        Ok(value) => vec![parse_value(value)],
        Err(error) => vec![Err(Box::new(unreadable(format!(
            "the line is not JSON: {error}"
        ))))],
    }
}

/// The answer to a line of which no message can be made.
pub(super) fn unreadable(why: String) -> JsonRpcError {
    JsonRpcError::new(None, ErrorData::parse_error(why, None))
}

fn parse_value(value: Value) -> Result<Incoming, Box<JsonRpcError>> {
    const WHY: &str = "this is JSON, but not a JSON-RPC 2.0 message of MCP";
    // Who waits for an answer to that id shall not wait for ever.
    let id = value
        .get("id")
        .and_then(|id| serde_json::from_value::<RequestId>(id.clone()).ok());
    serde_json::from_value(value)
        .map_err(|_| Box::new(JsonRpcError::new(id, ErrorData::invalid_request(WHY, None))))
}

/// True if `body` starts like an array.
pub(super) fn is_array(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'[')
}

/// Why a body holds no message.
#[derive(Debug, Error)]
pub enum MessageError {
    /// It is not JSON.
    #[error("the body is not JSON: {0}")]
    Syntax(serde_json::Error),
    /// It is JSON of another shape.
    #[error("the body is JSON, but not a JSON-RPC 2.0 message of MCP")]
    Shape,
    /// It is an array without members.
    #[error("the body is an empty array")]
    EmptyBatch,
}

impl From<serde_json::Error> for MessageError {
    fn from(error: serde_json::Error) -> Self {
        if error.is_data() {
            Self::Shape
        } else {
            Self::Syntax(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_in_a_line_is_a_message_or_has_an_answer() {
        const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        let batch = format!("[{PING},7,{PING}]");
        let rows = [
            (PING, vec!["ok"]),
            (&batch, vec!["ok", "-32600 null", "ok"]),
            ("[]", vec!["-32600 null"]),
            ("{", vec!["-32700 null"]),
            (r#"{"id":"a"}"#, vec![r#"-32600 "a""#]),
            (r#"{"id":{}}"#, vec!["-32600 null"]),
        ];
        for (line, expected) in rows {
            let told = parse_line(line.as_bytes())
                .into_iter()
                .map(|part| match part {
                    Ok(_) => "ok".to_owned(),
                    Err(answer) => {
                        let answer = serde_json::to_value(answer).unwrap();
                        format!("{} {}", answer["error"]["code"], answer["id"])
                    }
                });
            assert_eq!(told.collect::<Vec<_>>(), expected, "{line}");
        }
    }
}
