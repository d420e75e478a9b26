//! MCP: the server itself, and the transports that carry it.

pub mod handler;
mod legacy_session;
pub mod legacy_sse;
mod listing;
mod message;
mod progress;
mod session_owner;
pub mod stdio;
pub mod streamable_http;

pub use legacy_session::DeliveryError;
pub use message::MessageError;
