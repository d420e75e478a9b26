//! Workflows: steps that wait for each other, each a job like any other. What a definition says, what is wrong with
//! one, and what follows from how far a workflow has come. No storage, no time source, no processes.

mod advance;
mod check;
mod definition;
mod graph;
mod id;
mod progress;
mod reference;
mod result;
mod verification;

pub use advance::{Action, Call, Decision, End, advance};
pub use check::{Problem, check, read};
pub use definition::{Definition, MAX_STEPS, OnFailure, Step, Verify};
pub use graph::Graph;
pub use id::{InvalidWorkflowId, WorkflowId};
pub use progress::{
    Check, JobEnd, Progress, StepJob, StepProgress, StepState, WorkflowState, code,
};
pub use reference::{Key, Part, Reference, has_references, literal};
pub use result::{MAX_RESULT_BYTES, result};

#[cfg(test)]
mod tests;
