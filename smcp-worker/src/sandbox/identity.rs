//! Who a plugin is: a user without rights, and none to gain.

use std::io;

use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, remove_capability_from_bounding_set, set_capabilities,
    set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

/// Makes this process, which is root, the user and group `id` of no other groups.
///
/// # Errors
/// `EPERM` where the privilege is missing, `EINVAL` where this user namespace has no such user.
pub(super) fn become_user(id: u32) -> io::Result<()> {
    set_thread_groups(&[])?;
    let (user, group) = (Uid::from_raw(id), Gid::from_raw(id));
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)?;
    Ok(())
}

/// Gives up what a program that this process starts could ever be allowed. To be called while that is still allowed:
/// before [`become_user`].
///
/// # Errors
/// What the kernel says.
pub(super) fn bound_privileges() -> io::Result<()> {
    set_no_new_privs(true)?;
    for capability in CapabilitySet::all() {
        match remove_capability_from_bounding_set(capability) {
            // Without the privilege to give privileges up there are none to give; a number that the kernel does not
            // know is none.
            Ok(()) | Err(Errno::PERM | Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Gives up what this process itself is allowed.
///
/// # Errors
/// What the kernel says.
pub(super) fn drop_privileges() -> io::Result<()> {
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, none)?;
    Ok(())
}
