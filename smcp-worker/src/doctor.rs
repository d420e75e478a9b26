//! How far this machine holds plugins to their profiles, for `smcp doctor`, for the workers' own registration, and for
//! the decision whether a plugin is run at all.
//!
//! What was tried out is a [`Facts`]; everything else here follows from that by pure functions.

mod demand;
mod facts;
mod findings;

pub use self::demand::{missing, refusal, refusal_of_rule};
pub use self::facts::{Cgroup, Facts, Lack, Namespaces, Platform, User};
pub use self::findings::{report, tier};

use std::path::Path;
use std::time::Instant;

use smcp_common::config::Config;
use smcp_common::sandbox::{Finding, Report, Require, SelfTest, State};

use crate::sandbox::cgroups::Cgroups;
use crate::sandbox::facilities::{Found, find};
use crate::sandbox::probes::Probed;

/// Tries out what this machine offers, as a worker does at its start. `supervisor` is the binary that becomes the
/// supervisor of a plugin.
///
/// # Errors
/// When not even the means to try are there: files, sockets, processes.
pub async fn examine(config: &Config, supervisor: &Path) -> std::io::Result<Report> {
    let started = Instant::now();
    let base = tempfile::Builder::new().prefix("smcp-doctor-").tempdir()?;
    let Found { facts, probed } = find(
        supervisor,
        base.path(),
        config.sandbox.namespaces,
        &Cgroups::find(format!("doctor-{}", std::process::id())),
    )
    .await?;
    let mut report = judged(&facts, config.sandbox.require, &probed);
    if let Some(self_test) = &mut report.self_test {
        self_test.duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    }
    Ok(report)
}

/// What those facts come to, less what a probe has shown not to hold.
pub(crate) fn judged(facts: &Facts, require: Require, probed: &[Probed]) -> Report {
    let mut report = report(facts, require);
    let mut failures = Vec::new();
    for probe in probed.iter().filter(|probe| !probe.refused) {
        let Some(finding) = report.keys.get_mut(&probe.key) else {
            continue;
        };
        // Where less is promised, nothing is broken.
        if finding.state == State::Enforced {
            let failure = format!("a probe could {}", probe.what);
            *finding = Finding {
                state: State::Absent,
                why: Some(failure.clone()),
                ..finding.clone()
            };
            failures.push(format!("{}: {failure}", probe.key));
        }
    }
    report.self_test = Some(SelfTest {
        probes: probed.len(),
        failures,
        duration_ms: 0,
    });
    report
}
