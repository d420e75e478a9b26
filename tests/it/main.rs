//! Integration tests: the running binary, real plugins, real clients.
//!
//! Each test has an SMCP of its own ([`world::World`]): its data directory, its port, its processes. Waiting is
//! always for a condition ([`world::eventually`]), never for a time.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests say what went wrong by panicking, and start processes of their own"
)]

mod agents;
mod aliases;
mod answers;
mod approval_changes;
mod approval_links;
mod approvals;
mod approvers;
mod arguments;
mod audit;
mod auth;
mod authoring;
mod bad_messages;
mod bad_plugins;
mod bad_start;
mod book;
mod cancel;
mod chaos;
mod cli;
mod clients;
mod code;
mod confinement;
mod content;
mod crash;
mod deployment;
mod devops;
mod documents;
mod dry_run;
mod faults;
mod getting_started;
mod governance;
mod governor;
mod guide;
mod handover;
mod handover_of_secrets;
mod hostile;
mod http;
mod jobs;
mod keys;
mod lanes;
mod lifecycle;
mod listing;
mod live;
mod load;
mod naps;
mod operate;
mod output;
mod pins;
mod policy;
mod processes;
mod profiles;
mod progress;
mod proxy;
mod reference;
mod reload;
mod resume;
mod retries;
mod scale;
mod schedules;
mod secrets;
mod shared_files;
mod shell;
mod stdio;
mod up;
mod workflows;
mod world;
