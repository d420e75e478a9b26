//! Requests made of arbitrary bytes.

use arbitrary::Arbitrary;

/// A header. What is repeated is sent repeatedly.
#[derive(Debug, Arbitrary)]
pub(crate) struct Header<'a> {
    name: Word<'a>,
    value: Value<'a>,
}

impl<'a> Header<'a> {
    pub(crate) fn name(&self) -> &'a [u8] {
        match self.name {
            Word::Known(n) => pick(&NAMES, n).as_bytes(),
            Word::Other(name) => name,
        }
    }

    /// Its value, where this is the session that is open and the newest event that was seen.
    pub(crate) fn value<'b>(&self, session: &'b str, event: &'b str) -> &'b [u8]
    where
        'a: 'b,
    {
        match self.value {
            Value::Known(n) => pick(&VALUES, n).as_bytes(),
            Value::Session => session.as_bytes(),
            Value::Event => event.as_bytes(),
            Value::Other(value) => value,
        }
    }
}

#[derive(Debug, Arbitrary)]
enum Word<'a> {
    Known(u8),
    Other(&'a [u8]),
}

#[derive(Debug, Arbitrary)]
enum Value<'a> {
    Known(u8),
    /// The session that is open.
    Session,
    /// The newest event that was seen.
    Event,
    Other(&'a [u8]),
}

const NAMES: [&str; 16] = [
    "mcp-session-id",
    "mcp-protocol-version",
    "mcp-method",
    "mcp-name",
    "last-event-id",
    "accept",
    "content-type",
    "content-length",
    "idempotency-key",
    "authorization",
    "x-api-key",
    "host",
    "origin",
    "expect",
    "mcp-param-a",
    "content-encoding",
];

const VALUES: [&str; 20] = [
    "2024-11-05",
    "2025-03-26",
    "2025-06-18",
    "2025-11-25",
    "2026-07-28",
    "application/json, text/event-stream",
    "text/event-stream",
    "application/json",
    "initialize",
    "tools/list",
    "tools/call",
    "server/discover",
    "subscriptions/listen",
    "whoami",
    "=?base64?d2hvYW1p?=",
    "Bearer ann",
    "bob",
    "0",
    "http://localhost",
    "100-continue",
];

/// The headers of a well-behaved client.
pub(crate) const USUAL: [(&str, &str); 3] = [
    ("host", "localhost"),
    ("accept", "application/json, text/event-stream"),
    ("content-type", "application/json"),
];

/// What opens a session of the revision number `version`.
pub(crate) fn initialize(version: u8) -> Vec<u8> {
    let message = Message {
        id: Id::Number(0),
        method: Method::Known(0),
        params: Params::Initialize(version),
    };
    message.text().into_bytes()
}

/// What a request carries.
#[derive(Debug, Arbitrary)]
pub(crate) enum Payload<'a> {
    Message(Message<'a>),
    Batch(Vec<Message<'a>>),
    Raw(&'a [u8]),
    Long(u16),
}

impl Payload<'_> {
    /// The headers that a client of 2026-07-28 sends with it.
    pub(crate) fn headers(&self) -> Vec<(&'static str, &'static str)> {
        let Self::Message(Message {
            method: Method::Known(method),
            params: Params::Modern(tool, version),
            ..
        }) = self
        else {
            return Vec::new();
        };
        vec![
            ("mcp-protocol-version", pick(&VALUES, *version)),
            ("mcp-method", pick(&METHODS, *method)),
            ("mcp-name", pick(&TOOLS, *tool)),
        ]
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Message(message) => message.text().into_bytes(),
            Self::Batch(messages) => {
                let messages: Vec<_> = messages.iter().map(Message::text).collect();
                format!("[{}]", messages.join(",")).into_bytes()
            }
            Self::Raw(bytes) => bytes.to_vec(),
            Self::Long(length) => vec![b'['; usize::from(*length)],
        }
    }
}

/// Something like a JSON-RPC message.
#[derive(Debug, Arbitrary)]
pub(crate) struct Message<'a> {
    id: Id<'a>,
    method: Method<'a>,
    params: Params<'a>,
}

#[derive(Debug, Arbitrary)]
enum Id<'a> {
    Absent,
    Number(i64),
    Text(&'a str),
    Raw(&'a str),
}

#[derive(Debug, Arbitrary)]
enum Method<'a> {
    Known(u8),
    Other(&'a str),
    Result(&'a str),
    Error(i32),
}

#[derive(Debug, Arbitrary)]
enum Params<'a> {
    Absent,
    Initialize(u8),
    Call(u8, &'a str),
    /// As a client of 2026-07-28 sends them.
    Modern(u8, u8),
    Cancel(Id<'a>),
    Raw(&'a str),
}

const METHODS: [&str; 16] = [
    "initialize",
    "notifications/initialized",
    "tools/list",
    "tools/call",
    "ping",
    "notifications/cancelled",
    "server/discover",
    "subscriptions/listen",
    "prompts/list",
    "resources/list",
    "completion/complete",
    "logging/setLevel",
    "tasks/get",
    "tasks/cancel",
    "notifications/progress",
    "notifications/roots/list_changed",
];
const TOOLS: [&str; 6] = [
    "fuzz__wait",
    "jobs__submit",
    "unknown",
    "jobs__wait",
    "sanctum__tools",
    "jobs__output",
];

impl Message<'_> {
    fn text(&self) -> String {
        let id = match self.id.text() {
            Some(id) => format!(r#""id":{id},"#),
            None => String::new(),
        };
        let what = match self.method {
            Method::Known(n) => format!(r#""method":"{}""#, pick(&METHODS, n)),
            Method::Other(name) => format!(r#""method":{name:?}"#),
            Method::Result(text) => format!(r#""result":{text}"#),
            Method::Error(code) => format!(r#""error":{{"code":{code},"message":"m"}}"#),
        };
        format!(r#"{{"jsonrpc":"2.0",{id}{what}{}}}"#, self.params.text())
    }
}

impl Id<'_> {
    fn text(&self) -> Option<String> {
        match self {
            Self::Absent => None,
            Self::Number(number) => Some(number.to_string()),
            Self::Text(text) => Some(format!("{text:?}")),
            Self::Raw(text) => Some((*text).to_owned()),
        }
    }
}

impl Params<'_> {
    fn text(&self) -> String {
        let params = match self {
            Self::Absent => return String::new(),
            Self::Initialize(version) => format!(
                r#"{{"protocolVersion":"{}","capabilities":{{}},"clientInfo":{{"name":"f","version":"0"}}}}"#,
                pick(&VALUES, *version)
            ),
            Self::Call(tool, arguments) => {
                let arguments = if arguments.is_empty() {
                    "{}"
                } else {
                    *arguments
                };
                format!(
                    r#"{{"name":"{}","arguments":{arguments}}}"#,
                    pick(&TOOLS, *tool)
                )
            }
            Self::Modern(tool, version) => format!(
                r#"{{"name":"{}","_meta":{{"progressToken":1,"io.modelcontextprotocol/protocolVersion":"{}","io.modelcontextprotocol/clientCapabilities":{{}},"io.modelcontextprotocol/clientInfo":{{"name":"f","version":"0"}}}}}}"#,
                pick(&TOOLS, *tool),
                pick(&VALUES, *version)
            ),
            Self::Cancel(id) => format!(r#"{{"requestId":{}}}"#, id.text().unwrap_or_default()),
            Self::Raw(text) => (*text).to_owned(),
        };
        format!(r#","params":{params}"#)
    }
}

fn pick(words: &[&'static str], n: u8) -> &'static str {
    words[usize::from(n) % words.len()]
}
