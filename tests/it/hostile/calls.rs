//! Calls of hostile plugins, and what is told of them.

use rmcp::model::{CallToolRequestParams, CallToolResult};
use serde_json::{Map, Value, json};

use super::ways::Arena;
use crate::world::{job_of, text_of};

impl Arena {
    /// Calls a command of a plugin.
    pub(super) fn call(&self, plugin: &str, command: &str, plan: Value) -> CallToolResult {
        self.call_with(plugin, command, planned(plan))
    }

    fn call_with(&self, plugin: &str, command: &str, arguments: Value) -> CallToolResult {
        let arguments: Map<String, Value> = serde_json::from_value(arguments).unwrap();
        let request =
            CallToolRequestParams::new(format!("{plugin}__{command}")).with_arguments(arguments);
        let client = self.client.as_ref().unwrap();
        self.runtime
            .block_on(client.0.call_tool(request))
            .unwrap_or_else(|error| panic!("{}: {plugin} {command}: {error}", self.way))
    }

    /// What an attack says that it has achieved.
    pub(super) fn attack(&self, plugin: &str, command: &str, plan: Value) -> Value {
        self.attack_with(plugin, command, planned(plan))
    }

    /// The same of one with other arguments than a plan.
    pub(super) fn attack_with(&self, plugin: &str, command: &str, arguments: Value) -> Value {
        let answer = self.call_with(plugin, command, arguments);
        let said = text_of(&answer);
        assert_eq!(
            answer.is_error,
            Some(false),
            "{}: {command}: {said}",
            self.way
        );
        serde_json::from_str(&said)
            .unwrap_or_else(|_| panic!("{}: {command} printed {said:?}", self.way))
    }

    /// The job of an attack that is not to succeed, when it has ended.
    pub(super) fn failing(&self, plugin: &str, command: &str, plan: Value) -> Value {
        let answer = self.call(plugin, command, plan);
        self.job(&job_of(&answer))
    }

    /// Submits an attack, and answers its job.
    pub(super) fn submit(&self, plugin: &str, command: &str, plan: Value) -> String {
        let tool = format!("{plugin}__{command}");
        let client = self.client.as_ref().unwrap();
        self.runtime.block_on(client.submit(&tool, planned(plan)))
    }

    /// Waits for the end of a job.
    pub(super) fn ended(&self, job: &str) -> Value {
        let client = self.client.as_ref().unwrap();
        self.runtime.block_on(client.ended(job))
    }

    /// A job as it is.
    pub(super) fn job(&self, id: &str) -> Value {
        let client = self.client.as_ref().unwrap();
        let request = client.json("jobs__get", json!({ "id": id }));
        self.runtime.block_on(request)
    }

    /// What is kept of what a job has printed.
    pub(super) fn output(&self, id: &str) -> Value {
        let client = self.client.as_ref().unwrap();
        let request = client.json("jobs__output", json!({"id": id, "limit": 16}));
        self.runtime.block_on(request)
    }
}

/// Arguments that are a plan.
fn planned(plan: Value) -> Value {
    Value::Object(Map::from_iter([("plan".to_owned(), plan)]))
}
