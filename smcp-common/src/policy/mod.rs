//! ② Rules: who may do what, when, and under which conditions. Pure: what is decided follows from the rules, the
//! catalogue, the agents and the question alone.

mod decision;
mod obligation;
mod question;

pub use self::decision::{Decision, Verdict};
pub use self::obligation::{Approval, Obligations};
pub use self::question::{Question, Session, Subject, Via};
