//! The scope of a rule, `(principal …, action …, resource …)`: whom and what it can concern, whatever its conditions say.

use cedar_policy::{ActionConstraint, Policy, PrincipalConstraint, ResourceConstraint};

use super::name::{Kinds, Named};
use super::{Action, Subject};

/// Whether it can concern calls of that tool.
pub(super) fn covers_action(kinds: &Kinds, policy: &Policy, action: &Action) -> bool {
    let is = |named: Named<'_>| named == Named::Action(&action.name);
    let is_group = |named| match named {
        Named::Action(name) => action.groups.iter().any(|group| group == name),
        Named::Agent(_) | Named::Group(_) | Named::Plugin(_) | Named::Unknown => false,
    };
    match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(uid) => is(kinds.name(&uid)),
        ActionConstraint::In(uids) => uids
            .iter()
            .map(|uid| kinds.name(uid))
            .any(|named| is(named) || is_group(named)),
    }
}

/// Whether it can concern that plugin.
pub(super) fn covers_plugin(kinds: &Kinds, policy: &Policy, plugin: &str) -> bool {
    let is = |uid| kinds.name(&uid) == Named::Plugin(plugin);
    match policy.resource_constraint() {
        ResourceConstraint::Any => true,
        ResourceConstraint::In(uid) | ResourceConstraint::Eq(uid) => is(uid),
        ResourceConstraint::Is(kind) => kinds.is_plugin(&kind),
        ResourceConstraint::IsIn(kind, uid) => kinds.is_plugin(&kind) && is(uid),
    }
}

/// Whether it can concern calls by that agent.
pub(super) fn covers_subject(kinds: &Kinds, policy: &Policy, subject: &Subject) -> bool {
    let is = |named: Named<'_>| named == Named::Agent(&subject.agent);
    let is_in = |named: Named<'_>| match named {
        Named::Group(name) => subject.groups.contains(name),
        Named::Agent(_) | Named::Plugin(_) | Named::Action(_) | Named::Unknown => is(named),
    };
    match policy.principal_constraint() {
        PrincipalConstraint::Any => true,
        PrincipalConstraint::Eq(uid) => is(kinds.name(&uid)),
        PrincipalConstraint::In(uid) => is_in(kinds.name(&uid)),
        PrincipalConstraint::Is(kind) => kinds.is_agent(&kind),
        PrincipalConstraint::IsIn(kind, uid) => kinds.is_agent(&kind) && is_in(kinds.name(&uid)),
    }
}

/// The parts of it that concern principal and resource, as they are written, each with whether it is so here.
pub(super) fn clauses(
    kinds: &Kinds,
    policy: &Policy,
    subject: &Subject,
    plugin: &str,
) -> Vec<(String, bool)> {
    let principal = match policy.principal_constraint() {
        PrincipalConstraint::Any => None,
        PrincipalConstraint::Eq(uid) => Some(format!("principal == {uid}")),
        PrincipalConstraint::In(uid) => Some(format!("principal in {uid}")),
        PrincipalConstraint::Is(kind) => Some(format!("principal is {kind}")),
        PrincipalConstraint::IsIn(kind, uid) => Some(format!("principal is {kind} in {uid}")),
    };
    let resource = match policy.resource_constraint() {
        ResourceConstraint::Any => None,
        ResourceConstraint::Eq(uid) => Some(format!("resource == {uid}")),
        ResourceConstraint::In(uid) => Some(format!("resource in {uid}")),
        ResourceConstraint::Is(kind) => Some(format!("resource is {kind}")),
        ResourceConstraint::IsIn(kind, uid) => Some(format!("resource is {kind} in {uid}")),
    };
    let principal = principal.map(|text| (text, covers_subject(kinds, policy, subject)));
    let resource = resource.map(|text| (text, covers_plugin(kinds, policy, plugin)));
    principal.into_iter().chain(resource).collect()
}
