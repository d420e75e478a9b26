//! Calls of the plugin `sleepy`: how long they last, and what they have written down.

use std::fs;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::processes;
use crate::world::{World, eventually};

/// The naps of one test. They share a journal and a gate.
#[derive(Debug, Clone)]
pub(crate) struct Naps {
    journal: PathBuf,
    gate: PathBuf,
}

/// One line of the journal.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Line {
    /// `start` or `end`.
    pub(crate) event: String,
    /// The plugin's name.
    pub(crate) plugin: String,
    /// What the test called this nap.
    pub(crate) label: String,
    /// The file whose lock this run holds: no other run has the same.
    pub(crate) run: PathBuf,
    /// Seconds of a clock that all processes share.
    pub(crate) monotonic: f64,
}

impl Naps {
    /// The naps of a world; the gate is shut.
    pub(crate) fn of(world: &World) -> Self {
        Self {
            journal: world.outside("journal"),
            gate: world.outside("gate"),
        }
    }

    /// The arguments of a nap of so many seconds.
    pub(crate) fn lasting(&self, seconds: f64, label: &str) -> Value {
        json!({"seconds": seconds, "journal": self.journal, "label": label})
    }

    /// The arguments of a nap that ends when the gate opens.
    pub(crate) fn until_open(&self, label: &str) -> Value {
        json!({"seconds": 120, "gate": self.gate, "journal": self.journal, "label": label})
    }

    /// Ends the naps that wait for it, and those to come.
    pub(crate) fn open(&self) {
        fs::write(&self.gate, "").unwrap();
    }

    /// The whole journal.
    pub(crate) fn lines(&self) -> Vec<Line> {
        let journal = fs::read_to_string(&self.journal).unwrap_or_default();
        let lines = journal.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The lines of one nap that tell of one event.
    pub(crate) fn told(&self, label: &str, event: &str) -> Vec<Line> {
        let mut lines = self.lines();
        lines.retain(|line| line.label == label && line.event == event);
        lines
    }

    /// Waits until a nap has started, and answers its first line.
    pub(crate) fn started(&self, label: &str) -> Line {
        eventually(&format!("nap {label} has started"), || {
            self.told(label, "start").into_iter().next()
        })
    }

    /// When each nap that ended began and ended, in the order in which they began.
    pub(crate) fn intervals(&self, plugin: &str) -> Vec<(f64, f64)> {
        let mut lines = self.lines();
        lines.retain(|line| line.plugin == plugin);
        let (starts, ends): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.event == "start");
        let mut intervals: Vec<_> = starts
            .into_iter()
            .filter_map(|start| {
                let end = ends.iter().find(|end| end.run == start.run)?;
                Some((start.monotonic, end.monotonic))
            })
            .collect();
        intervals.sort_by(|a, b| a.0.total_cmp(&b.0));
        intervals
    }
}

impl Line {
    /// Whether the process that wrote this, or anything that it has started, runs.
    pub(crate) fn is_running(&self) -> bool {
        processes::is_locked(&self.run)
    }

    /// The process that wrote this, by the number that it has outside of its sandbox.
    pub(crate) fn pid(&self) -> u32 {
        processes::locker_of(&self.run).expect("it runs")
    }

    /// Waits until the process that wrote this has ended.
    pub(crate) fn wait_for_death(&self) {
        eventually("the plugin's process has ended", || {
            (!self.is_running()).then_some(())
        });
    }
}

/// Whether no interval begins before the one before it has ended.
pub(crate) fn follow_one_another(intervals: &[(f64, f64)]) -> bool {
    intervals.windows(2).all(|pair| pair[0].1 <= pair[1].0)
}
