//! What follows from how far a workflow has come. Pure: the same progress at the same instant has the same decision,
//! whoever makes it and however often.

use serde_json::{Map, Value};

use super::definition::{Definition, OnFailure, Step};
use super::graph::Graph;
use super::progress::{JobEnd, Progress, StepState, WorkflowState, code};
use super::reference::{Part, Reference, resolve, walk};
use super::result::MAX_RESULT_BYTES;
use super::verification::{self, Next};
use crate::clock::Timestamp;
use crate::job::{Failure, JobId, StateName};

/// A call that a workflow wants to make, its references resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Call<'d> {
    /// The step, or the step that the check is for.
    pub step: &'d Step,
    /// The tool.
    pub tool: &'d str,
    /// Its arguments.
    pub arguments: Map<String, Value>,
}

/// All that follows now.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision<J> {
    /// What is to be done, in this order.
    pub actions: Vec<Action<J>>,
    /// When there is something to decide again, apart from news.
    pub wake_at: Option<Timestamp>,
    /// The end of the workflow.
    pub end: Option<End>,
}

/// Something to be done about the step of that place.
#[derive(Debug, Clone, PartialEq)]
pub enum Action<J> {
    /// It begins, with that job.
    Begin {
        /// The step.
        step: usize,
        /// Its job.
        job: J,
    },
    /// Its job has succeeded, and checks are to follow.
    Verify {
        /// The step.
        step: usize,
    },
    /// The next check of it begins.
    Check {
        /// The step.
        step: usize,
        /// The check's job.
        job: J,
    },
    /// A check is of no use any more.
    StopCheck {
        /// The check's job.
        job: JobId,
    },
    /// It ends.
    End {
        /// The step.
        step: usize,
        /// How.
        state: StepState,
        /// When that was.
        at: Timestamp,
        /// Why it failed.
        error: Option<Failure>,
    },
}

/// How a workflow ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Its final state.
    pub state: WorkflowState,
    /// Why it did not succeed.
    pub error: Option<Failure>,
}

/// Decides what follows `now`. `make` turns a call into a job; where it cannot, the step fails with what it says.
pub fn advance<J>(
    definition: &Definition,
    progress: &Progress,
    now: Timestamp,
    make: &mut dyn FnMut(Call<'_>) -> Result<J, Failure>,
) -> Decision<J> {
    let mut run = Run {
        definition,
        graph: Graph::of(definition),
        progress,
        now,
        make,
        states: progress.steps.iter().map(|step| step.state).collect(),
        errors: progress
            .steps
            .iter()
            .map(|step| step.error.clone())
            .collect(),
        begun: vec![false; progress.steps.len()],
        actions: Vec::new(),
        wake_at: None,
    };
    // A step that ends lets others begin, and one that cannot begin ends.
    loop {
        let done = run.actions.len();
        (0..definition.steps.len()).for_each(|n| run.go_on(n));
        if run.actions.len() == done {
            break;
        }
    }
    let end = run.end();
    Decision {
        wake_at: run.wake_at.filter(|_| end.is_none()),
        actions: run.actions,
        end,
    }
}

struct Run<'r, J> {
    definition: &'r Definition,
    graph: Graph,
    progress: &'r Progress,
    now: Timestamp,
    make: &'r mut dyn FnMut(Call<'_>) -> Result<J, Failure>,
    states: Vec<StepState>,
    errors: Vec<Option<Failure>>,
    /// The steps of which a job has been begun in this very decision.
    begun: Vec<bool>,
    actions: Vec<Action<J>>,
    wake_at: Option<Timestamp>,
}

