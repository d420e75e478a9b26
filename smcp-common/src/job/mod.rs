//! What a job is: its identity, its states and what happens to it. No storage, no time source, no processes.

mod effect;
mod event;
mod id;
mod outcome;
mod record;
mod retry;
mod state;
mod turn;
mod waiting;

pub use effect::Effect;
pub use event::{EventKind, JobEvent, News};
pub use id::{InvalidJobId, JobId};
pub use outcome::{Failure, Outcome, code};
pub use record::{
    Attempt, CancelRequest, Claimed, Decision, Entrance, Job, NewJob, Origin, Source,
};
pub use retry::{Advice, Causes, MAX_ATTEMPTS, MAX_DELAY, Retry, RetryOn};
pub use state::{Again, Event, IllegalTransition, Policy, State, StateName, next, revived};
pub use turn::{Line, Rank, ahead};
pub use waiting::{POSITION_LIMIT, Pause, Scope, Situation, Waiting, waiting};
