//! Rules that ask for approvals, and the people who give them.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::agents::added;
use crate::naps::Naps;
use crate::world::{Role, World, eventually, text};

/// What `ci` may do, and whose approval it needs.
pub(crate) const RULES: &str = r#"
@id("asks-ops")
@requireApproval("ops")
permit (principal == Smcp::Agent::"ci", action == Smcp::Action::"sleepy__nap", resource);

@id("asks-two")
@requireApproval("ops")
@approvals("2")
permit (principal == Smcp::Agent::"ci", action == Smcp::Action::"sleepy__once-nap", resource);

@id("asks-nobody")
permit (principal == Smcp::Agent::"ci", action == Smcp::Action::"sleepy__steps", resource);

@id("asks-nobody-either")
permit (principal == Smcp::Agent::"ci", action == Smcp::Action::"sleepy__held-nap", resource);
"#;

impl World {
    /// Puts these rules in force, and waits until they are.
    pub(crate) fn govern(&self, rules: &str) {
        let changes = || -> i64 {
            let count = "SELECT count(*) FROM audit WHERE kind = 'policy.changed'";
            self.sql().query_row(count, [], |row| row.get(0)).unwrap()
        };
        let (before, directory) = (changes(), self.path("policies"));
        fs::create_dir_all(&directory).unwrap();
        let draft = directory.join(".draft");
        fs::write(&draft, rules).unwrap();
        fs::rename(draft, directory.join("rules.cedar")).unwrap();
        eventually("the rules are in force", || {
            (changes() > before).then_some(())
        });
    }

    /// The same tools from a directory that a test may change: the plugin `sleepy` alone.
    pub(crate) fn with_own_plugin(self) -> Self {
        let plugins = self.path("plugins");
        fs::create_dir_all(plugins.join("sleepy")).unwrap();
        let world = self.with_plugins(plugins.display().to_string());
        world.write_sleepy("");
        world
    }

    /// Writes that plugin, with something more at its end.
    fn write_sleepy(&self, more: &str) {
        let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/plugins/sleepy");
        let program = fs::read_to_string(source.join("cli.py")).unwrap() + more;
        let draft = self.path("plugins/sleepy/.draft");
        fs::write(&draft, program).unwrap();
        fs::rename(draft, self.path("plugins/sleepy/cli.py")).unwrap();
    }

    /// Changes that plugin, and waits until that has been noticed.
    pub(crate) fn change_sleepy(&self, more: &str) {
        let digest = || self.smcp_json(&["plugins", "list"])["plugins"][0]["digest"].take();
        let before = digest();
        self.write_sleepy(more);
        eventually("the change has been noticed", || {
            (digest() != before).then_some(())
        });
    }

    /// Where a job stands.
    pub(crate) fn state_of(&self, job: &str) -> String {
        let shown = self.smcp_json(&["jobs", "show", job]);
        shown["state"].as_str().unwrap().to_owned()
    }

    /// Waits until a job stands there.
    pub(crate) fn wait_for_state(&self, job: &str, state: &str) {
        eventually(&format!("the job is {state}"), || {
            (self.state_of(job) == state).then_some(())
        });
    }

    /// The data of the audit records of one kind.
    pub(crate) fn recorded(&self, kind: &str) -> Vec<Value> {
        let found = self.smcp_json(&["audit", "search", "--kind", kind]);
        let found = found.as_array().unwrap().iter();
        found.map(|record| record["data"].clone()).collect()
    }
}

/// Who takes part: `ci` asks, `ann` and `ben` approve with it in one group, and `eve` is in none. The keys.
pub(crate) struct People {
    pub(crate) ci: String,
    pub(crate) ann: String,
    pub(crate) ben: String,
    pub(crate) eve: String,
}

impl People {
    fn of(world: &World) -> Self {
        let ops = |name| added(world, &[name, "--group", "ops"]);
        Self {
            ci: ops("ci"),
            ann: ops("ann"),
            ben: ops("ben"),
            eve: added(world, &["eve"]),
        }
    }
}

/// A world under these rules.
pub(crate) fn governed(world: World) -> (World, [Role; 2], People, Naps) {
    let (world, roles) = world.started();
    world.govern(RULES);
    let (people, naps) = (People::of(&world), Naps::of(&world));
    (world, roles, people, naps)
}

/// What `smcp approvals` does with `key`: its exit code, and what it prints.
pub(crate) fn approvals(world: &World, key: &str, arguments: &[&str]) -> (i32, String) {
    let output = world.smcp(&[&["approvals"], arguments, &["--api-key", key]].concat());
    let printed = text(&output.stdout) + &text(&output.stderr);
    (output.status.code().unwrap(), printed)
}

/// Approves of a job, which then stands there.
pub(crate) fn approve(world: &World, key: &str, job: &str, state: &str) {
    let said = approvals(world, key, &["approve", job, "--yes"]);
    assert_eq!(said, (0, format!("{job} is {state}\n")));
}

/// The requests that `key` is shown.
pub(crate) fn listed(world: &World, key: &str) -> Vec<Value> {
    let listed = world.smcp_json(&["approvals", "list", "--api-key", key]);
    listed.as_array().unwrap().clone()
}

/// The one request that waits.
pub(crate) fn waiting(world: &World) -> Value {
    eventually("a request waits", || {
        let listed = world.smcp_json(&["approvals", "list"]);
        listed.get(0).cloned()
    })
}

pub(crate) fn word(request: &Value, name: &str) -> String {
    request[name].as_str().unwrap().to_owned()
}
