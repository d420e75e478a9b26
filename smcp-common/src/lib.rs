//! What the API and the worker must agree on, and nothing else.

pub mod clock;
pub mod job;
pub mod plugin;
