//! Plugins that have been accepted.
