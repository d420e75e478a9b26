//! Rules: read from their directory, in force at once or refused with file, line and column, asked at each call, tick and step, and
//! looked at by those who write them.

mod force;
mod looks;

use std::fs;
use std::process::Output;

use serde_json::Value;

use crate::world::{World, eventually, text};

impl World {
    /// Writes a file of rules, as an editor does.
    fn write_rules(&self, name: &str, text: &str) {
        let directory = self.path("policies");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(name), text).unwrap();
    }

    /// Waits until `policy check` says so.
    fn wait_for_check(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        eventually(what, || {
            let output = self.smcp(&["policy", "check", "--json"]);
            let told = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
            is_so(&told).then_some(told)
        })
    }
}

fn failed(output: &Output, status: i32) -> String {
    assert_eq!(output.status.code(), Some(status), "{output:?}");
    text(&output.stdout)
}
