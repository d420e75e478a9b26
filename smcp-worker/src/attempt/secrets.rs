//! What a call gets that nobody else may see: its secret arguments, and the secrets that its plugin declares.

use std::ffi::OsString;

use serde_json::{Map, Value};
use smcp_common::job::{Claimed, Failure, Outcome, code};
use smcp_common::plugin::{Plugin, SecretForm, SecretWish, Tool};
use smcp_common::queue::{Queue, QueueError};
use smcp_common::secret::{Plain, Redactor, secret_texts};

use crate::plugin::process::{Invocation, SecretFile};
use crate::work::persist;

/// What a call needs to start.
pub(super) struct Prepared {
    /// Exactly what to run.
    pub(super) arguments: Map<String, Value>,
    /// The secrets of its plugin.
    pub(super) injected: Injected,
    /// What strikes both out of what it prints.
    pub(super) redactor: Redactor,
}

/// The secrets that a call gets, each with how.
pub(super) struct Injected(Vec<(SecretWish, Plain)>);

/// Opens what the call of `tool` gets.
///
/// # Errors
/// `secret_missing` where a secret is not set that the plugin needs; `secret_unreadable` where one cannot be opened.
pub(super) async fn prepare(
    queue: &Queue,
    plugin: &Plugin,
    tool: &Tool,
    job: &Claimed,
) -> Result<Prepared, Failure> {
    let hidden = persist("look at the secret arguments", async || {
        queue.open_arguments(job)
    });
    let hidden = hidden
        .await
        .map_err(|error| unreadable(&error, "The secret arguments of this call"))?;
    let injected = declared(queue, plugin, tool, &job.agent).await?;
    let of_arguments: Vec<_> = hidden
        .iter()
        .flat_map(|(name, value)| {
            secret_texts(value)
                .into_iter()
                .map(move |text| (name, text))
        })
        .collect();
    let of_arguments = of_arguments
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()));
    let stored = injected.0.iter();
    let stored = stored.map(|(wish, value)| (wish.name.as_str(), value.reveal()));
    let redactor = Redactor::new(stored.chain(of_arguments));
    let mut arguments = job.arguments.clone();
    // Each stands in its place already, masked.
    arguments.extend(hidden);
    Ok(Prepared {
        arguments,
        injected,
        redactor,
    })
}

async fn declared(
    queue: &Queue,
    plugin: &Plugin,
    tool: &Tool,
    agent: &str,
) -> Result<Injected, Failure> {
    let mut found = Vec::new();
    for wish in plugin.secrets_of(tool) {
        let name = &wish.name;
        let value = persist("look at the secrets", async || {
            queue.secret_for(agent, name)
        });
        let value = value
            .await
            .map_err(|error| unreadable(&error, &format!("The secret {name}")))?;
        match value {
            Some(value) => found.push((wish.clone(), value)),
            None if wish.required => {
                let message = format!(
                    "Plugin {} needs the secret {name}, which is set neither for the agent {agent} nor for everybody. An \
                     operator sets it with: smcp secrets set {name}",
                    plugin.name
                );
                return Err(Failure::new(code::SECRET_MISSING, message));
            }
            None => {}
        }
    }
    Ok(Injected(found))
}

impl Injected {
    /// Passes them to the call.
    pub(super) fn add_to(self, invocation: &mut Invocation) {
        for (wish, value) in self.0 {
            let content = match wish.form {
                SecretForm::Env => OsString::from(value.reveal()),
                SecretForm::File => {
                    let path = invocation.cwd.join(format!(".secret-{}", wish.name));
                    invocation.files.push(SecretFile {
                        path: path.clone(),
                        text: value,
                    });
                    path.into()
                }
            };
            invocation.env.push((wish.variable.into(), content));
        }
    }
}

/// How an attempt ended, with nothing secret in its words: a plugin's JSON can write any character as an escape.
pub(super) fn redacted(outcome: Outcome, redactor: &Redactor) -> Outcome {
    match outcome {
        Outcome::Failed { failure, advice } if !redactor.is_idle() => Outcome::Failed {
            failure: Failure {
                message: redactor.text(&failure.message),
                ..failure
            },
            advice,
        },
        other @ (Outcome::Failed { .. }
        | Outcome::Succeeded
        | Outcome::Snoozed { .. }
        | Outcome::Stopped
        | Outcome::Released
        | Outcome::Interrupted
        | Outcome::ApprovalVoided(_)) => other,
    }
}

fn unreadable(error: &QueueError, what: &str) -> Failure {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "a secret cannot be opened"
    );
    let message = format!("{what} cannot be opened; the worker's log says why.");
    Failure::new(code::SECRET_UNREADABLE, message)
}
