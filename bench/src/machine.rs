//! The machine that a figure was measured on: without it the figure says little.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};

#[derive(Debug)]
pub(crate) struct Machine {
    cpu: String,
    cores: usize,
    kernel: String,
    file_system: String,
}

impl Machine {
    /// This machine, and the file system that `directory` is on.
    pub(crate) fn of(directory: &Path) -> anyhow::Result<Self> {
        let read = |path: &str| fs::read_to_string(path).with_context(|| format!("reading {path}"));
        let directory = directory
            .canonicalize()
            .with_context(|| format!("looking for {}", directory.display()))?;
        Ok(Self {
            cpu: cpu_model(&read("/proc/cpuinfo")?),
            cores: std::thread::available_parallelism()?.get(),
            kernel: read("/proc/sys/kernel/osrelease")?.trim_end().to_owned(),
            file_system: file_system(&read("/proc/self/mounts")?, &directory),
        })
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({"cpu": self.cpu, "cores": self.cores, "kernel": self.kernel, "file_system": self.file_system})
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cpu,
            cores,
            kernel,
            file_system,
        } = self;
        write!(f, "{cpu}, {cores} cores, Linux {kernel}, {file_system}")
    }
}

fn cpu_model(cpuinfo: &str) -> String {
    cpuinfo
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim_end() == "model name")
        .map_or_else(|| "unknown CPU".to_owned(), |(_, name)| name.trim().into())
}

/// The type of the innermost mount that holds `directory`.
fn file_system(mounts: &str, directory: &Path) -> String {
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            Some((fields.next()?, fields.next()?))
        })
        .filter(|(mount, _)| directory.starts_with(mount))
        .max_by_key(|(mount, _)| mount.len())
        .map_or("unknown file system", |(_, kind)| kind)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_mount_counts() {
        let mounts =
            "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/vdb /tmp/disk xfs rw 0 0\n";
        let on = |directory: &str| file_system(mounts, Path::new(directory));
        assert_eq!(
            [on("/home"), on("/tmp/x"), on("/tmp/disk/x"), on("/tmpx")],
            ["ext4", "tmpfs", "xfs", "ext4"]
        );
    }

    #[test]
    fn a_cpu_without_a_name_is_unknown() {
        assert_eq!(
            cpu_model("processor\t: 0\nmodel name\t: Example 9000\n"),
            "Example 9000"
        );
        assert_eq!(cpu_model("processor\t: 0\n"), "unknown CPU");
    }
}
