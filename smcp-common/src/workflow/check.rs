//! What is wrong with a definition, and where: everything that can be known before anything runs.

use std::fmt;

use serde::{Deserialize as _, Serialize};
use serde_json::Value;

use super::definition::{Definition, MAX_STEPS, OnFailure, Step, Verify};
use super::graph::Graph;
use super::reference::{Part, Reference, references};

/// A day.
const MAX_EVERY_S: f64 = 86_400.0;
/// Seven days.
const MAX_DEADLINE_S: f64 = 7.0 * 86_400.0;
/// The most checks of a step.
const MAX_CHECKS: u32 = 100;
/// Whoever has made more mistakes hears of the others when these are mended.
const MAX_PROBLEMS: usize = 50;
/// The longest name of a workflow.
const MAX_NAME_CHARS: usize = 100;
/// The longest id of a step.
const MAX_ID_CHARS: usize = 64;

/// Something wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where, such as `steps[2].arguments.version`.
    pub place: String,
    /// What, in words without a full stop.
    pub message: String,
}

impl Problem {
    /// A problem at that place.
    pub fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Reads a definition, and says of each step that is none what is wrong with it.
///
/// # Errors
/// What is wrong with its form; [`check`] finds the rest.
pub fn read(value: &Value) -> Result<Definition, Vec<Problem>> {
    let Some(steps) = value.get("steps").and_then(Value::as_array) else {
        return Err(vec![Problem::new("steps", "a list of steps is expected")]);
    };
    let wrong = |(n, step): (usize, &Value)| {
        let error = Step::deserialize(step).err()?;
        Some(Problem::new(format!("steps[{n}]"), error.to_string()))
    };
    let problems: Vec<_> = steps.iter().enumerate().filter_map(wrong).collect();
    if !problems.is_empty() {
        return Err(problems);
    }
    Definition::deserialize(value)
        .map_err(|error| vec![Problem::new("workflow", error.to_string())])
}

/// What is wrong with a definition, in the order of its steps, at most 50 findings; empty where it can run.
pub fn check(definition: &Definition) -> Vec<Problem> {
    let count = definition.steps.len();
    if !(1..=MAX_STEPS).contains(&count) {
        let message = format!("a workflow has 1 to {MAX_STEPS} steps, but this one has {count}");
        return vec![Problem::new("steps", message)];
    }
    let mut checker = Checker {
        definition,
        graph: Graph::of(definition),
        problems: Vec::new(),
    };
    let name = definition.name.as_deref().unwrap_or_default();
    if name.chars().count() > MAX_NAME_CHARS {
        checker.say(
            "name",
            format!("it has more than {MAX_NAME_CHARS} characters"),
        );
    }
    for (n, step) in definition.steps.iter().enumerate() {
        checker.step(n, step);
    }
    checker.cycle();
    checker.problems
}

struct Checker<'d> {
    definition: &'d Definition,
    graph: Graph,
    problems: Vec<Problem>,
}

