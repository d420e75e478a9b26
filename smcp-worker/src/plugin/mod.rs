//! Plugins as the worker sees them: programs to find, to describe and to run.

pub mod bundled;
pub mod catalogue;
pub mod check;
mod describe;
pub(crate) mod digest;
pub mod environment;
mod handover;
pub mod interpreter;
mod lines;
mod output;
pub mod process;
pub(crate) mod supervision;
#[cfg(target_os = "linux")]
pub(crate) mod territory;
