//! Running plugins.

pub mod argv;
mod python;