impl Checker<'_> {
    fn say(&mut self, place: impl Into<String>, message: impl Into<String>) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem::new(place, message));
        }
    }

    fn step(&mut self, n: usize, step: &Step) {
        let id = step.id.as_str();
        if !is_id(id) {
            let message = format!(
                "'{}' is no id: 1 to {MAX_ID_CHARS} of a–z, 0–9, - and _, beginning with a letter or digit",
                id.chars().take(80).collect::<String>()
            );
            self.say(format!("steps[{n}].id"), message);
        }
        if let Some(first) = self.definition.position(id).filter(|first| *first != n) {
            let message = format!("'{id}' is the id of steps[{first}], too");
            self.say(format!("steps[{n}].id"), message);
        }
        if let Some(verify) = &step.verify {
            self.verify(n, verify);
        }
        self.needs(n, step);
        self.on_failure(n, step);
        let place = format!("steps[{n}].arguments");
        for (place, found) in references(&step.arguments, &place) {
            self.reference(n, &place, found, false);
        }
        if let Some(verify) = &step.verify {
            let place = format!("steps[{n}].verify.arguments");
            for (place, found) in references(&verify.arguments, &place) {
                self.reference(n, &place, found, true);
            }
        }
    }

    fn verify(&mut self, n: usize, verify: &Verify) {
        let place = |key: &str| format!("steps[{n}].verify.{key}");
        if !(1..=MAX_CHECKS).contains(&verify.of) {
            self.say(place("of"), format!("it must be 1 to {MAX_CHECKS}"));
        }
        if verify.need < 1 || verify.need > verify.of {
            let message = format!("it must be 1 to 'of', which is {}", verify.of);
            self.say(place("need"), message);
        }
        if !(0.0..=MAX_EVERY_S).contains(&verify.every) {
            self.say(place("every"), "it must be 0 to 86400 seconds, a day");
        }
        if !(verify.deadline > 0.0 && verify.deadline <= MAX_DEADLINE_S) {
            let message = "it must be more than 0 and at most 604800 seconds, seven days";
            self.say(place("deadline"), message);
        }
    }

    fn needs(&mut self, n: usize, step: &Step) {
        if self.graph.is_handler(n) && !step.needs.is_empty() {
            let message = format!(
                "'{}' is run when {} fails, so that it waits for nothing else",
                step.id,
                self.handled(n)
            );
            self.say(format!("steps[{n}].needs"), message);
            return;
        }
        for (m, id) in step.needs.iter().enumerate() {
            let place = format!("steps[{n}].needs[{m}]");
            match self.definition.position(id) {
                None => self.say(place, self.unknown(id)),
                Some(of) if of == n => self.say(place, "a step cannot wait for itself"),
                Some(of) if self.graph.is_handler(of) => {
                    self.say(place, self.only_on_failure(of));
                }
                Some(_) => {}
            }
        }
    }

    fn on_failure(&mut self, n: usize, step: &Step) {
        let place = format!("steps[{n}].on_failure");
        let handler = step.on_failure.handler();
        if handler == Some(step.id.as_str()) {
            return self.say(place, "a step cannot be run at its own failure");
        }
        if self.graph.is_handler(n) && step.on_failure != OnFailure::Stop {
            let message = format!(
                "'{}' is itself run when {} fails, and the workflow ends with it",
                step.id,
                self.handled(n)
            );
            self.say(place, message);
            return;
        }
        if let Some(handler) = handler
            && self.definition.position(handler).is_none()
        {
            self.say(place, self.unknown(handler));
        }
    }

    /// A reference of step `n`; `of_check` where one of its checks makes it.
    fn reference(
        &mut self,
        n: usize,
        place: &str,
        found: Result<Reference, String>,
        of_check: bool,
    ) {
        if self.problems.len() == MAX_PROBLEMS {
            return;
        }
        let reference = match found {
            Ok(reference) => reference,
            Err(message) => return self.say(place, message),
        };
        let Some(of) = self.definition.position(&reference.step) else {
            let message = format!("{reference}: {}", self.unknown(&reference.step));
            return self.say(place, message);
        };
        if let Some(message) = self.impossible(n, of, &reference.part, of_check) {
            self.say(place, format!("{reference}: {message}"));
        }
    }

    /// Why step `n` cannot refer to that part of step `of`, if it cannot.
    fn impossible(&self, n: usize, of: usize, part: &Part, of_check: bool) -> Option<String> {
        let is_error = matches!(part, Part::ErrorCode | Part::ErrorMessage);
        if of == n {
            let is_known = of_check && matches!(part, Part::Result(_) | Part::Job);
            return (!is_known).then(|| {
                if of_check {
                    "a check can refer to the .result and the .job of its own step, and to nothing else of it".to_owned()
                } else {
                    "a step cannot refer to itself".to_owned()
                }
            });
        }
        if self.graph.is_handler(of) {
            return Some(self.only_on_failure(of));
        }
        let id = |n: usize| self.definition.steps[n].id.as_str();
        if !self.graph.is_handler(n) {
            return is_error.then(|| {
                format!(
                    "'{}' need not have failed when '{}' begins; only a step that is run at its failure (on_failure = \
                     \"run:…\") can refer to its error",
                    id(of),
                    id(n)
                )
            });
        }
        let handled = self.graph.handles(n);
        if handled.contains(&of) {
            return match part {
                Part::State => None,
                Part::ErrorCode | Part::ErrorMessage => (handled.len() > 1).then(|| {
                    format!(
                        "'{}' is run when {} fails, so that '{}' need not have failed",
                        id(n),
                        self.handled(n),
                        id(of)
                    )
                }),
                Part::Result(_) | Part::Job => Some(format!(
                    "'{}' has failed when '{}' begins; of it there are .state, .error.code and .error.message",
                    id(of),
                    id(n)
                )),
            };
        }
        let surely = handled.iter().all(|step| self.graph.is_before(of, *step));
        if !surely {
            return Some(format!(
                "'{}' need not have run when {} fails; let the step that fails need it",
                id(of),
                self.handled(n)
            ));
        }
        is_error.then(|| format!("'{}' need not have failed when '{}' begins", id(of), id(n)))
    }

    fn cycle(&mut self) {
        let Some(cycle) = self.graph.cycle() else {
            return;
        };
        // A step that waits for itself has been named where it does.
        if cycle.len() <= 2 {
            return;
        }
        let ids: Vec<_> = cycle
            .iter()
            .map(|n| self.definition.steps[*n].id.as_str())
            .collect();
        let message = format!(
            "the steps wait for each other in a cycle: {}",
            ids.join(" → ")
        );
        let last = cycle[0];
        self.say(format!("steps[{last}].needs"), message);
    }

    fn handled(&self, handler: usize) -> String {
        let ids = self.graph.handles(handler).iter();
        let ids: Vec<_> = ids
            .map(|n| format!("'{}'", self.definition.steps[*n].id))
            .collect();
        ids.join(" or ")
    }

    fn only_on_failure(&self, handler: usize) -> String {
        format!(
            "'{}' is run only when {} fails",
            self.definition.steps[handler].id,
            self.handled(handler)
        )
    }

    fn unknown(&self, id: &str) -> String {
        let shown: String = id.chars().take(80).collect();
        let near = self
            .definition
            .steps
            .iter()
            .map(|step| (distance(&step.id, &shown), step.id.as_str()))
            .min()
            .filter(|(distance, _)| *distance <= shown.chars().count().max(3) / 3 + 1);
        match near {
            Some((_, near)) => format!("there is no step '{shown}'; did you mean '{near}'?"),
            None => format!("there is no step '{shown}'"),
        }
    }
}

fn is_id(id: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    id.starts_with(plain)
        && id.len() <= MAX_ID_CHARS
        && id.chars().all(|c| plain(c) || c == '-' || c == '_')
}

/// How many characters have to be changed, added or left out to make one text of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<_> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (n, c) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], n + 1);
        for (m, d) in other.iter().enumerate() {
            let changed = diagonal + usize::from(c != *d);
            diagonal = row[m + 1];
            row[m + 1] = changed.min(diagonal + 1).min(row[m] + 1);
        }
    }
    row[other.len()]
}
