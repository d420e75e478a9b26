use std::os::unix::fs::symlink;

use inotify::Inotify;
use tempfile::TempDir;

use super::*;

/// A directory for plugins, which is watched.
struct World {
    base: TempDir,
    inotify: Inotify,
    territory: Territory,
    files: Vec<PathBuf>,
}

impl World {
    /// Plugins are looked for in `plugins` below `base`.
    fn watching(base: TempDir) -> Self {
        let mut world = Self {
            base,
            inotify: Inotify::init().unwrap(),
            territory: Territory::default(),
            files: Vec::new(),
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
        let (territory, unwatched) = Territory::survey(watches.clone(), &roots, &self.files);
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

#[test]
fn a_file_elsewhere_is_watched_before_it_is_there_and_whatever_leads_to_it() {
    let mut world = with_a_plugin();
    let file = world.path("etc/app/commands.toml");
    write(&file, "1");
    assert!(!world.concerned(), "it does not belong to a plugin");
    fs::remove_dir_all(world.path("etc")).unwrap();
    world.files = vec![file.clone()];
    world.survey();

    write(&file, "1");
    assert!(world.concerned(), "it has come, with its directory");
    write(&file, "2");
    assert!(world.concerned(), "written");
    write(&file.with_file_name("new"), "3");
    assert!(!world.concerned(), "what lies beside it");
    fs::rename(file.with_file_name("new"), &file).unwrap();
    assert!(world.concerned(), "replaced");
    fs::read(&file).unwrap();
    assert!(!world.concerned(), "read");
    fs::rename(world.path("etc/app"), world.path("etc/old")).unwrap();
    assert!(world.concerned(), "its directory has gone");

    // As Kubernetes mounts a ConfigMap.
    for version in ["v1", "v2"] {
        write(
            &world.path(&format!("etc/app/..{version}/commands.toml")),
            version,
        );
    }
    symlink("..v1", world.path("etc/app/..data")).unwrap();
    symlink("..data/commands.toml", &file).unwrap();
    assert!(world.concerned(), "it has come as a link");
    write(&world.path("etc/app/..v1/commands.toml"), "3");
    assert!(world.concerned(), "what it leads to");
    write(&world.path("etc/app/..v2/commands.toml"), "3");
    assert!(!world.concerned(), "what it does not lead to");
    symlink("..v2", world.path("etc/app/..next")).unwrap();
    fs::rename(world.path("etc/app/..next"), world.path("etc/app/..data")).unwrap();
    assert!(world.concerned(), "a link on the way is another one");
    write(&world.path("etc/app/..v2/commands.toml"), "4");
    assert!(world.concerned(), "and what it leads to now");

    fs::remove_file(&file).unwrap();
    symlink("commands.toml", &file).unwrap();
    assert!(world.concerned(), "a link to itself");
}
