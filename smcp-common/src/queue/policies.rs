//! The rules in force.
