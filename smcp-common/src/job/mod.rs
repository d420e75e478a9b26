//! What a job is: its identity, its states and what happens to it. No storage, no time source, no processes.

mod effect;

pub use effect::Effect;
