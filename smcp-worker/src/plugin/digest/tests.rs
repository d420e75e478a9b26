use std::os::unix::fs::{PermissionsExt as _, symlink};

use tempfile::TempDir;

use super::*;

/// A plugin's directory, and digests of it.
struct World(TempDir, Digests);

impl World {
    fn new() -> Self {
        let world = Self(tempfile::tempdir().unwrap(), Digests::default());
        world.write("cli.py", "1");
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join("plugin").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn run_by(&self, interpreter: &str) -> String {
        self.1.make(&self.plugin(interpreter)).unwrap()
    }

    fn plugin(&self, interpreter: &str) -> Plugin {
        let directory = self.0.path().join("plugin");
        Plugin {
            interpreter: Some(interpreter.to_owned()),
            ..Plugin::found("toy", directory.to_str().unwrap())
        }
    }

    fn now(&self) -> String {
        self.run_by("/usr/bin/python3")
    }
}

#[test]
fn what_a_plugin_consists_of_changes_it_and_what_is_installed_does_not() {
    let world = World::new();
    let first = world.now();
    for ignored in [
        ".venv/lib/x.py",
        "venv/lib/x.py",
        "node_modules/x.js",
        ".state",
    ] {
        world.write(ignored, "x");
        assert_eq!(world.now(), first, "{ignored}");
    }
    assert_ne!(world.run_by("/usr/bin/python4"), first);
    let mut seen = vec![first];
    let mut differs = |what: &str| {
        let now = world.now();
        assert!(!seen.contains(&now), "{what}");
        seen.push(now);
    };
    world.write("lib/more.py", "x");
    differs("a file that is new");
    world.write("lib/more.py", "y");
    differs("content of the same length");
    world.write("__pycache__/more.pyc", "x");
    differs("what Python would run in the place of a source");
    fs::rename(world.path("lib"), world.path("bil")).unwrap();
    differs("a name");
    fs::set_permissions(world.path("cli.py"), fs::Permissions::from_mode(0o755)).unwrap();
    differs("a mode");
}

#[test]
fn links_count_by_what_they_say_and_by_the_file_that_they_lead_to() {
    let world = World::new();
    let (one, other) = (world.path("../one"), world.path("../other"));
    fs::write(&one, "same").unwrap();
    fs::write(&other, "same").unwrap();
    let link = |target: &Path| {
        drop(fs::remove_file(world.path("lib.py")));
        symlink(target, world.path("lib.py")).unwrap();
        world.now()
    };
    let first = link(&one);
    assert_ne!(link(&other), first, "another place");
    assert_eq!(link(&one), first);
    fs::write(&one, "else").unwrap();
    assert_ne!(world.now(), first, "other content behind it");
    let dangling = link(&world.path("../none"));
    fs::create_dir(world.path("../none")).unwrap();
    assert_ne!(world.now(), dangling);
    let directory = world.now();
    fs::write(world.path("../none/more.py"), "1").unwrap();
    assert_eq!(world.now(), directory, "it belongs to somebody else");
}

#[test]
fn a_large_file_counts_by_its_content_whatever_its_times_say() {
    let world = World::new();
    let size = usize::try_from(READ_BYTES).unwrap() + 1;
    world.write("model", &"a".repeat(size));
    let modified = fs::metadata(world.path("model"))
        .unwrap()
        .modified()
        .unwrap();
    let first = world.now();
    assert_eq!(world.now(), first);
    world.write("model", &"b".repeat(size));
    let file = File::options().write(true).open(world.path("model"));
    file.unwrap().set_modified(modified).unwrap();
    assert_ne!(world.now(), first);
}

#[test]
fn an_interpreter_of_the_plugins_own_counts_by_what_it_is() {
    let world = World::new();
    world.write(".venv/bin/python", "1");
    let python = world.path(".venv/bin/python");
    let python = python.to_str().unwrap();
    let first = world.run_by(python);
    world.write(".venv/bin/python", "2");
    assert_ne!(world.run_by(python), first, "another program");
    fs::remove_file(python).unwrap();
    symlink("/bin/sh", python).unwrap();
    let linked = world.run_by(python);
    fs::remove_file(python).unwrap();
    symlink("/bin/cat", python).unwrap();
    assert_ne!(world.run_by(python), linked, "another place");
}

#[test]
fn files_on_disk_and_in_the_program_come_to_the_same() {
    let world = World::new();
    fs::set_permissions(world.path("cli.py"), fs::Permissions::from_mode(0o755)).unwrap();
    let files = [("cli.py", 0o100_755, "1")];
    assert_eq!(of_contents(Some("/usr/bin/python3"), &files), world.now());
    assert_ne!(of_contents(None, &files), world.now());
}

#[test]
fn files_elsewhere_count_by_name_mode_and_content_and_so_does_their_absence() {
    let world = World::new();
    let (one, other) = (world.path("../one.toml"), world.path("../other.toml"));
    let mut seen = vec![world.now()];
    let digest = |files: &[&PathBuf]| {
        let mut plugin = world.plugin("/usr/bin/python3");
        plugin.files = files.iter().copied().cloned().collect();
        world.1.make(&plugin)
    };
    let mut differs = |what: &str, files: &[&PathBuf]| {
        let now = digest(files).unwrap();
        assert!(!seen.contains(&now), "{what}");
        assert_eq!(digest(files).unwrap(), now, "{what}");
        seen.push(now.clone());
        now
    };
    let missing = differs("one that is missing", &[&one]);
    differs("another one that is", &[&other]);
    differs("both", &[&one, &other]);
    fs::write(&one, "1").unwrap();
    differs("it is there", &[&one]);
    fs::write(&one, "2").unwrap();
    differs("content of the same length", &[&one]);
    fs::set_permissions(&one, fs::Permissions::from_mode(0o600)).unwrap();
    differs("a mode", &[&one]);
    symlink(&one, &other).unwrap();
    let linked = differs("a link", &[&other]);
    fs::write(&one, "3").unwrap();
    assert_ne!(differs("what it leads to", &[&other]), linked);
    fs::remove_file(&one).unwrap();
    assert_eq!(digest(&[&one]).unwrap(), missing);
    fs::create_dir(&one).unwrap();
    differs("a directory", &[&one]);

    let size = usize::try_from(MAX_ELSEWHERE_BYTES).unwrap();
    let large = world.path("../large");
    fs::write(&large, "a".repeat(size)).unwrap();
    assert!(digest(&[&large]).is_ok());
    fs::write(&large, "a".repeat(size + 1)).unwrap();
    let refused = digest(&[&large]).unwrap_err().to_string();
    assert!(refused.contains("has more than 1048576 bytes"), "{refused}");
}

#[test]
fn settings_of_the_plugin_count_and_those_of_others_do_not() {
    let world = World::new();
    let with = |settings: &[(&str, &str)]| {
        let digests = Digests::new(settings.iter().copied().collect());
        digests.make(&world.plugin("/usr/bin/python3")).unwrap()
    };
    let none = world.now();
    assert_eq!(
        with(&[("SMCP_OTHER_X", "1"), ("TOY_X", "1"), ("SMCP_LOG", "info")]),
        none
    );
    let one = with(&[("SMCP_TOY_X", "1")]);
    assert_ne!(one, none);
    assert_ne!(with(&[("SMCP_TOY_X", "2")]), one);
    assert_ne!(with(&[("SMCP_TOY_Y", "1")]), one);
}

#[test]
fn too_many_files_are_refused() {
    let mut parts = Parts::new(None, None);
    let mut added = (0..=MAX_FILES).map(|_| parts.add(Path::new("x"), None, &Part::Missing));
    assert!(added.by_ref().take(MAX_FILES).all(|added| added.is_ok()));
    assert!(added.next().unwrap().is_err());
}
