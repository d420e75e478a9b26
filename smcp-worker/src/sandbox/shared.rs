//! Files that several plugins share: each has a link to them in its directory, and they lie beside it.

use std::fs;
use std::path::{Path, PathBuf};

/// The regular files in the directory of plugins that links in the plugin's `directory` lead to, by their real paths.
///
/// A link counts where it lies in `directory` itself and names the file, not another link: what a plugin may read is then
/// the same however it is confined. Links to whatever lies elsewhere, another plugin's files included, give nothing.
pub(super) fn files(directory: &Path) -> Vec<PathBuf> {
    let Some(plugins) = directory.parent().and_then(real) else {
        return Vec::new();
    };
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let targets = entries.filter_map(|entry| {
        let target = directory.join(fs::read_link(entry.path()).ok()?);
        let is_file = fs::symlink_metadata(&target).ok()?.is_file();
        let target = real(&target).filter(|_| is_file)?;
        (target.parent() == Some(&plugins)).then_some(target)
    });
    targets.collect()
}

fn real(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_gives_a_file_beside_the_plugin_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let plugin = root.join("plugins/one");
        fs::create_dir_all(plugin.join("below")).unwrap();
        fs::create_dir(root.join("plugins/other")).unwrap();
        for file in [
            "secret.py",
            "plugins/library.py",
            "plugins/other/cli.py",
            "plugins/one/cli.py",
        ] {
            fs::write(root.join(file), "").unwrap();
        }
        symlink("library.py", root.join("plugins/chained.py")).unwrap();
        let library = root.join("plugins/library.py");
        for (name, target) in [
            ("library.py", "../library.py"),
            ("below/library.py", "../../library.py"),
            ("elsewhere.py", "../../secret.py"),
            ("of_another.py", "../other/cli.py"),
            ("directory", "../other"),
            ("chained.py", "../chained.py"),
            ("missing.py", "../missing.py"),
            ("loop.py", "loop.py"),
        ] {
            symlink(target, plugin.join(name)).unwrap();
        }
        assert_eq!(files(&plugin), [library.as_path()]);
        symlink(&library, plugin.join("absolute.py")).unwrap();
        assert_eq!(files(&plugin), [library.as_path(), &library]);
        // By whatever name the directory of plugins is reached.
        symlink(root.join("plugins"), root.join("link")).unwrap();
        assert_eq!(files(&root.join("link/one")).len(), 2);
        // A plugin that lies elsewhere itself has another directory around it.
        symlink(&plugin, root.join("placed")).unwrap();
        assert_eq!(files(&root.join("placed")), [root.join("secret.py")]);
    }
}
