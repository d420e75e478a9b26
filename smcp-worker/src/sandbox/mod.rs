//! The supervisor process that stands between the worker and every plugin.
//!
//! The worker never starts a plugin itself: it re-executes its own binary as
//! `smcp sandbox-exec`, and that small single-threaded process prepares the
//! plugin's surroundings, starts it, and outlives its whole process tree.

#[cfg(target_os = "linux")]
pub mod cgroup;
pub(crate) mod cgroups;
pub(crate) mod control;
pub mod exec;
pub(crate) mod facilities;
mod files;
mod identity;
mod init;
mod launch;
mod limits;
pub(crate) mod placing;
pub mod policy;
pub mod probes;
mod refusal;
mod root;
mod shared;
pub(crate) mod sys;
mod syscalls;
pub(crate) mod tree;
mod users;
