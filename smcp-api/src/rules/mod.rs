//! ② The rules in force in this process, and how those of the directory come into force: checked as a whole, accepted into the
//! database in one transaction, or refused while the old ones stay.

mod directory;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use smcp_common::config::Config;
use smcp_common::policy::{
    Edit, Fault, Keeper, Level, Names, Policies, Problem, RuleFile, Unready,
};
use smcp_common::queue::{Accepted, NewPolicies, Queue, QueueError};

use self::directory::read;
use crate::builtin;

pub use self::directory::{DirectoryError, read as read_directory};
pub use self::watch::start;

/// Who accepts rules, for the audit record.
const BY: &str = "api";

/// The rules of this process.
#[derive(Debug)]
pub struct Rules {
    queue: Queue,
    keeper: Keeper,
    directory: PathBuf,
    /// Whether nobody has named the directory, so that it may be made.
    is_default: bool,
    /// The zone of weekdays and times of day, by its name.
    zone: &'static str,
    allow_missing: bool,
    /// What is wrong with the directory, since when its rules have been refused.
    refused: Mutex<Option<RulesError>>,
}

/// Why the rules of the directory are not accepted.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RulesError {
    /// Something is wrong with them.
    #[error("the rules in {directory} are refused:\n{}", lines(problems))]
    Refused {
        /// The directory.
        directory: PathBuf,
        /// What is wrong, the errors first.
        problems: Vec<Problem>,
    },
    /// They cannot be read.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// They cannot be compared with what there is, or stored.
    #[error("the rules cannot be accepted: {0}")]
    Queue(Arc<QueueError>),
    /// They cannot be made ready.
    #[error("the rules cannot be accepted: {0}")]
    Fault(Fault),
}

/// Rules that have been looked at.
#[derive(Debug)]
pub struct Checked {
    /// They, ready to be asked.
    pub policies: Policies,
    /// What there is to say of them.
    pub problems: Vec<Problem>,
}

impl Checked {
    /// Whether they can be accepted.
    pub fn is_acceptable(&self) -> bool {
        self.problems
            .iter()
            .all(|problem| problem.level != Level::Error)
    }
}

impl Rules {
    /// Those of `queue`, which follow the directory that `config` names once [`start`] has been called.
    pub fn new(queue: Queue, config: &Config) -> Self {
        Self {
            keeper: Keeper::new(queue.clone(), builtin::actions()),
            queue,
            directory: config.policy_directory(),
            is_default: config.policy.directory.is_none(),
            zone: config.policy.zone.name(),
            allow_missing: config.policy.allow_missing,
            refused: Mutex::default(),
        }
    }

    /// The rules in force.
    ///
    /// # Errors
    /// [`Unready`]: nothing may run then.
    pub fn current(&self) -> Result<Arc<Policies>, Unready> {
        self.keeper.current()
    }

    /// Where the rules are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Why the rules of the directory are not in force; `None` where they are.
    pub fn refused(&self) -> Option<RulesError> {
        self.refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The agents and groups that there are.
    ///
    /// # Errors
    /// Database errors.
    pub fn names(&self) -> Result<Names, QueueError> {
        let mut names = Names::default();
        for agent in self.queue.agents()? {
            names.groups.extend(agent.groups);
            names.agents.insert(agent.name);
        }
        Ok(names)
    }

    /// Looks at rules as an edit of those in force.
    ///
    /// # Errors
    /// What is wrong with single files, as [`Fault::Rules`]; database errors.
    pub fn check(
        &self,
        files: Vec<RuleFile>,
        allow_missing: bool,
    ) -> Result<Result<Checked, Fault>, QueueError> {
        let rules = Accepted {
            files,
            zone: self.zone.to_owned(),
            ..self.queue.policies()?
        };
        let policies = match self.keeper.make(&rules)? {
            Ok(policies) => policies,
            Err(fault) => return Ok(Err(fault)),
        };
        // Before the first look at the plugins no tool is there, and none can be called.
        let allow_missing = allow_missing || self.queue.catalogue()?.scanned == 0;
        let before = self.keeper.current().ok();
        let edit = Edit {
            of: before.as_deref(),
            allow_missing,
        };
        let problems = policies.problems_as(edit, &self.names()?);
        Ok(Ok(Checked { policies, problems }))
    }

    /// Reads the directory and accepts its rules, or refuses them all; says what has changed in the log. Answers whether there
    /// is anything new.
    ///
    /// # Errors
    /// [`RulesError`]; the rules that were in force stay.
    pub async fn adopt(&self) -> Result<bool, RulesError> {
        let adopted = self.try_adopt().await;
        let refused = adopted.as_ref().err().cloned();
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = refused;
        adopted
    }

    async fn try_adopt(&self) -> Result<bool, RulesError> {
        let broken = |error| RulesError::Queue(Arc::new(error));
        let in_force = self.queue.policies().map_err(broken)?;
        let Some(files) = read(&self.directory)? else {
            // A directory that is exchanged is away for a moment, and one that cannot be mounted for longer: no reason to forget
            // what is forbidden.
            if !self.is_default || !in_force.files.is_empty() {
                return Err(DirectoryError::absent(&self.directory).into());
            }
            return self.accept(Vec::new()).await;
        };
        self.accept(files).await
    }

    async fn accept(&self, files: Vec<RuleFile>) -> Result<bool, RulesError> {
        let broken = |error| RulesError::Queue(Arc::new(error));
        let refused = |problems| RulesError::Refused {
            directory: self.directory.clone(),
            problems,
        };
        let checked = match self.check(files, self.allow_missing).map_err(broken)? {
            Ok(checked) => checked,
            Err(Fault::Rules(problems)) => return Err(refused(problems)),
            Err(fault @ (Fault::Internal(_) | Fault::Zone(_))) => {
                return Err(RulesError::Fault(fault));
            }
        };
        if !checked.is_acceptable() {
            return Err(refused(checked.problems));
        }
        let hash = checked.policies.hash().to_owned();
        let new = NewPolicies {
            hash: hash.clone(),
            zone: self.zone.to_owned(),
            files: checked.policies.files().to_vec(),
        };
        let count = new.files.len();
        let changed = self.queue.accept_policies(new, BY).await.map_err(broken)?;
        if changed {
            tracing::info!(policy.files = count, policy.hash = hash, "rules accepted");
            for problem in &checked.problems {
                tracing::warn!("{problem}");
            }
        }
        Ok(changed)
    }
}

/// The problems, one a line.
fn lines(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}
