//! What the API and the worker must agree on, and nothing else: a thing belongs here only if the two processes
//! would corrupt or misread each other's work by disagreeing on it.
//!
//! [`job`] says what a job is and which state follows, [`schedule`] when a schedule's tool runs, [`queue`] keeps both, [`plugin`] is what a tool says about
//! itself, [`audit`] and [`canonical`] are the chain of records, [`config`], [`clock`], [`telemetry`] and
//! [`lifecycle`] are how a process is set up, tells the time, logs and stops, and [`setting`] what operators change
//! meanwhile. [`agent`] is who calls, [`policy`] decides what each may do, [`limit`] how much of it, [`approval`] what
//! others must approve of, [`secret`] is what only
//! plugins see, and [`key_file`] holds the keys for these. `remote` says which files others change unheard,
//! and [`sentence`] makes what either says of them a sentence.

pub mod agent;
pub mod approval;
pub mod audit;
pub mod canonical;
pub mod clock;
pub mod config;
pub mod job;
pub mod key_file;
pub mod lifecycle;
pub mod limit;
pub mod plugin;
pub mod policy;
pub mod queue;
#[cfg(target_os = "linux")]
pub mod remote;
pub mod sandbox;
pub mod schedule;
pub mod secret;
pub mod sentence;
pub mod setting;
pub mod telemetry;
pub mod workflow;
