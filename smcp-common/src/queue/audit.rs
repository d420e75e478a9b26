//! The audit chain, as it is read.
