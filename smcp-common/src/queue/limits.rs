//! What has been used of limits.
