//! What must be readable for an interpreter to run.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// As many links as the kernel follows.
const MAX_LINKS: usize = 40;
/// A virtual environment's settings are never longer.
const MAX_SETTINGS_BYTES: u64 = 64 * 1024;

/// Directories that every plugin may read anyhow.
const SYSTEM: [&str; 6] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"];

/// What must be readable for `interpreter`, an absolute path, to run, beside the system's own directories: the root of
/// its virtual environment, the installation that the environment names as its home, and the installation that it
/// leads to. All are real paths; links on the way to them are told, too, each by itself, as what lies beside one may be
/// anything. Where a plugin has a root directory of its own, the same links have to be made there.
///
/// An installation counts only where Python's library is found in it, and of one in a directory that holds other
/// things, too (a home directory, `/opt`), only its programs and libraries: a plugin brings its own environment, which
/// must not open a directory by naming it.
pub fn homes(interpreter: &Path) -> Vec<PathBuf> {
    let mut homes = Homes::default();
    if let Some(root) = environment_of(interpreter) {
        homes.directory(&follow(&root).0);
        if let Some(home) = home_of(&root) {
            homes.reach(&home, above_programs);
        }
    }
    homes.reach(interpreter, prefix);
    homes.found
}

/// The root of the virtual environment that the interpreter belongs to, found as Python finds it.
pub(super) fn environment_of(interpreter: &Path) -> Option<PathBuf> {
    let directory = interpreter.parent()?;
    let candidates = [Some(directory), directory.parent()];
    let root = candidates
        .into_iter()
        .flatten()
        .find(|root| root.join("pyvenv.cfg").is_file())?;
    Some(root.to_owned())
}

#[derive(Default)]
struct Homes {
    found: Vec<PathBuf>,
}

impl Homes {
    /// Adds the installation to which `path` leads and the links on the way, if there is one.
    fn reach(&mut self, path: &Path, installation: fn(&Path) -> PathBuf) {
        let (real, links) = follow(path);
        let installation = installation(&real);
        if is_system(&real) || has_library(&installation) {
            self.directory(&installation);
            for link in links {
                self.add(link);
            }
        }
    }

    /// Adds a directory, or what Python needs of it.
    fn directory(&mut self, directory: &Path) {
        if holds_more(directory) {
            for part in ["bin", "lib", "lib64", "pyvenv.cfg"] {
                let part = directory.join(part);
                if part.exists() {
                    self.add(part);
                }
            }
        } else {
            self.add(directory.to_owned());
        }
    }

    fn add(&mut self, path: PathBuf) {
        let is_there = self.found.iter().any(|found| path.starts_with(found));
        if is_system(&path) || is_there {
            return;
        }
        self.found.retain(|found| !found.starts_with(&path));
        self.found.push(path);
    }
}

/// Where the programs of the installation are that a virtual environment was made from.
fn home_of(root: &Path) -> Option<PathBuf> {
    let mut settings = String::new();
    let file = File::open(root.join("pyvenv.cfg")).ok()?;
    file.take(MAX_SETTINGS_BYTES)
        .read_to_string(&mut settings)
        .ok()?;
    let home = settings.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        key.trim()
            .eq_ignore_ascii_case("home")
            .then(|| PathBuf::from(value.trim()))
    })?;
    home.is_absolute().then_some(home)
}

fn prefix(interpreter: &Path) -> PathBuf {
    interpreter.parent().map(above_programs).unwrap_or_default()
}

fn above_programs(directory: &Path) -> PathBuf {
    let above = directory
        .parent()
        .filter(|_| directory.file_name().is_some_and(|name| name == "bin"));
    above.unwrap_or(directory).to_owned()
}

/// The real path of `path`, as far as it exists, and the links that lead to it, each by its own real path.
fn follow(path: &Path) -> (PathBuf, Vec<PathBuf>) {
    let parts = |path: &Path| {
        let parts = path.components().rev();
        parts
            .map(|part| part.as_os_str().to_owned())
            .collect::<Vec<_>>()
    };
    let mut real = PathBuf::new();
    let mut links = Vec::new();
    let mut ahead = parts(path);
    while let Some(part) = ahead.pop() {
        if part == ".." {
            real.pop();
            continue;
        }
        let next = real.join(part);
        match fs::read_link(&next) {
            Ok(target) if links.len() < MAX_LINKS => {
                ahead.extend(parts(&target));
                links.push(next);
            }
            Ok(_) | Err(_) => real = next,
        }
    }
    (real, links)
}

/// Whether Python's library is in it: `lib/python3.11/os.py`.
fn has_library(prefix: &Path) -> bool {
    let libraries = ["lib", "lib64"].map(|name| fs::read_dir(prefix.join(name)));
    libraries
        .into_iter()
        .flatten()
        .flatten()
        .flatten()
        .any(|entry| {
            let name = entry.file_name();
            let is_python = ["python3", "pypy3", "graalpy3"]
                .iter()
                .any(|python| name.as_encoded_bytes().starts_with(python.as_bytes()));
            is_python && entry.path().join("os.py").is_file()
        })
}

/// Whether other things may be expected in a directory, too: `/`, `/opt`, `/root`, `/home/ada`, `~/.local`.
fn holds_more(directory: &Path) -> bool {
    let depth = directory.components().count() - 1;
    let is_home = depth == 2 && directory.starts_with("/home");
    depth < 2 || is_home || directory.ends_with(".local")
}

