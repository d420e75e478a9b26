//! The plugins that the binary carries, so that it is useful by itself anywhere.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::digest::of_contents;

macro_rules! files {
    ($($plugin:literal { $($file:literal),+ $(,)? })+) => {
        &[$($((
            concat!($plugin, "/", $file),
            include_str!(concat!("../../../plugins/", $plugin, "/", $file)),
        ),)+)+]
    };
}

/// Path below the plugin directory, and content. The library is linked into the directory of each plugin that is written with it.
const FILES: &[(&str, &str)] = files! {
    "demo_math" { "cli.py" }
    "demo_text" { "cli.py" }
    "botfather" {
        "cli.py", "flows.py", "login.py", "replies.py", "requirements.txt", "smcp_plugin.py", "telegram.py",
    }
    "ci" {
        "cli.py", "github.py", "gitlab.py", "logs.py", "provider.py", "refusal.py", "service.py", "settings.py",
        "smcp_plugin.py",
    }
    "devops" {
        "apps.py", "cli.py", "commanded.py", "fields.py", "health.py", "releases.py", "smcp_plugin.py", "sources.py",
        "steps.py",
    }
    "shell" {
        "cli.py", "listed.py", "parameters.py", "running.py", "tables.py", "template.py", "smcp_plugin.py",
    }
};

/// The mode of each file.
const MODE: u32 = 0o755;

/// The digest of the plugin of that name as this program carries it, run by `interpreter`; `None` where it has none.
pub(crate) fn digest(name: &str, interpreter: Option<&str>) -> Option<String> {
    const REGULAR: u32 = 0o100_000;
    let of_plugin = |(path, content): &(&'static str, &'static str)| {
        let (plugin, path) = path.split_once('/')?;
        (plugin == name).then_some((path, REGULAR | MODE, *content))
    };
    let mut files: Vec<_> = FILES.iter().filter_map(of_plugin).collect();
    // As they are walked through on a disk.
    files.sort_unstable_by_key(|(path, ..)| Path::new(*path));
    (!files.is_empty()).then(|| of_contents(interpreter, &files))
}

/// Where they are unpacked below `data_dir`.
pub fn directory(data_dir: &Path) -> PathBuf {
    data_dir.join("plugins")
}

/// Unpacks them below `data_dir`, where they are not there already, and answers where.
///
/// # Errors
/// What the system says when a file cannot be written.
pub fn unpack(data_dir: &Path) -> io::Result<PathBuf> {
    let root = directory(data_dir);
    for &(name, content) in FILES {
        let path = root.join(name);
        if fs::read_to_string(&path).is_ok_and(|there| there == content) {
            continue;
        }
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        // Beside it and renamed: a worker that reads it at the same time sees all or nothing.
        let fresh = path.with_extension(format!("new-{}", std::process::id()));
        fs::write(&fresh, content)?;
        fs::set_permissions(&fresh, fs::Permissions::from_mode(MODE))?;
        fs::rename(&fresh, &path)?;
    }
    Ok(root)
}

#[cfg(test)]
mod tests {
    use smcp_common::plugin::Plugin;

    use super::*;
    use crate::plugin::digest::Digests;

    #[test]
    fn a_changed_copy_is_put_right_and_an_equal_one_left_alone() {
        let data_dir = tempfile::tempdir().unwrap();
        let root = unpack(data_dir.path()).unwrap();
        let cli = root.join("demo_math/cli.py");
        let first = fs::metadata(&cli).unwrap().modified().unwrap();
        unpack(data_dir.path()).unwrap();
        assert_eq!(fs::metadata(&cli).unwrap().modified().unwrap(), first);
        fs::write(&cli, "old").unwrap();
        unpack(data_dir.path()).unwrap();
        assert_eq!(fs::read_to_string(&cli).unwrap(), FILES[0].1);
    }

    /// In the repository they have links, which would lead nowhere.
    #[test]
    fn a_plugin_that_uses_the_library_has_its_own_copy() {
        let data_dir = tempfile::tempdir().unwrap();
        let root = unpack(data_dir.path()).unwrap();
        for plugin in fs::read_dir(&root).unwrap() {
            let plugin = plugin.unwrap().path();
            let cli = fs::read_to_string(plugin.join("cli.py")).unwrap();
            if cli.contains("smcp_plugin") {
                let copy = plugin.join("smcp_plugin.py");
                let library = include_str!("../../../plugins/smcp_plugin.py");
                assert!(!copy.is_symlink());
                assert_eq!(fs::read_to_string(copy).unwrap(), library);
            }
        }
    }

    #[test]
    fn what_is_unpacked_has_the_digest_that_is_told() {
        let data_dir = tempfile::tempdir().unwrap();
        let root = unpack(data_dir.path()).unwrap();
        for plugin in fs::read_dir(&root).unwrap() {
            let (plugin, name) = plugin.map(|it| (it.path(), it.file_name())).unwrap();
            let told = digest(name.to_str().unwrap(), Some("/usr/bin/python3"));
            let plugin = Plugin {
                interpreter: Some("/usr/bin/python3".to_owned()),
                ..Plugin::found(name.to_str().unwrap(), plugin.to_str().unwrap())
            };
            let found = Digests::default().make(&plugin);
            assert_eq!(told.unwrap(), found.unwrap());
        }
    }
}
