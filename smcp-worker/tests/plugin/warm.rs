//! Interpreters that wait: what a plugin can see of that, which is nothing, and when they go.

mod calls;
mod same;
mod world;
