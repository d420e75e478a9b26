//! A run of a schedule: a job, or a workflow.

use std::time::Duration;

use super::{Schedule, Target};
use crate::job::{JobId, NewJob, Origin, Source};
use crate::plugin::{Order, Tool, normalise};
use crate::queue::NewWorkflow;
use crate::workflow::WorkflowId;

/// Why a run is allowed, for the audit record: its arguments and its owner were checked when the schedule was.
const RULE: &str = "builtin:schedules-run-as-their-owner";

/// What a tick becomes.
#[derive(Debug)]
pub enum Run {
    /// A job of a tool.
    Job(Box<NewJob>),
    /// A workflow.
    Workflow(Box<NewWorkflow>),
}

impl Run {
    /// The job, if it is one.
    pub fn job(&self) -> Option<&JobId> {
        match self {
            Self::Job(job) => Some(&job.id),
            Self::Workflow(_) => None,
        }
    }

    /// The workflow, if it is one.
    pub fn workflow(&self) -> Option<&WorkflowId> {
        match self {
            Self::Job(_) => None,
            Self::Workflow(workflow) => Some(&workflow.id),
        }
    }
}

impl Schedule {
    /// One run, as the schedule's owner, with the tools as `find` knows them now. `default_timeout` is for tools that
    /// declare none.
    ///
    /// # Errors
    /// Why there is none, in a sentence: the tool is gone. A workflow whose tools are gone finds that out step by step.
    pub fn run<'t>(
        &self,
        find: impl FnOnce(&str) -> Option<&'t Tool>,
        default_timeout: Option<Duration>,
    ) -> Result<Run, String> {
        match &self.spec.target {
            Target::Tool { tool, arguments } => {
                let Some(found) = find(tool) else {
                    return Err(format!("There is no tool '{tool}' any more."));
                };
                let order = Order {
                    id: JobId::random(),
                    agent: self.agent.clone(),
                    source: Source::Schedule,
                    origin: Some(Origin::Schedule {
                        schedule: self.id.clone(),
                    }),
                    arguments: normalise(found, arguments.clone()),
                    entrance: None,
                    idempotency_key: None,
                    run_at: None,
                    priority: self.spec.priority,
                    retry: self.spec.retry.clone(),
                    rules: vec![RULE.to_owned()],
                    approval: None,
                    limits: Vec::new(),
                };
                Ok(Run::Job(Box::new(found.job(order, default_timeout))))
            }
            Target::Workflow { workflow, rules } => Ok(Run::Workflow(Box::new(NewWorkflow {
                id: WorkflowId::random(),
                agent: self.agent.clone(),
                definition: (**workflow).clone(),
                rules: rules.clone(),
                schedule: Some(self.id.clone()),
                idempotency_key: None,
            }))),
        }
    }
}
