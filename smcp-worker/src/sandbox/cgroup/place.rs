//! Where the kernel shows the cgroup of a process.

use std::path::{Component, Path, PathBuf};

use super::REMEDY;

/// The directories that may be the cgroup of a process, from its `/proc/PID/cgroup` and `/proc/PID/mountinfo`. Where
/// mounts cover each other, not all of them are.
///
/// # Errors
/// A sentence that says why there is none, and what to do about it.
pub(super) fn places(cgroup: &str, mountinfo: &str) -> Result<Vec<PathBuf>, String> {
    let Some(own) = cgroup.lines().find_map(|line| line.strip_prefix("0::")) else {
        return Err(
            "this system has no cgroups of version 2: boot it with `systemd.unified_cgroup_hierarchy=1`, or with a \
             kernel that has them"
                .to_owned(),
        );
    };
    let mounts: Vec<_> = mountinfo.lines().filter_map(mount).collect();
    if mounts.is_empty() {
        return Err(format!(
            "cgroups (version 2) are not mounted anywhere: {REMEDY}"
        ));
    }
    let within = |(root, point): &(PathBuf, PathBuf)| {
        let rest = Path::new(own).strip_prefix(root).ok()?;
        let is_below = !rest.components().any(|part| part == Component::ParentDir);
        // Joining nothing would add a slash.
        is_below.then(|| point.components().chain(rest.components()).collect())
    };
    let places: Vec<_> = mounts.iter().filter_map(within).collect();
    if places.is_empty() {
        return Err(format!(
            "the cgroup of this process, {own}, lies outside of what is mounted: {REMEDY}"
        ));
    }
    Ok(places)
}

/// What a line of `mountinfo` mounts and where, if that is cgroups of version 2.
fn mount(line: &str) -> Option<(PathBuf, PathBuf)> {
    let (mount, kind) = line.split_once(" - ")?;
    if kind.split(' ').next() != Some("cgroup2") {
        return None;
    }
    let mut fields = mount.split(' ').skip(3);
    Some((unescape(fields.next()?), unescape(fields.next()?)))
}

/// The path that the kernel wrote with `\134` for a backslash and the like.
fn unescape(field: &str) -> PathBuf {
    let mut path = String::new();
    let mut rest = field;
    while let Some((before, escaped)) = rest.split_once('\\') {
        path.push_str(before);
        let code = escaped
            .get(..3)
            .and_then(|code| u8::from_str_radix(code, 8).ok());
        if let Some(code) = code {
            path.push(char::from(code));
            rest = &escaped[3..];
        } else {
            path.push('\\');
            rest = escaped;
        }
    }
    path.push_str(rest);
    path.into()
}
