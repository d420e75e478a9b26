//! The two HTTP transports of MCP.

mod legacy_session;
pub mod legacy_sse;
mod message;
mod session_owner;
pub mod streamable_http;

pub use legacy_session::DeliveryError;
pub use message::MessageError;
