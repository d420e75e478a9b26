//! The rules in force as a process has them: made ready once for each change of rules or tools.

use std::sync::{Arc, Mutex, PoisonError};

use chrono_tz::Tz;

use super::{Action, Fault, Policies, Rejection};
use crate::queue::{Accepted, PolicyState, Queue, QueueError};

/// Keeps the rules in force ready to be asked.
#[derive(Debug)]
pub struct Keeper {
    queue: Queue,
    /// The built-in tools that this process serves.
    builtin: Vec<Action>,
    kept: Mutex<Option<Kept>>,
}

/// The rules of a state of the database.
#[derive(Debug, Clone)]
struct Kept {
    state: PolicyState,
    policies: Result<Arc<Policies>, Fault>,
}

/// Why no rules can be asked: nothing may run then.
#[derive(Debug, thiserror::Error)]
pub enum Unready {
    /// They cannot be read.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// They were accepted by another version of this program, and mean nothing to this one.
    #[error("the rules in force cannot be used")]
    Rules(#[source] Fault),
}

impl Unready {
    /// What is told of a call of `tool`, about which nothing can be decided; the log has the reason.
    pub fn rejection(&self, tool: &str) -> Rejection {
        let error: &dyn std::error::Error = self;
        tracing::error!(error, "nothing can be decided: nothing is run");
        Rejection {
            code: "policy_error",
            message: format!("{tool} is not allowed: {self}."),
            rules: Vec::new(),
            policy: String::new(),
        }
    }
}

impl Keeper {
    /// Keeps the rules that `queue` has. `builtin` are the built-in tools that this process serves; a worker, which serves none,
    /// decides about those of plugins alone.
    pub const fn new(queue: Queue, builtin: Vec<Action>) -> Self {
        Self {
            queue,
            builtin,
            kept: Mutex::new(None),
        }
    }

    /// The rules in force, with the tools of the current catalogue. Makes them ready where one of the two has changed, which takes
    /// milliseconds; costs one read otherwise.
    ///
    /// # Errors
    /// [`Unready`]; no call may run then.
    pub fn current(&self) -> Result<Arc<Policies>, Unready> {
        let state = self.queue.policy_state()?;
        // Held while they are made ready, so that calls that come together do it once.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let policies = match &*kept {
            Some(kept) if kept.state == state => kept.policies.clone(),
            Some(_) | None => {
                let policies = self.make(&self.queue.policies()?)?.map(Arc::new);
                let policies = &kept.insert(Kept { state, policies }).policies;
                policies.clone()
            }
        };
        policies.map_err(Unready::Rules)
    }

    /// `rules` with the tools of the current catalogue, as if they were in force.
    ///
    /// # Errors
    /// Database errors.
    pub fn make(&self, rules: &Accepted) -> Result<Result<Policies, Fault>, QueueError> {
        let catalogue = self.queue.catalogue()?;
        let plugins = catalogue.plugins.iter().flat_map(|plugin| &plugin.tools);
        // A built-in tool is the one that is called by its name, whatever plugins there are.
        let mut tools = self.builtin.clone();
        tools.extend(plugins.map(Action::of_plugin));
        let zone: Result<Tz, _> = rules.zone.parse();
        Ok(zone
            .map_err(|_| Fault::Zone(rules.zone.clone()))
            .and_then(|zone| Policies::compile(&rules.files, &tools, zone)))
    }
}
