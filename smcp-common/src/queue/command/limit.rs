//! Limits are used up in the transaction of what uses them.
