//! The shape of `smcp.toml`. An unknown key is an error: a misspelt setting must not be silently ignored.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::plugin::Pinning;
use crate::sandbox::{Require, Terms};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) database: Option<String>,
    pub(super) http: Http,
    pub(super) calls: Calls,
    pub(super) limits: Limits,
    pub(super) policy: Policy,
    pub(super) plugins: Plugins,
    pub(super) sandbox: Sandbox,
    pub(super) workers: Workers,
    pub(super) audit: Audit,
    pub(super) log: Log,
    pub(super) aliases: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Http {
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) max_body_bytes: Option<usize>,
    pub(super) max_head_bytes: Option<usize>,
    pub(super) max_sessions: Option<u32>,
    pub(super) max_streams_per_session: Option<u32>,
    pub(super) allowed_hosts: Option<Vec<String>>,
    pub(super) allowed_origins: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(
    clippy::struct_field_names,
    reason = "the unit is a part of each key's name"
)]
pub(super) struct Calls {
    pub(super) task_after_s: Option<f64>,
    pub(super) wait_s: Option<f64>,
    pub(super) wait_with_progress_s: Option<f64>,
    pub(super) heartbeat_s: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limits {
    pub(super) max_arguments_bytes: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Plugins {
    pub(super) directories: Option<Vec<String>>,
    pub(super) timeout_s: Option<f64>,
    pub(super) pass_env: Option<Vec<String>>,
    pub(super) warm: Option<Automatic>,
    pub(super) pin: Option<Pinning>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Sandbox {
    pub(super) require: Option<Require>,
    pub(super) namespaces: Option<Automatic>,
    pub(super) profile: Terms,
    pub(super) plugins: BTreeMap<String, Terms>,
}

/// Something that is done wherever it works, unless it is switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Automatic {
    Auto,
    Off,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Policy {
    pub(super) directory: Option<PathBuf>,
    pub(super) zone: Option<String>,
    pub(super) allow_missing: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Workers {
    pub(super) count: Option<u16>,
    pub(super) drain_timeout_s: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Log {
    pub(super) filter: Option<String>,
    pub(super) json: Option<bool>,
    pub(super) file: Option<PathBuf>,
    pub(super) rotation: Option<String>,
    pub(super) max_bytes: Option<u64>,
    pub(super) backups: Option<u32>,
    pub(super) rotate_when: Option<String>,
    pub(super) rotate_interval: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Audit {
    pub(super) anchor_file: Option<PathBuf>,
    pub(super) anchor_command: Vec<String>,
}

impl File {
    /// Reads the text; the error says what is wrong and where.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())
    }
}
