//! Programs in other languages are held as Python's are.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::four_ways;
use super::peers::Port;
use super::ways::{Arena, Setting, Way, copy};
use crate::world::text;

four_ways!(languages, super::rows);

#[expect(clippy::print_stderr, reason = "what is left out is said")]
fn rows(way: Way) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/hostile_plugins");
    let mut present = Vec::new();
    let setting = Setting {
        plugins: &[("node", ""), ("native", "")],
        ..Setting::default()
    };
    let arena = Arena::open_with(way, setting, |plugins| {
        let node = Command::new("/usr/bin/env")
            .args(["node", "--version"])
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .output();
        if node.is_ok_and(|node| node.status.success()) {
            copy(&fixtures.join("node"), &plugins.join("node"));
            present.push("node");
        } else {
            eprintln!("SKIPPED {way}: no Node.js that everybody can run");
        }
        match compile(&fixtures.join("native/cli.c"), &plugins.join("native")) {
            Ok(()) => present.push("native"),
            Err(why) => eprintln!("SKIPPED {way}: no static program: {why}"),
        }
    });
    let port = Port::open();
    for language in present {
        let plan = json!({"secret": arena.path("outside/secret"), "port": port.number});
        let mut achieved = arena.attack_with(language, "probe", plan);
        let scratch = achieved.as_object_mut().unwrap().remove("scratch").unwrap();
        assert_eq!(scratch, "done", "{way}: {language}");
        for (what, seen) in achieved.as_object().unwrap() {
            let key = match what.as_str() {
                "connect" => "network_none",
                "trace" => "syscalls",
                _ => "filesystem",
            };
            arena.assert_refused(key, &format!("{language}: {what}"), seen);
        }
    }
    assert_eq!(port.arrived(), (0, 0), "{way}");
}

fn compile(source: &Path, plugin: &Path) -> Result<(), String> {
    let program = plugin.with_extension("compiled");
    let compiled = Command::new("cc")
        .args(["-static", "-o"])
        .args([&program, source])
        .output()
        .map_err(|error| format!("cc: {error}"))?;
    if !compiled.status.success() {
        return Err(text(&compiled.stderr));
    }
    std::fs::create_dir(plugin).unwrap();
    super::ways::allow(plugin, 0o755);
    std::fs::rename(&program, plugin.join("cli")).unwrap();
    Ok(())
}
