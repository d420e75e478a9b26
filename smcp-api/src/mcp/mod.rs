//! MCP: the server itself, and the transports that carry it.

pub mod announce;
mod call;
mod follow;
mod hand_over;
pub mod handler;
mod legacy_pipe;
mod legacy_session;
pub mod legacy_sse;
mod listing;
mod message;
mod meter;
pub(crate) mod resource;
mod revision;
mod session;
pub mod stdio;
pub mod streamable_http;
mod task;

pub use call::{KEY_META, RETRY_META};
pub use hand_over::PENDING_META;
pub use legacy_session::DeliveryError;
pub use message::MessageError;
