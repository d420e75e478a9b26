//! Agents and their keys.