impl<J> Run<'_, J> {
    fn go_on(&mut self, n: usize) {
        match self.states[n] {
            StepState::Waiting if self.is_over(n) => {
                self.settle(n, StepState::Skipped, self.now, None);
            }
            StepState::Waiting if self.may_begin(n) => self.begin(n),
            StepState::Running if !self.begun[n] => self.follow(n),
            StepState::Verifying if !self.begun[n] => self.verify(n),
            StepState::Waiting
            | StepState::Running
            | StepState::Verifying
            | StepState::Succeeded
            | StepState::Failed
            | StepState::Skipped
            | StepState::Cancelled => {}
        }
    }

    /// Whether a step that waits will never begin.
    fn is_over(&self, n: usize) -> bool {
        if self.progress.cancelled {
            return true;
        }
        if self.graph.is_handler(n) {
            let handled = self.graph.handles(n).iter();
            return handled
                .map(|of| self.states[*of])
                .all(|state| state.is_final() && state != StepState::Failed);
        }
        !self.fatal().is_empty()
    }

    fn may_begin(&self, n: usize) -> bool {
        if self.graph.is_handler(n) {
            let mut handled = self.graph.handles(n).iter();
            return handled.any(|of| self.states[*of] == StepState::Failed);
        }
        let mut needs = self.graph.needs(n).iter();
        needs.all(|of| self.states[*of].is_final())
    }

    /// The steps that have failed and let the workflow fail.
    fn fatal(&self) -> Vec<usize> {
        (0..self.states.len())
            .filter(|n| {
                self.states[*n] == StepState::Failed
                    && !self.graph.is_handler(*n)
                    && self.definition.steps[*n].on_failure != OnFailure::Continue
            })
            .collect()
    }

    fn begin(&mut self, n: usize) {
        let definition = self.definition;
        let step = &definition.steps[n];
        match self.call(n, &step.tool, &step.arguments) {
            Ok(job) => {
                self.states[n] = StepState::Running;
                self.begun[n] = true;
                self.actions.push(Action::Begin { step: n, job });
            }
            Err(failure) => self.settle(n, StepState::Failed, self.now, Some(failure)),
        }
    }

    fn follow(&mut self, n: usize) {
        let Some(end) = self.job_end(n).cloned() else {
            return;
        };
        let is_verified = self.definition.steps[n].verify.is_some();
        match end.state {
            StateName::Succeeded if is_verified && self.progress.cancelled => {
                self.settle(n, StepState::Cancelled, end.at, None);
            }
            StateName::Succeeded if is_verified => {
                self.states[n] = StepState::Verifying;
                self.actions.push(Action::Verify { step: n });
            }
            StateName::Succeeded => self.settle(n, StepState::Succeeded, end.at, None),
            StateName::Cancelled if self.progress.cancelled => {
                self.settle(n, StepState::Cancelled, end.at, end.error);
            }
            StateName::AwaitingApproval
            | StateName::Queued
            | StateName::Running
            | StateName::Failed
            | StateName::Cancelled
            | StateName::OutcomeUnknown
            | StateName::Denied
            | StateName::Expired => {
                self.settle(n, StepState::Failed, end.at, end.error);
            }
        }
    }

    fn verify(&mut self, n: usize) {
        let definition = self.definition;
        let checks = &self.progress.steps[n].checks;
        if self.progress.cancelled {
            if checks.iter().all(|check| check.end.is_some()) {
                self.settle(n, StepState::Cancelled, self.now, None);
            }
            return;
        }
        let (Some(verify), Some(end)) = (&definition.steps[n].verify, self.job_end(n)) else {
            return;
        };
        let from = end.at;
        match verification::next(verify, from, checks, self.now) {
            Next::Succeeded { at } => self.settle(n, StepState::Succeeded, at, None),
            Next::Failed {
                at,
                failure,
                running,
            } => {
                if let Some(job) = running {
                    self.actions.push(Action::StopCheck { job });
                }
                self.settle(n, StepState::Failed, at, Some(failure));
            }
            Next::Check => match self.call(n, &verify.tool, &verify.arguments) {
                Ok(job) => {
                    self.begun[n] = true;
                    self.actions.push(Action::Check { step: n, job });
                    self.wake(from.plus(verify.patience()));
                }
                Err(failure) => self.settle(n, StepState::Failed, self.now, Some(failure)),
            },
            Next::Wait(until) => self.wake(until),
        }
    }

    fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }

    fn settle(&mut self, n: usize, state: StepState, at: Timestamp, error: Option<Failure>) {
        self.states[n] = state;
        self.errors[n].clone_from(&error);
        self.actions.push(Action::End {
            step: n,
            state,
            at,
            error,
        });
    }

    fn job_end(&self, n: usize) -> Option<&JobEnd> {
        self.progress.steps[n].job.as_ref()?.end.as_ref()
    }

    fn call(&mut self, n: usize, tool: &str, arguments: &Map<String, Value>) -> Result<J, Failure> {
        let mut room = MAX_RESULT_BYTES;
        let arguments = resolve(arguments, &mut |reference| {
            let value = self
                .look_up(reference)
                .map_err(|why| format!("{reference} leads nowhere: {why}."))?;
            room = room.checked_sub(value.to_string().len()).ok_or_else(|| {
                format!("{reference} is too much: references may put in {MAX_RESULT_BYTES} bytes.")
            })?;
            Ok(value)
        })
        .map_err(|message| Failure::new(code::UNRESOLVED_REFERENCE, message))?;
        (self.make)(Call {
            step: &self.definition.steps[n],
            tool,
            arguments,
        })
    }

    fn look_up(&self, reference: &Reference) -> Result<Value, String> {
        let id = &reference.step;
        let of = self
            .definition
            .position(id)
            .ok_or_else(|| format!("there is no step '{id}'"))?;
        let job = self.progress.steps[of].job.as_ref();
        let failed = || format!("step '{id}' has not failed");
        match &reference.part {
            Part::State => Ok(self.states[of].as_str().into()),
            Part::Job => job
                .map(|job| Value::from(job.id.as_str()))
                .ok_or_else(|| format!("step '{id}' has no job")),
            Part::ErrorCode => {
                let error = self.errors[of].as_ref().ok_or_else(failed)?;
                Ok(error.code.clone().into())
            }
            Part::ErrorMessage => {
                let error = self.errors[of].as_ref().ok_or_else(failed)?;
                Ok(error.message.clone().into())
            }
            Part::Result(way) => {
                let end = self
                    .job_end(of)
                    .filter(|end| end.state == StateName::Succeeded);
                let end =
                    end.ok_or_else(|| format!("step '{id}' has no result, as it did not succeed"))?;
                let result = end.result.as_ref().map_err(Clone::clone)?;
                walk(result, way)
            }
        }
    }

    /// How the workflow ends, once every step has.
    fn end(&self) -> Option<End> {
        if !self.states.iter().all(|state| state.is_final()) {
            return None;
        }
        let fatal = self.fatal();
        let is_cut = |n: usize| {
            !self.graph.is_handler(n)
                && matches!(self.states[n], StepState::Skipped | StepState::Cancelled)
        };
        if self.progress.cancelled && (0..self.states.len()).any(is_cut) {
            let message = "The workflow was cancelled.";
            return Some(End {
                state: WorkflowState::Cancelled,
                error: Some(Failure::new(code::WORKFLOW_CANCELLED, message)),
            });
        }
        if fatal.is_empty() {
            return Some(End {
                state: WorkflowState::Succeeded,
                error: None,
            });
        }
        let handlers = (0..self.states.len()).filter(|n| {
            self.graph.is_handler(*n)
                && matches!(self.states[*n], StepState::Succeeded | StepState::Failed)
        });
        let failed = fatal.iter().map(|n| self.told(*n, "Step"));
        let told: Vec<_> = failed
            .chain(handlers.map(|n| self.told(n, "Then")))
            .collect();
        Some(End {
            state: WorkflowState::Failed,
            error: Some(Failure::new(code::STEP_FAILED, told.join(" "))),
        })
    }

    fn told(&self, n: usize, first: &str) -> String {
        let id = &self.definition.steps[n].id;
        let ran = if first == "Then" { " was run, and" } else { "" };
        match &self.errors[n] {
            None if self.states[n] == StepState::Succeeded => {
                format!("{first} '{id}'{ran} succeeded.")
            }
            None => format!("{first} '{id}'{ran} failed."),
            Some(Failure { code, message }) => {
                format!(
                    "{first} '{id}'{ran} failed ({code}): {}",
                    message.trim_end()
                )
            }
        }
    }
}
