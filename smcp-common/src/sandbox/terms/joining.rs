//! What two declarations ask for together.

use std::cmp::max;

use super::narrowing::union;
use super::{EnvTerms, FilesystemTerms, LimitTerms, Mode, NetworkTerms, Terms};

impl Terms {
    /// Terms under which everything could run that runs under these or under `other`. Between networks of two kinds that
    /// have nothing in common, that is the full one.
    #[must_use]
    pub fn joined(self, other: &Self) -> Self {
        let (files, others) = (self.filesystem, &other.filesystem);
        Self {
            filesystem: FilesystemTerms {
                read: lists(files.read, others.read.as_ref()),
                write: lists(files.write, others.write.as_ref()),
                scratch_mb: max(files.scratch_mb, others.scratch_mb),
            },
            network: networks(self.network, &other.network),
            limits: limits(&self.limits, &other.limits),
            env: EnvTerms {
                allow: lists(self.env.allow, other.env.allow.as_ref()),
            },
        }
    }
}

fn lists<T: Clone + PartialEq>(one: Option<Vec<T>>, other: Option<&Vec<T>>) -> Option<Vec<T>> {
    match (one, other) {
        (Some(one), Some(other)) => Some(union(&one, other)),
        (one, other) => one.or_else(|| other.cloned()),
    }
}

fn networks(one: NetworkTerms, other: &NetworkTerms) -> NetworkTerms {
    match (one.mode, other.mode) {
        (_, None | Some(Mode::None)) if one.mode.is_some() => one,
        (None | Some(Mode::None), _) => other.clone(),
        (mode, other_mode) if mode == other_mode => NetworkTerms {
            mode,
            allow: lists(one.allow, other.allow.as_ref()),
        },
        (_, _) => NetworkTerms {
            mode: Some(Mode::Full),
            allow: None,
        },
    }
}

fn limits(one: &LimitTerms, other: &LimitTerms) -> LimitTerms {
    LimitTerms {
        memory_mb: unlimited(one.memory_mb, other.memory_mb),
        processes: max(one.processes, other.processes),
        cpu_seconds: unlimited(one.cpu_seconds, other.cpu_seconds),
        wall_seconds: unlimited(one.wall_seconds, other.wall_seconds),
        file_mb: max(one.file_mb, other.file_mb),
        open_files: max(one.open_files, other.open_files),
        stdout_kb: max(one.stdout_kb, other.stdout_kb),
        stderr_kb: max(one.stderr_kb, other.stderr_kb),
    }
}

/// The larger of both, where 0 is no limit.
fn unlimited(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    if one == Some(0) || other == Some(0) {
        Some(0)
    } else {
        max(one, other)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn terms(value: &Value) -> Terms {
        serde_json::from_value(value.clone()).unwrap()
    }

    #[test]
    fn whatever_either_asks_for_is_asked_for() {
        let proxy = |host: &str| json!({"network": {"mode": "proxy", "allow": [host]}});
        let ports = json!({"network": {"mode": "loopback-ports", "allow": [1]}});
        let none = json!({"network": {"mode": "none"}});
        let rows = [
            (json!({}), json!({}), json!({})),
            (
                json!({"filesystem": {"read": ["/a", "/b"], "scratch_mb": 5}}),
                json!({"filesystem": {"read": ["/b", "/c"], "write": ["/d"]}}),
                json!({"filesystem": {"read": ["/a", "/b", "/c"], "write": ["/d"], "scratch_mb": 5}}),
            ),
            (
                json!({"limits": {"memory_mb": 0, "processes": 3, "cpu_seconds": 5}}),
                json!({"limits": {"memory_mb": 9, "processes": 4, "wall_seconds": 2}}),
                json!({"limits": {"memory_mb": 0, "processes": 4, "cpu_seconds": 5, "wall_seconds": 2}}),
            ),
            (
                json!({"env": {"allow": ["A"]}}),
                json!({"env": {"allow": ["B"]}}),
                json!({"env": {"allow": ["A", "B"]}}),
            ),
            (proxy("a:1"), json!({}), proxy("a:1")),
            (proxy("a:1"), none.clone(), proxy("a:1")),
            (
                proxy("a:1"),
                proxy("b:1"),
                json!({"network": {"mode": "proxy", "allow": ["a:1", "b:1"]}}),
            ),
            (
                proxy("a:1"),
                ports.clone(),
                json!({"network": {"mode": "full"}}),
            ),
            (none.clone(), json!({}), none),
        ];
        for (one, other, both) in rows {
            let joined = |one: &Value, other: &Value| terms(one).joined(&terms(other));
            assert_eq!(joined(&one, &other), terms(&both), "{one} {other}");
            let reversed = serde_json::to_value(joined(&other, &one)).unwrap();
            let mut lists = [json!(joined(&one, &other)), reversed];
            for value in lists.iter_mut().flat_map(each_list) {
                value.sort_by_key(Value::to_string);
            }
            assert_eq!(lists[0], lists[1], "{other} {one}");
        }
    }

    fn each_list(value: &mut Value) -> Vec<&mut Vec<Value>> {
        match value {
            Value::Array(list) => vec![list],
            Value::Object(object) => object.values_mut().flat_map(each_list).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
        }
    }
}
