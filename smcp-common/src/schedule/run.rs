//! A run of a schedule: a job, or a workflow.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{Schedule, Target};
use crate::job::{Failure, JobId, NewJob, Origin, Source, code};
use crate::plugin::{Binding, Order, Tool, normalise};
use crate::policy::Grant;
use crate::queue::{NewWorkflow, NoJob};
use crate::workflow::WorkflowId;

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
    /// One run, as the schedule's owner, with the tools as `find` knows them now, as far as `grant` lets the owner call the tool
    /// with these arguments, and what its approval is bound to where it needs one. `default_timeout` is for tools that declare none.
    ///
    /// # Errors
    /// Why there is none: the tool is gone, or not allowed. A workflow finds both out step by step.
    pub fn run<'t>(
        &self,
        find: impl FnOnce(&str) -> Option<&'t Tool>,
        grant: impl FnOnce(&Tool, &Map<String, Value>) -> Result<(Grant, Binding), NoJob>,
        default_timeout: Option<Duration>,
    ) -> Result<Run, NoJob> {
        match &self.spec.target {
            Target::Tool { tool, arguments } => {
                let Some(found) = find(tool) else {
                    let message = format!("There is no tool '{tool}' any more.");
                    return Err(Failure::new(code::PLUGIN_NOT_FOUND, message).into());
                };
                let arguments = normalise(found, arguments.clone());
                let (grant, binding) = grant(found, &arguments)?;
                let order = Order {
                    grant,
                    binding,
                    id: JobId::random(),
                    agent: self.agent.clone(),
                    source: Source::Schedule,
                    origin: Some(Origin::Schedule {
                        schedule: self.id.clone(),
                    }),
                    arguments,
                    entrance: None,
                    idempotency_key: None,
                    run_at: None,
                    priority: self.spec.priority,
                    retry: self.spec.retry.clone(),
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
