//! ② Rules: who may do what, when, and under which conditions. Pure: what is decided follows from the rules, the
//! catalogue, the agents and the question alone; [`Keeper`] alone asks the queue for them.

mod action;
mod check;
mod decision;
mod effective;
mod explain;
mod fault;
mod governed;
mod grant;
mod keeper;
mod lint;
mod moment;
mod name;
mod obligation;
mod policies;
mod problem;
mod question;
mod replay;
mod rule;
mod schema;
mod scope;
mod shape;
mod terms;

pub use self::action::{ADMINISTER, Action, BUILTIN_PLUGIN, CALL, DESTRUCTIVE, FOLLOW, READ_ONLY};
pub use self::check::{Edit, Names};
pub use self::decision::{Decision, Verdict};
pub use self::effective::{Effective, EffectiveRule};
pub use self::explain::{Clause, ExplainedRule, Explanation};
pub use self::fault::Fault;
pub use self::grant::{Grant, Rejection};
pub use self::keeper::{Keeper, Unready};
pub use self::obligation::{Approval, Obligations};
pub use self::policies::Policies;
pub use self::problem::{Level, Problem};
pub use self::question::{Question, Session, Subject, Via};
pub use self::replay::Known;
pub use self::rule::RuleFile;

#[cfg(test)]
mod tests;
