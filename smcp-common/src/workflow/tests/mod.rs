//! Definitions with their problems, and workflows that are driven to their ends.

mod checked;
mod driven;

use serde_json::{Value, json};

use super::*;

/// A definition of these steps; each gets a tool.
fn definition(steps: Value) -> Definition {
    let Value::Array(mut steps) = steps else {
        panic!("no list: {steps}")
    };
    for step in &mut steps {
        if step["tool"].is_null() {
            step["tool"] = json!("t__t");
        }
    }
    read(&json!({ "steps": steps })).unwrap()
}
