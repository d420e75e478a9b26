//! MCP: the server itself, and the two HTTP transports that carry it.

pub mod announce;
pub mod handler;
mod legacy_session;
pub mod legacy_sse;
mod listing;
mod message;
mod progress;
mod session_owner;
pub mod streamable_http;

pub use legacy_session::DeliveryError;
pub use message::MessageError;
