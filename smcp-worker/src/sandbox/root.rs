//! A root directory of the plugin's own: the system and its own files to read, a scratch directory to write, nothing
//! else of the host.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Component, Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount,
    mount_change, move_mount, open_tree, unmount,
};
use rustix::process::pivot_root;

use super::policy::{DEVICES, Namespaces, Policy, RESOLVER, Reach, SCRATCH, SYSTEM};
use super::sys::{MountUse, restrict_mount};

/// Links may point at links, but not for ever; the kernel's own limit.
const MAX_LINKS: usize = 40;

/// Makes `policy`'s files the root of this process, which must be the first in new mount and pid namespaces.
///
/// `user` is who will own the scratch directory. Paths that do not exist are passed over.
///
/// # Errors
/// What the kernel says, and at which step.
pub(super) fn enter(policy: &Policy, namespaces: &Namespaces, user: u32) -> Result<(), RootError> {
    let step = |what: &'static str| move |source: io::Error| RootError { what, source };
    // Nothing that is mounted here may reach the host.
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .map_err(|error| step("detach the mounts")(error.into()))?;
    let plan = Plan::of(policy);
    // Taken before anything is covered by the new root.
    let trees = plan.open().map_err(step("open what is to be seen"))?;
    let base = namespaces.base.as_path();
    tmpfs(base, "mode=0755,size=1m").map_err(step("mount the new root"))?;
    let at = |path: &Path| base.join(path.strip_prefix("/").unwrap_or(path));
    own_files(base, user).map_err(step("write the new root"))?;
    let size = namespaces.scratch_bytes;
    for own in ["tmp", "dev/shm"] {
        let options = format!("mode=1777,size={size},nr_inodes=65536");
        tmpfs(&base.join(own), &options).map_err(step("mount the scratch directory"))?;
    }
    let none = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("proc", base.join("proc"), "proc", none, None)
        .map_err(|error| step("mount /proc")(error.into()))?;
    for (link, to) in &plan.links {
        place_link(&at(link), to).map_err(step("link what is to be seen"))?;
    }
    for (path, mount_use, tree) in trees {
        place(&at(&path), mount_use, &tree).map_err(step("mount what is to be seen"))?;
    }
    let scratch = at(Path::new(SCRATCH));
    fs::create_dir_all(&scratch)
        .and_then(|()| fs::set_permissions(&scratch, Permissions::from_mode(0o700)))
        .and_then(|()| chown(&scratch, Some(user), Some(user)))
        .map_err(step("make the scratch directory"))?;
    switch(base).map_err(step("change to the new root"))
}

/// A step that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what}: {source}")]
pub(super) struct RootError {
    what: &'static str,
    source: io::Error,
}

/// What of the host is to be seen, and where.
#[derive(Debug, Default)]
struct Plan {
    /// Real paths, parents before children.
    binds: Vec<(PathBuf, MountUse)>,
    /// Links on the way to them, and what they say.
    links: Vec<(PathBuf, PathBuf)>,
}

impl Plan {
    fn of(policy: &Policy) -> Self {
        let mut plan = Self::default();
        let mut real = BTreeSet::new();
        let resolver = (policy.network == Reach::Everybody).then_some(RESOLVER);
        let system = SYSTEM.iter().copied().chain(resolver).map(Path::new);
        for path in system.chain(policy.read.iter().map(PathBuf::as_path)) {
            real.extend(plan.follow(path));
        }
        // Sorted, so that what is below another comes right after it or its siblings.
        let mut seen: Vec<PathBuf> = Vec::new();
        for path in real {
            if !seen.iter().any(|above| path.starts_with(above)) {
                seen.push(path);
            }
        }
        plan.links
            .retain(|(link, _)| !seen.iter().any(|above| link.starts_with(above)));
        plan.binds = seen
            .into_iter()
            .map(|path| (path, MountUse::ReadOnly))
            .collect();
        let mut writable: Vec<_> = policy
            .write
            .iter()
            .filter_map(|path| plan.follow(path))
            .collect();
        writable.sort();
        let writable = writable.into_iter().map(|path| (path, MountUse::ReadWrite));
        plan.binds.extend(writable);
        let devices = DEVICES.map(|path| (PathBuf::from(path), MountUse::Device));
        plan.binds.extend(devices);
        plan
    }

