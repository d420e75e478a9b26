//! The names of agents, groups, plugins and tools in Cedar.

use cedar_policy::{EntityId, EntityTypeName, EntityUid};

use super::Fault;

/// The types of entities that rules name.
#[derive(Debug, Clone)]
pub(super) struct Kinds {
    agent: EntityTypeName,
    group: EntityTypeName,
    plugin: EntityTypeName,
    action: EntityTypeName,
}

/// What an entity is, with its own name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named<'u> {
    Agent(&'u str),
    Group(&'u str),
    Plugin(&'u str),
    Action(&'u str),
    /// Of a type that SMCP does not have.
    Unknown,
}

impl Kinds {
    pub(super) fn new() -> Result<Self, Fault> {
        let kind = |name: &str| name.parse().map_err(|_| Fault::Internal("a type's name"));
        Ok(Self {
            agent: kind("Smcp::Agent")?,
            group: kind("Smcp::Group")?,
            plugin: kind("Smcp::Plugin")?,
            action: kind("Smcp::Action")?,
        })
    }

    pub(super) fn agent(&self, name: &str) -> EntityUid {
        EntityUid::from_type_name_and_id(self.agent.clone(), EntityId::new(name))
    }

    pub(super) fn group(&self, name: &str) -> EntityUid {
        EntityUid::from_type_name_and_id(self.group.clone(), EntityId::new(name))
    }

    pub(super) fn plugin(&self, name: &str) -> EntityUid {
        EntityUid::from_type_name_and_id(self.plugin.clone(), EntityId::new(name))
    }

    pub(super) fn action(&self, name: &str) -> EntityUid {
        EntityUid::from_type_name_and_id(self.action.clone(), EntityId::new(name))
    }

    pub(super) fn is_agent(&self, kind: &EntityTypeName) -> bool {
        *kind == self.agent
    }

    pub(super) fn is_plugin(&self, kind: &EntityTypeName) -> bool {
        *kind == self.plugin
    }

    pub(super) fn name<'u>(&self, uid: &'u EntityUid) -> Named<'u> {
        let (kind, name) = (uid.type_name(), uid.id().unescaped());
        if *kind == self.agent {
            Named::Agent(name)
        } else if *kind == self.group {
            Named::Group(name)
        } else if *kind == self.plugin {
            Named::Plugin(name)
        } else if *kind == self.action {
            Named::Action(name)
        } else {
            Named::Unknown
        }
    }
}
