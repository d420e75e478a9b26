//! Why the API could not be asked, in words that say what to do.

use std::error::Error;
use std::fmt;

use rmcp::ServiceError;
use rmcp::model::{CallToolResult, ContentBlock};
use rmcp::service::ClientInitializeError;
use rmcp::transport::DynamicTransportError;
use rmcp::transport::streamable_http_client::StreamableHttpError;
use serde_json::Value;

use super::Target;

/// What can go wrong with a session.
#[derive(Debug)]
pub(super) enum SessionError {
    Start(Box<ClientInitializeError>),
    Service(ServiceError),
}

impl From<ClientInitializeError> for SessionError {
    fn from(error: ClientInitializeError) -> Self {
        Self::Start(Box::new(error))
    }
}

impl From<ServiceError> for SessionError {
    fn from(error: ServiceError) -> Self {
        Self::Service(error)
    }
}

impl SessionError {
    fn transport(&self) -> Option<&StreamableHttpError<reqwest::Error>> {
        let DynamicTransportError { error, .. } = match self {
            Self::Start(start) => {
                let ClientInitializeError::TransportError { error, .. } = start.as_ref() else {
                    return None;
                };
                error
            }
            Self::Service(ServiceError::TransportSend(error)) => error,
            Self::Service(_) => return None,
        };
        error.downcast_ref()
    }

    fn is_lost(&self) -> bool {
        match self {
            Self::Start(start) => {
                matches!(start.as_ref(), ClientInitializeError::ConnectionClosed(_))
            }
            Self::Service(service) => matches!(service, ServiceError::TransportClosed),
        }
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(transport) = self.transport() {
            // Without the names of the types that carried it.
            return transport.fmt(f);
        }
        match self {
            Self::Start(error) => error.fmt(f),
            Self::Service(ServiceError::McpError(error)) => f.write_str(&error.message),
            Self::Service(error) => error.fmt(f),
        }
    }
}

impl Error for SessionError {}

/// The error with the remedy, as far as there is one.
pub(super) fn explain(error: SessionError, target: &Target) -> anyhow::Error {
    let url = &target.url;
    let why = match error.transport() {
        Some(StreamableHttpError::Client(http)) if http.is_connect() => {
            let root = root(http);
            return anyhow::anyhow!("no SMCP answers at {url} ({root}); start one with: smcp up");
        }
        Some(StreamableHttpError::AuthRequired(_)) => return anyhow::anyhow!(refused(target)),
        Some(StreamableHttpError::Client(_) | StreamableHttpError::UnexpectedEndOfStream) => {
            lost(url)
        }
        Some(StreamableHttpError::UnexpectedServerResponse(response))
            if let Some(why) = turned_away(response) =>
        {
            return anyhow::anyhow!("{url} refused: {why}");
        }
        Some(
            StreamableHttpError::UnexpectedServerResponse(_)
            | StreamableHttpError::UnexpectedContentType(_)
            | StreamableHttpError::HttpStatus(_),
        ) => {
            format!("what answers at {url} is not the API of SMCP; give its address with --url")
        }
        _ if error.is_lost() => return anyhow::anyhow!(lost(url)),
        _ => format!("{url} refused"),
    };
    anyhow::Error::new(error).context(why)
}

fn lost(url: &str) -> String {
    format!("the connection to {url} broke; jobs go on without it, see: smcp jobs list")
}

fn refused(target: &Target) -> String {
    let url = &target.url;
    let used = match &target.key {
        Some(key) => format!("{url} refused {}", key.origin),
        None => format!("{url} asks for an API key, and none was given"),
    };
    format!("{used}; give another with --api-key or SMCP_API_KEY")
}

/// What the API says where it turns a request away before any session sees it, as one that is too large.
fn turned_away(response: &str) -> Option<String> {
    let body: Value = serde_json::from_str(&response[response.find('{')?..]).ok()?;
    body["code"].as_str()?;
    Some(body["message"].as_str()?.to_owned())
}

/// The innermost cause, which is what the system said.
fn root<'e>(error: &'e (dyn Error + 'static)) -> &'e (dyn Error + 'static) {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error
}

/// A tool's refusal or failure, in its own words.
#[derive(Debug)]
pub(crate) struct ToolError {
    /// The stable code; empty where the tool gave none, as those of plugins do.
    pub(crate) code: String,
    message: String,
}

impl ToolError {
    /// The error in a result that is one.
    pub(crate) fn of(result: &CallToolResult) -> Self {
        let code = result
            .structured_content
            .as_ref()
            .and_then(|content| content.pointer("/error/code")?.as_str());
        Self {
            code: code.unwrap_or_default().to_owned(),
            message: text(result),
        }
    }
}

impl fmt::Display for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for ToolError {}

/// The text of an answer; of other content, that it is there.
pub(crate) fn text(result: &CallToolResult) -> String {
    let parts: Vec<_> = result.content.iter().map(part).collect();
    parts.join("\n")
}

fn part(content: &ContentBlock) -> String {
    match content {
        ContentBlock::Text(text) => text.text.clone(),
        ContentBlock::Image(image) => format!("[image, {}; --json prints it]", image.mime_type),
        ContentBlock::Audio(audio) => format!("[audio, {}; --json prints it]", audio.mime_type),
        ContentBlock::ResourceLink(link) => link.uri.clone(),
        ContentBlock::Resource(_) | _ => "[a resource; --json prints it]".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Key;

    #[test]
    fn a_refused_key_is_named_by_its_origin() {
        let target = |key| Target {
            url: "http://h:1".into(),
            key,
        };
        let key = Key {
            secret: "hunter2".into(),
            origin: "the key in SMCP_API_KEY".into(),
        };
        assert_eq!(
            refused(&target(Some(key))),
            "http://h:1 refused the key in SMCP_API_KEY; give another with --api-key or SMCP_API_KEY"
        );
        assert!(refused(&target(None)).contains("none was given"));
    }

    #[test]
    fn the_words_of_the_api_are_told_from_those_of_others() {
        let ours = r#"HTTP 413 Payload Too Large: {"code":"body_too_large","message":"too large"}"#;
        assert_eq!(turned_away(ours).as_deref(), Some("too large"));
        for other in [
            "HTTP 404 Not Found: ",
            r#"HTTP 404: {"detail":"x"}"#,
            "HTTP 500: {",
        ] {
            assert_eq!(turned_away(other), None, "{other}");
        }
    }

    #[test]
    fn the_code_of_a_refusal_is_kept() {
        let mut result = CallToolResult::error(vec![ContentBlock::text("no worker answered")]);
        assert_eq!(ToolError::of(&result).code, "");
        result.structured_content =
            Some(serde_json::json!({"error": {"code": "no_worker", "message": "…"}}));
        let error = ToolError::of(&result);
        assert_eq!(
            (error.code.as_str(), error.to_string().as_str()),
            ("no_worker", "no worker answered")
        );
    }
}
