//! `smcp plugins new`: a small plugin to begin with.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use smcp_common::config::Environment;
use smcp_worker::plugin::catalogue::check_name;

use crate::cli::{Language, PluginsNew};
use crate::failure::BadUsage;
use crate::terminal::{Style, print};

/// What the templates call themselves.
const NAME: &str = "greeter";

/// A file: its path below the plugin's directory, whether it is a program, and its text.
type File = (&'static str, bool, &'static str);

macro_rules! template {
    ($path:literal) => {
        include_str!(concat!("templates/", $path))
    };
}

const PYTHON: &[File] = &[
    ("cli.py", true, template!("python/cli.py")),
    (
        "smcp_plugin.py",
        false,
        include_str!("../../../plugins/smcp_plugin.py"),
    ),
    ("test_cli.py", false, template!("python/test_cli.py")),
];
const BASH: &[File] = &[("cli", true, template!("bash/cli"))];
const NODE: &[File] = &[("cli", true, template!("node/cli"))];
const RUST: &[File] = &[
    ("Cargo.toml", false, template!("rust/Cargo.toml")),
    ("build", true, template!("rust/build")),
    ("describe.json", false, template!("rust/describe.json")),
    ("src/main.rs", false, template!("rust/src/main.rs")),
];

/// Writes a plugin, and says what to do with it.
pub(super) fn run(options: &PluginsNew) -> anyhow::Result<ExitCode> {
    let PluginsNew {
        name,
        lang,
        directory,
    } = options;
    check_name(name).map_err(BadUsage)?;
    let plugin = directory.join(name);
    if plugin.symlink_metadata().is_ok() {
        bail!(BadUsage(format!(
            "{} is there already; nothing has been changed",
            plugin.display()
        )));
    }
    let files = files(*lang);
    write(&plugin, name, files)
        .with_context(|| format!("cannot write the plugin {}", plugin.display()))?;
    let style = Style::of_stdout(&Environment::of_process());
    print(&told(&plugin, name, *lang, style))?;
    Ok(ExitCode::SUCCESS)
}

fn files(language: Language) -> &'static [File] {
    match language {
        Language::Python => PYTHON,
        Language::Bash => BASH,
        Language::Node => NODE,
        Language::Rust => RUST,
    }
}

/// Hidden at first, and renamed: a server that watches the directory sees all of it or nothing.
fn write(plugin: &Path, name: &str, files: &[File]) -> anyhow::Result<()> {
    let fresh = plugin.with_file_name(format!(".{name}.new-{}", std::process::id()));
    let written = write_files(&fresh, name, files)
        .and_then(|()| fs::rename(&fresh, plugin).context("cannot rename what is written"));
    if written.is_err() {
        // It may not be there at all.
        fs::remove_dir_all(&fresh).unwrap_or_default();
    }
    written
}

fn write_files(directory: &Path, name: &str, files: &[File]) -> anyhow::Result<()> {
    for (path, is_program, text) in files {
        let path = directory.join(path);
        let parent = path.parent().unwrap_or(directory);
        fs::create_dir_all(parent)?;
        fs::write(&path, renamed(text, name))?;
        // Plugins may be other users than their author, whatever the mask says.
        let mode = if *is_program { 0o755 } else { 0o644 };
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
        fs::set_permissions(parent, Permissions::from_mode(0o755))?;
    }
    fs::set_permissions(directory, Permissions::from_mode(0o755))?;
    Ok(())
}

/// The library speaks of a greeter, too, but only to explain.
fn renamed(text: &str, name: &str) -> String {
    if text.starts_with("\"\"\"Plugins for SMCP") {
        text.to_owned()
    } else {
        text.replace(NAME, name)
    }
}

fn told(plugin: &Path, name: &str, language: Language, style: Style) -> String {
    let shown = plugin.display();
    let mut text = format!("{shown} has one command, which becomes the tool {name}__greet.\n\n");
    let mut next = |command: &str, why: &str| {
        // Writing to a String cannot fail.
        writeln!(text, "  {}", style.bold(command)).unwrap_or_default();
        writeln!(text, "      {why}").unwrap_or_default();
    };
    let begin = match language {
        Language::Python => "cli.py",
        Language::Bash | Language::Node => "cli",
        Language::Rust => "src/main.rs",
    };
    next(
        &format!("$EDITOR {shown}/{begin}"),
        "what it does; docs/plugins/contract.md says what it may declare",
    );
    match language {
        Language::Python => next(
            &format!("python3 -B -m unittest discover -s {shown}"),
            "runs its tests",
        ),
        Language::Rust => next(
            &format!("{shown}/build"),
            "builds it, without a network; the server runs the file cli",
        ),
        Language::Bash | Language::Node => {}
    }
    next(
        &format!("smcp plugins check {shown}"),
        "says what SMCP makes of it, without a server",
    );
    let directory: PathBuf = plugin.parent().unwrap_or(plugin).components().collect();
    let directory = match directory.display().to_string() {
        empty if empty.is_empty() => ".".to_owned(),
        directory => directory,
    };
    next(
        &format!("MCP_PLUGINS_DIR={directory} smcp up"),
        "serves it, and every change of it within a second",
    );
    next(
        &format!("smcp call {name}__greet full_name=Ada"),
        "calls it, in another terminal",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_says_how_to_go_on() {
        let told = |language| told(Path::new("p/tide"), "tide", language, Style::default());
        assert_eq!(
            told(Language::Bash),
            "\
p/tide has one command, which becomes the tool tide__greet.

  $EDITOR p/tide/cli
      what it does; docs/plugins/contract.md says what it may declare
  smcp plugins check p/tide
      says what SMCP makes of it, without a server
  MCP_PLUGINS_DIR=p smcp up
      serves it, and every change of it within a second
  smcp call tide__greet full_name=Ada
      calls it, in another terminal
"
        );
        assert!(told(Language::Rust).contains("p/tide/build"));
        assert!(told(Language::Python).contains("unittest discover -s p/tide\n"));
    }

    #[test]
    fn a_plugin_has_its_own_name_everywhere() {
        for language in [
            Language::Python,
            Language::Bash,
            Language::Node,
            Language::Rust,
        ] {
            for (path, _, text) in files(language) {
                let text = renamed(text, "tide");
                let own = *path != "smcp_plugin.py";
                assert!(!own || !text.contains(NAME), "{language:?} {path}");
            }
        }
    }
}
