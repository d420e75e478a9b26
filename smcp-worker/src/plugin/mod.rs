//! Plugins as the worker sees them: programs to describe and to run.

pub mod argv;
pub mod environment;
pub mod interpreter;
mod lines;
mod output;
pub mod process;
mod python;
mod supervision;
