//! Plugins as real processes, run by a real supervisor.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where it fails"
)]

mod interpreter;
mod output;
mod process;
mod warm;
mod world;
