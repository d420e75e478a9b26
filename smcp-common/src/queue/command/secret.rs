//! Secrets, encrypted.