fn is_system(path: &Path) -> bool {
    SYSTEM.iter().any(|system| path.starts_with(system))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A machine's file system below a temporary directory.
    struct Machine(tempfile::TempDir);

    impl Machine {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn path(&self, name: &str) -> PathBuf {
            fs::canonicalize(self.0.path()).unwrap().join(name)
        }

        fn file(&self, name: &str, text: &str) -> PathBuf {
            let path = self.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        }

        fn link(&self, name: &str, target: impl AsRef<Path>) -> PathBuf {
            let path = self.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            symlink(target, &path).unwrap();
            path
        }

        /// An installation of Python in the directory of that name.
        fn python(&self, name: &str) -> PathBuf {
            self.file(&format!("{name}/lib/python3.11/os.py"), "");
            self.file(&format!("{name}/bin/python3.11"), "")
        }

        fn venv(&self, name: &str, home: &Path, python: &Path) -> PathBuf {
            let settings = format!(
                "include-system-site-packages = false\nHome= {}\n",
                home.display()
            );
            self.file(&format!("{name}/pyvenv.cfg"), &settings);
            self.link(&format!("{name}/bin/python"), python)
        }

        /// The homes, by their names on this machine.
        fn homes(&self, interpreter: &Path) -> Vec<String> {
            let mut homes: Vec<_> = homes(interpreter)
                .iter()
                .map(|home| {
                    let name = home.strip_prefix(self.path("")).unwrap_or(home);
                    name.to_str().unwrap().to_owned()
                })
                .collect();
            homes.sort();
            homes
        }
    }

    #[test]
    fn the_systems_own_needs_nothing() {
        for path in [
            "/usr/bin/python3",
            "/bin/python3",
            "/usr/local/bin/python3",
            "/nowhere/python",
        ] {
            assert_eq!(homes(Path::new(path)), [""; 0].map(PathBuf::from), "{path}");
        }
    }

    #[test]
    fn an_installation_is_where_its_library_is() {
        let machine = Machine::new();
        let python = machine.python("versions/3.11.9");
        assert_eq!(machine.homes(&python), ["versions/3.11.9"]);
        let link = machine.link("versions/3.11.9/bin/python", "python3.11");
        assert_eq!(machine.homes(&link), ["versions/3.11.9"]);
    }

    #[test]
    fn links_on_the_way_are_named_but_not_what_lies_beside_them() {
        let machine = Machine::new();
        machine.python("store/cpython-3.11.9");
        machine.link("store/cpython-3.11", "cpython-3.11.9");
        machine.file("home/secrets", "");
        machine.link(
            "home/bin/python3.11",
            "../../store/cpython-3.11/bin/python3.11",
        );
        let first = machine.link("home/bin/python", "python3.11");
        assert_eq!(
            machine.homes(&first),
            [
                "home/bin/python",
                "home/bin/python3.11",
                "store/cpython-3.11",
                "store/cpython-3.11.9"
            ]
        );
        let of_system = machine.link("bin/python", "/usr/bin/env");
        assert_eq!(machine.homes(&of_system), ["bin/python"]);
    }

    #[test]
    fn an_environment_needs_the_installation_that_it_was_made_from() {
        let machine = Machine::new();
        let python = machine.python("store/3.11.9");
        machine.link("store/3.11", "3.11.9");
        let home = machine.path("store/3.11/bin");
        let linked = machine.venv("venv", &home, &home.join("python3.11"));
        assert_eq!(
            machine.homes(&linked),
            ["store/3.11", "store/3.11.9", "venv"]
        );
        let copied = machine.venv("copied", &home, &python);
        fs::remove_file(&copied).unwrap();
        fs::copy(&python, &copied).unwrap();
        assert_eq!(
            machine.homes(&copied),
            ["copied", "store/3.11", "store/3.11.9"]
        );
        let of_system = machine.venv(
            "of_system",
            Path::new("/usr/bin"),
            Path::new("/usr/bin/env"),
        );
        assert_eq!(machine.homes(&of_system), ["of_system"]);
    }

    #[test]
    fn what_is_no_installation_is_not_opened() {
        let machine = Machine::new();
        let secret = machine.file("private/bin/tool", "");
        let devious = machine.venv("venv", &machine.path("private/bin"), &secret);
        assert_eq!(machine.homes(&devious), ["venv"]);
        let relative = machine.venv("relative", Path::new("../private/bin"), &secret);
        assert_eq!(machine.homes(&relative), ["relative"]);
        let to_itself = machine.link("loop", "loop");
        assert_eq!(machine.homes(&to_itself), [""; 0]);
    }

    #[test]
    fn of_a_directory_that_holds_more_only_programs_and_libraries_are_needed() {
        let machine = Machine::new();
        machine.file("ada/.local/share/keys", "");
        let python = machine.python("ada/.local");
        assert_eq!(machine.homes(&python), ["ada/.local/bin", "ada/.local/lib"]);
        // Under another name it is the same directory.
        machine.link("alias", "ada/.local");
        let alias = machine.path("alias/bin/python3.11");
        assert_eq!(
            machine.homes(&alias),
            ["ada/.local/bin", "ada/.local/lib", "alias"]
        );
        for path in [
            "/",
            "/opt",
            "/root",
            "/home",
            "/home/ada",
            "/home/ada/.local",
        ] {
            assert!(holds_more(Path::new(path)), "{path}");
        }
        for path in ["/opt/conda", "/root/venv", "/home/ada/venv", "/srv/venv"] {
            assert!(!holds_more(Path::new(path)), "{path}");
        }
    }
}
