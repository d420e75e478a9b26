//! What only plugins see.
