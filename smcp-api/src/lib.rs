//! The SMCP API: what agents and operators talk to.

pub mod auth;
pub mod bind;
pub mod body;
pub mod caller;
mod connection;
pub mod health;
pub mod http_config;
pub mod mcp;
pub mod origin;
pub mod problem;
pub mod router;
pub mod serve;
