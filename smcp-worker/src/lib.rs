//! The SMCP worker: claims jobs, runs plugin processes, and records how they ended.
//!
//! It listens on no port and decides no policy; both are the API's.

pub mod plugin;
pub mod sandbox;