    /// Where `path` leads, noting the links on its way; `None` where it leads nowhere.
    fn follow(&mut self, path: &Path) -> Option<PathBuf> {
        let mut links = Vec::new();
        let mut real = PathBuf::from("/");
        let mut rest: Vec<PathBuf> = parts(path);
        while let Some(part) = rest.pop() {
            if part.as_os_str() == ".." {
                real.pop();
                continue;
            }
            let next = real.join(part);
            if !next.symlink_metadata().ok()?.is_symlink() {
                real = next;
                continue;
            }
            if links.len() == MAX_LINKS {
                return None;
            }
            let to = fs::read_link(&next).ok()?;
            rest.extend(parts(&to));
            if to.is_absolute() {
                real = PathBuf::from("/");
            }
            links.push((next, to));
        }
        self.links.extend(links);
        Some(real)
    }

    fn open(&self) -> io::Result<Vec<(PathBuf, MountUse, OwnedFd)>> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE;
        let mut trees = Vec::new();
        for (path, mount_use) in &self.binds {
            match open_tree(CWD, path, flags) {
                Ok(tree) => {
                    restrict_mount(tree.as_fd(), *mount_use, true)?;
                    trees.push((path.clone(), *mount_use, tree));
                }
                // It went away, or is not for this user: there is nothing to show.
                Err(rustix::io::Errno::NOENT | rustix::io::Errno::ACCESS) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(trees)
    }
}

/// The parts of a path, last one first.
fn parts(path: &Path) -> Vec<PathBuf> {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(PathBuf::from(name)),
        Component::ParentDir => Some(PathBuf::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    parts.rev().collect()
}

/// The files that no host needs to lend.
fn own_files(base: &Path, user: u32) -> io::Result<()> {
    for directory in ["dev/shm", "etc", "proc", "tmp"] {
        fs::create_dir_all(base.join(directory))?;
    }
    let links = [
        ("dev/fd", "/proc/self/fd"),
        ("dev/stdin", "/proc/self/fd/0"),
        ("dev/stdout", "/proc/self/fd/1"),
        ("dev/stderr", "/proc/self/fd/2"),
    ];
    for (link, to) in links {
        symlink(to, base.join(link))?;
    }
    let texts = [
        (
            "etc/passwd",
            format!("plugin:x:{user}:{user}::{SCRATCH}:/bin/sh\n"),
        ),
        ("etc/group", format!("plugin:x:{user}:\n")),
    ];
    for (path, text) in texts {
        let path = base.join(path);
        fs::write(&path, text)?;
        // Whatever the mask of this process says.
        fs::set_permissions(&path, Permissions::from_mode(0o644))?;
    }
    for directory in ["", "dev", "etc"] {
        fs::set_permissions(base.join(directory), Permissions::from_mode(0o755))?;
    }
    Ok(())
}

fn tmpfs(at: &Path, options: &str) -> io::Result<()> {
    let options = std::ffi::CString::new(options)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", at, "tmpfs", flags, options.as_c_str())?;
    Ok(())
}

/// Mounts `tree` at `path`, where something to mount it on is made unless it is there, being a part of another tree.
fn place(path: &Path, mount_use: MountUse, tree: &OwnedFd) -> io::Result<()> {
    if !path.exists() {
        let is_directory = rustix::fs::fstat(tree)
            .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir());
        make_parents(path)?;
        match mount_use {
            MountUse::ReadOnly | MountUse::ReadWrite if is_directory => make_directory(path)?,
            MountUse::ReadOnly | MountUse::ReadWrite | MountUse::Device => {
                File::create(path)?;
            }
        }
    }
    move_mount(tree, "", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    Ok(())
}

fn place_link(path: &Path, to: &Path) -> io::Result<()> {
    make_parents(path)?;
    match symlink(to, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Makes the directories above `path`, for everybody to pass through.
fn make_parents(path: &Path) -> io::Result<()> {
    let Some(parent) = path.parent() else {
        return Ok(());
    };
    if parent.exists() {
        return Ok(());
    }
    make_parents(parent)?;
    make_directory(parent)
}

fn make_directory(path: &Path) -> io::Result<()> {
    fs::create_dir(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o755))
}

/// Leaves the host's root for the one at `base`, and takes away the way back.
fn switch(base: &Path) -> io::Result<()> {
    rustix::process::chdir(base)?;
    // Both in one place: the old root ends up on top of the new one, and is taken off.
    pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    rustix::process::chdir("/")?;
    let root = open_tree(CWD, "/", OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
    restrict_mount(root.as_fd(), MountUse::ReadOnly, false)
}
