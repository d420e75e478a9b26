//! Who calls: agents, their groups and their keys.
