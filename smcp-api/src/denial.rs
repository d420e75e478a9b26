//! A call that is not allowed leaves an audit record: who wanted to call what, with which arguments, and why not.

use serde_json::{Map, Value};
use smcp_common::plugin::Tool;
use smcp_common::policy::Via;
use smcp_common::queue::Denial;

use crate::app::App;
use crate::caller::Caller;
use crate::refusal::Refusal;

/// Records that a call of a plugin's tool has been refused. `arguments` are those that would have run.
///
/// # Errors
/// Database errors. Whoever called is told of these, as nothing that is not recorded may be decided.
pub async fn record(
    app: &App,
    caller: &Caller,
    via: Via,
    tool: &Tool,
    arguments: Map<String, Value>,
    refusal: &Refusal,
) -> Result<(), Refusal> {
    let denial = Denial {
        agent: caller.agent.clone(),
        tool: tool.name.to_string(),
        code: refusal.code.to_owned(),
        via,
        entrance: Some(caller.entrance()),
        arguments,
        secret: tool.secret_parameters(),
    };
    Ok(app.queue.record_denial(denial).await?)
}
