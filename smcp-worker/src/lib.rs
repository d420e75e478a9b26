//! The SMCP worker: claims jobs and runs plugin processes.

pub mod plugin;
