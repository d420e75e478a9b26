//! How far this machine holds plugins to their profiles, for `smcp doctor`, for the workers' own registration, and for
//! the decision whether a plugin is run at all.
//!
//! What was tried out is a [`Facts`]; everything else here follows from that by pure functions.

mod demand;
mod facts;
mod findings;

pub use self::demand::{missing, refusal};
pub use self::facts::{Cgroup, Facts, Lack, Namespaces, Platform, User};
pub use self::findings::{report, tier};

use smcp_common::config::{Config, Environment};
use smcp_common::sandbox::Report;

/// Tries out what this machine offers, as a worker does at its start, and with `self_test` also whether hostile probes
/// are refused.
pub async fn examine(config: &Config, environment: &Environment, self_test: bool) -> Report {
    // No facility is used yet, whatever this machine offers; hence there is nothing that a probe could show.
    let _ = (environment, self_test);
    let facts = Facts::without_facilities();
    std::future::ready(report(&facts, config.sandbox.require)).await
}
