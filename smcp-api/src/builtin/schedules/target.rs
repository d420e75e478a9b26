//! What a schedule is to run: a tool with its arguments, or a workflow.

use serde_json::{Map, Value};
use smcp_common::clock::Timestamp;
use smcp_common::schedule::Target;
use smcp_common::workflow::read;

use super::given::unfit;
use super::run::runnable;
use crate::app::App;
use crate::caller::Caller;
use crate::refusal::Refusal;
use crate::workflow::{KEPT, invalid, literal_secrets, prepare};

/// What a caller says of it; for a schedule that there is, what is not said stays as it was.
pub(super) struct Wanted {
    pub(super) tool: Option<String>,
    pub(super) arguments: Option<Map<String, Value>>,
    pub(super) workflow: Option<Value>,
}

impl Wanted {
    /// The target, checked as for a run `at` its next time, unless it is what was checked before.
    ///
    /// # Errors
    /// The refusal that says what is wrong with it.
    pub(super) async fn check(
        self,
        app: &App,
        owner: &Caller,
        known: Option<&Target>,
        at: Timestamp,
    ) -> Result<Target, Refusal> {
        let Self {
            tool,
            arguments,
            workflow,
        } = self;
        if let Some(workflow) = workflow {
            if tool.is_some() || arguments.is_some() {
                return Err(unfit(
                    "workflow",
                    "it is run in the place of a tool, so that only one of them can be given",
                ));
            }
            let definition = read(&workflow).map_err(|problems| invalid(&problems))?;
            let prepared = prepare(app, owner, definition, at).await?;
            return Ok(Target::Workflow {
                workflow: Box::new(prepared.definition),
                rules: prepared.rules,
            });
        }
        let (known_tool, known_arguments) = match known {
            Some(target) if tool.is_none() && arguments.is_none() => return Ok(target.clone()),
            Some(Target::Tool { tool, arguments }) => (Some(tool), Some(arguments)),
            Some(Target::Workflow { .. }) | None => (None, None),
        };
        let Some(tool) = tool.or_else(|| known_tool.cloned()) else {
            return Err(unfit(
                "tool",
                "either a tool or a workflow is to be run: one of them must be given",
            ));
        };
        let arguments = arguments
            .or_else(|| known_arguments.cloned())
            .unwrap_or_default();
        let (found, _) = runnable(app, owner, &tool, &arguments, at).await?;
        if let Some(name) = literal_secrets(&found, &arguments).next() {
            return Err(unfit(&format!("arguments.{name}"), KEPT));
        }
        Ok(Target::Tool {
            // Its own name: an alias may mean another tool by then.
            tool: found.name.to_string(),
            arguments,
        })
    }
}
