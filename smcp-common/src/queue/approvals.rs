//! Calls that wait for somebody to approve of them.
