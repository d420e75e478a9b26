//! Which step waits for which, and which one is run when which one fails.

use std::collections::VecDeque;

use super::definition::{Definition, Step};
use super::reference::{Found, Part, references};

/// The steps of a definition as they depend on each other, by their places. What names no step is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    needs: Vec<Vec<usize>>,
    handles: Vec<Vec<usize>>,
    /// For each step and each other one, whether the other one has ended before it begins.
    before: Vec<Vec<bool>>,
}

impl Graph {
    /// The graph of a definition.
    pub fn of(definition: &Definition) -> Self {
        let steps = &definition.steps;
        let handled_by = |handler: &Step| -> Vec<usize> {
            (0..steps.len())
                .filter(|n| steps[*n].on_failure.handler() == Some(handler.id.as_str()))
                .collect()
        };
        let handles: Vec<_> = steps.iter().map(handled_by).collect();
        let needs: Vec<_> = (0..steps.len())
            .map(|n| {
                if handles[n].is_empty() {
                    needs(definition, n)
                } else {
                    Vec::new()
                }
            })
            .collect();
        let before = (0..steps.len()).map(|n| before(&needs, n)).collect();
        Self {
            needs,
            handles,
            before,
        }
    }

    /// The steps that must have ended before that one begins, in their order; none for a handler.
    pub fn needs(&self, step: usize) -> &[usize] {
        &self.needs[step]
    }

    /// The steps at whose failure that one is run.
    pub fn handles(&self, step: usize) -> &[usize] {
        &self.handles[step]
    }

    /// Whether that step begins only when another one fails.
    pub fn is_handler(&self, step: usize) -> bool {
        !self.handles[step].is_empty()
    }

    /// Whether `other` has ended before `step` begins, at first or second hand.
    pub fn is_before(&self, other: usize, step: usize) -> bool {
        self.before[step][other]
    }

    /// The steps of a shortest cycle of steps that wait for the next one, the first one again at its end; `None` where
    /// no step waits for itself.
    pub(super) fn cycle(&self) -> Option<Vec<usize>> {
        let start = (0..self.needs.len()).find(|n| self.is_before(*n, *n))?;
        let mut reached_from = vec![None; self.needs.len()];
        let mut open = VecDeque::from([start]);
        while let Some(here) = open.pop_front() {
            for &next in &self.needs[here] {
                if next == start {
                    let way_back = std::iter::successors(Some(here), |n| reached_from[*n]);
                    let mut path: Vec<_> = std::iter::once(start).chain(way_back).collect();
                    path.reverse();
                    return Some(path);
                }
                if reached_from[next].is_none() {
                    reached_from[next] = Some(here);
                    open.push_back(next);
                }
            }
        }
        None
    }

    /// The steps of whose results the steps in `open` still speak.
    pub fn results_wanted(definition: &Definition, open: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut wanted = Vec::new();
        for (n, step) in definition.steps.iter().enumerate() {
            if !open(n) {
                continue;
            }
            for (_, reference) in all(step, n) {
                if let Ok(reference) = reference
                    && let Part::Result(_) = reference.part
                    && let Some(of) = definition.position(&reference.step)
                    && !wanted.contains(&of)
                {
                    wanted.push(of);
                }
            }
        }
        wanted
    }
}

/// Every reference of a step, those of its checks included.
pub(super) fn all(step: &Step, n: usize) -> Vec<Found> {
    let mut found = references(&step.arguments, &format!("steps[{n}].arguments"));
    if let Some(verify) = &step.verify {
        found.extend(references(
            &verify.arguments,
            &format!("steps[{n}].verify.arguments"),
        ));
    }
    found
}

/// Whatever can be reached from a step; the step itself only where it waits for itself.
fn before(needs: &[Vec<usize>], step: usize) -> Vec<bool> {
    let mut before = vec![false; needs.len()];
    let mut open = needs[step].clone();
    while let Some(next) = open.pop() {
        if !before[next] {
            before[next] = true;
            open.extend(&needs[next]);
        }
    }
    before
}

/// What a step names in `needs`, and what it refers to, but for itself where its checks do.
fn needs(definition: &Definition, n: usize) -> Vec<usize> {
    let step = &definition.steps[n];
    let mut needs: Vec<_> = step
        .needs
        .iter()
        .filter_map(|id| definition.position(id))
        .collect();
    let referred = |place: &str, arguments| -> Vec<usize> {
        references(arguments, place)
            .into_iter()
            .filter_map(|(_, reference)| definition.position(&reference.ok()?.step))
            .collect()
    };
    needs.extend(referred("", &step.arguments));
    if let Some(verify) = &step.verify {
        let of_checks = referred("", &verify.arguments);
        needs.extend(of_checks.into_iter().filter(|of| *of != n));
    }
    needs.sort_unstable();
    needs.dedup();
    needs
}
