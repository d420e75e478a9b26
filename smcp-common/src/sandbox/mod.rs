//! What plugins may do and use, and how far this machine can hold them to it. No processes: the worker confines, the
//! API shows.

mod profile;
mod report;
mod terms;

pub use profile::{Destination, DestinationError, Limits, Network, Profile};
pub use report::{Confinement, Finding, Key, Report, Require, SelfTest, Start, State, Tier};
pub use terms::{
    EnvTerms, Excess, FilesystemTerms, LimitTerms, Mode, NetworkTerms, Reach, Terms, is_plain,
};
