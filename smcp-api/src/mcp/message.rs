//! Reading JSON-RPC messages from a request body.

use rmcp::RoleServer;
use rmcp::service::RxJsonRpcMessage;
use thiserror::Error;

/// A message from a client.
pub(super) type Incoming = RxJsonRpcMessage<RoleServer>;

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
