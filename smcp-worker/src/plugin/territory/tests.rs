use std::os::unix::fs::symlink;

use inotify::Inotify;
use tempfile::TempDir;

use super::*;

/// A directory for plugins, which is watched.
struct World {
    base: TempDir,
    inotify: Inotify,
    territory: Territory,
}

impl World {
    /// Plugins are looked for in `plugins` below `base`.
    fn watching(base: TempDir) -> Self {
        let mut world = Self {
            base,
            inotify: Inotify::init().unwrap(),
            territory: Territory::default(),
        };
        world.survey();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.base.path().join(name)
    }

    fn survey(&mut self) {
        let mut watches = self.inotify.watches();
        let roots = [self.path("plugins")];
        let (territory, unwatched) = Territory::survey(watches.clone(), &roots);
        assert_eq!(unwatched, None);
        std::mem::replace(&mut self.territory, territory).leave(&mut watches, &self.territory);
    }

    /// Whether what has happened since the last call concerns plugins; whatever is there then is watched.
    fn concerned(&mut self) -> bool {
        let mut concerned = false;
        let mut buffer = [0; 4096];
        while let Ok(events) = self.inotify.read_events(&mut buffer) {
            for event in events {
                concerned |= self.territory.concerns(&event.to_owned());
            }
        }
        self.survey();
        concerned
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn with_a_plugin() -> World {
    let base = tempfile::tempdir().unwrap();
    write(&base.path().join("plugins/one/cli.py"), "1");
    write(&base.path().join("plugins/one/lib/more.py"), "1");
    write(&base.path().join("plugins/one/.venv/bin/python"), "1");
    write(&base.path().join("plugins/one/__pycache__/a.pyc"), "1");
    write(&base.path().join("plugins/docs/README.md"), "1");
    World::watching(base)
}

#[test]
fn what_makes_a_plugin_concerns_and_what_it_leaves_behind_does_not() {
    let mut world = with_a_plugin();
    let one = world.path("plugins/one");
    for changed in ["cli.py", "lib/more.py", "lib/new/deep.py", "data.json"] {
        write(&one.join(changed), "2");
        assert!(world.concerned(), "{changed}");
    }
    for ignored in [
        ".cli.py.swp",
        ".venv/bin/pip",
        ".git/index",
        "__pycache__/a.pyc",
        "lib/__pycache__/more.pyc",
        "node_modules/x/index.js",
        "../README.md",
        "../docs/README.md",
        "../docs/more/README.md",
        "../.hidden/cli.py",
        "../../smcp.db",
    ] {
        write(&one.join(ignored), "2");
        assert!(!world.concerned(), "{ignored}");
    }
    for read in ["cli.py", "lib/more.py"] {
        fs::read(one.join(read)).unwrap();
        assert!(!world.concerned(), "reading {read}");
    }
    fs::remove_dir_all(one.join("lib")).unwrap();
    assert!(world.concerned());
    write(&world.path("plugins/docs/cli.py"), "now a plugin");
    assert!(world.concerned());
    write(&world.path("plugins/docs/README.md"), "3");
    assert!(world.concerned());
}

#[test]
fn a_directory_that_comes_goes_or_is_replaced_stays_watched() {
    let mut world = World::watching(tempfile::tempdir().unwrap());
    let (plugins, entry) = (world.path("plugins"), world.path("plugins/one/cli.py"));
    write(&entry, "1");
    assert!(world.concerned(), "it has come");
    write(&entry, "2");
    assert!(world.concerned(), "and is watched");
    fs::rename(&plugins, world.path("old")).unwrap();
    assert!(world.concerned(), "it has gone");
    write(&world.path("old/one/cli.py"), "3");
    assert!(!world.concerned(), "what is elsewhere is not watched");
    write(&world.path("new/one/cli.py"), "4");
    fs::rename(world.path("new"), &plugins).unwrap();
    assert!(world.concerned(), "another one is in its place");
    write(&entry, "5");
    assert!(world.concerned(), "and is watched");
    fs::remove_dir_all(&plugins).unwrap();
    assert!(world.concerned());
    write(&entry, "6");
    assert!(world.concerned());
}

#[test]
fn what_a_link_leads_to_is_watched() {
    let base = tempfile::tempdir().unwrap();
    let path = |name: &str| base.path().join(name);
    write(&path("v1/one/cli.py"), "1");
    write(&path("v2/one/cli.py"), "2");
    write(&path("library/lib.py"), "1");
    symlink(path("v1"), path("current")).unwrap();
    symlink(path("current"), path("plugins")).unwrap();
    symlink("../../library/lib.py", path("v2/one/lib.py")).unwrap();
    let mut world = World::watching(base);

    write(&world.path("v1/one/cli.py"), "3");
    assert!(world.concerned(), "the plugin behind the links");
    symlink(world.path("v2"), world.path("next")).unwrap();
    assert!(!world.concerned());
    fs::rename(world.path("next"), world.path("current")).unwrap();
    assert!(world.concerned(), "a link on the way is another one");
    write(&world.path("v1/one/cli.py"), "4");
    assert!(!world.concerned(), "where it led before");
    write(&world.path("new.py"), "2");
    assert!(!world.concerned());
    fs::rename(world.path("new.py"), world.path("library/lib.py")).unwrap();
    assert!(world.concerned(), "a file that the plugin links to");
    write(&world.path("library/other.py"), "1");
    assert!(!world.concerned());
}
