//! MCP: the server itself, and the two HTTP transports that carry it.

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
pub mod streamable_http;
mod task;

pub use hand_over::PENDING_META;
pub use legacy_session::DeliveryError;
pub use message::MessageError;
