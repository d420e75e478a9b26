//! Every code of a refusal, with its meaning: what `docs/reference/errors.md` is made of. A test looks for codes in the
//! sources that are not here. The codes of jobs and workflows that have failed say what they mean where they are:
//! [`smcp_common::job::code`], [`smcp_common::workflow::code`].

/// A code, with what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// As in `structuredContent.error.code`, or in the body of an HTTP answer.
    pub name: &'static str,
    /// One or more sentences for the caller.
    pub meaning: &'static str,
}

const fn code(name: &'static str, meaning: &'static str) -> Code {
    Code { name, meaning }
}

/// Of requests that are refused before anybody reads them as MCP; each with its HTTP status.
pub const HTTP: &[(u16, Code)] = &[
    (
        400,
        code(
            "bad_host",
            "The header `Host` is missing or cannot be read.",
        ),
    ),
    (
        400,
        code(
            "body_incomplete",
            "The connection broke before all of the body had come.",
        ),
    ),
    (
        401,
        code(
            "unauthorized",
            "No key, or one that is unknown, expired or revoked; the answer does not say which. The body is `{\"error\": \"unauthorized\"}`.",
        ),
    ),
    (
        403,
        code(
            "host_not_allowed",
            "The server does not answer to that name; see `http.allowed_hosts`.",
        ),
    ),
    (
        403,
        code(
            "origin_not_allowed",
            "Web pages of that origin may not call it; see `http.allowed_origins`.",
        ),
    ),
    (404, code("not_found", "There is nothing at that path.")),
    (
        405,
        code("method_not_allowed", "The path does not take that method."),
    ),
    (408, code("body_too_slow", "The body did not come in time.")),
    (
        413,
        code(
            "body_too_large",
            "The body is larger than `http.max_body_bytes`.",
        ),
    ),
    (
        500,
        code("internal", "A defect of SMCP; the log has the details."),
    ),
    (
        503,
        code("busy", "The database cannot be read now. Try again."),
    ),
    (
        503,
        code(
            "database",
            "A reason of `/readyz`: the database cannot be read.",
        ),
    ),
];

/// Of calls that were not recorded, or not as they were asked for. Nothing has been run.
pub const CALLS: &[Code] = &[
    code(
        "approval_required",
        "A rule asks for an approval of a built-in tool, which cannot wait for one.",
    ),
    code(
        "arguments_too_large",
        "The arguments are larger than `limits.max_arguments_bytes`, or than a rule allows.",
    ),
    code(
        "busy",
        "The database is busy. Nothing has been recorded; try again.",
    ),
    code("disconnected", "The caller has gone. Nobody reads this."),
    code(
        "disk_full",
        "The disk of the database is full. Nothing has been recorded.",
    ),
    code(
        "dry_run_only",
        "The rules let this agent only ask what would happen.",
    ),
    code(
        "idempotency_conflict",
        "The idempotency key belongs to another job, which `job` (or `workflow`) names.",
    ),
    code(
        "internal_error",
        "A defect of SMCP; the log has the details.",
    ),
    code(
        "invalid_arguments",
        "The arguments do not fit the tool's schema; the message says which, and how.",
    ),
    code(
        "invalid_workflow",
        "The definition of the workflow has mistakes; all of them are told, with their places.",
    ),
    code(
        "limit_exceeded",
        "A limit of a rule admits no more calls for now; `frees_at` and `retry_after_s` say when it does.",
    ),
    code(
        "not_allowed",
        "No rule permits the call, or one forbids it; the message names the rules.",
    ),
    code(
        "plugin_quarantined",
        "The plugin's files have changed, and no operator has accepted them yet.",
    ),
    code(
        "policy_error",
        "The rules cannot be read, or a rule that counts here could not be evaluated. Nothing is allowed.",
    ),
    code(
        "tool_not_attached",
        "The agent has detached the tool, or never attached it; `sanctum__tools` attaches it.",
    ),
    code(
        "tool_removed",
        "Its plugin does not offer the tool any more.",
    ),
    code("unknown_tool", "There is no such tool."),
];

/// Of answers to calls that go on, or have gone well.
pub const ANSWERS: &[Code] = &[
    code(
        "invalid_output",
        "The plugin printed something else than its `output_schema` promises. The job has succeeded.",
    ),
    code(
        "output_too_large",
        "The output does not fit into an answer; `jobs__output` reads it in pieces. The job has succeeded.",
    ),
    code(
        "still_running",
        "The caller has waited long enough; the job goes on, and `job` says where to ask for it. Told as an error only by tools with an `output_schema`.",
    ),
    code(
        "told_once",
        "The answer held a key, which is told once, and the connection broke meanwhile.",
    ),
];

/// Of the built-in tools.
pub const TOOLS: &[Code] = &[
    code("agent_exists", "There is an agent of that name."),
    code("agent_revoked", "The agent was revoked."),
    code(
        "ambiguous_name",
        "Several schedules have that name; give the id of one.",
    ),
    code(
        "approval_changed",
        "What would run is not what the approver has seen; look at the request again.",
    ),
    code("approval_expired", "Nobody approved of the job in time."),
    code(
        "approval_link_invalid",
        "The link was not made by this server, is incomplete, or its maker was revoked.",
    ),
    code(
        "approval_not_allowed",
        "Only members of other groups may approve of this job.",
    ),
    code("approval_not_pending", "The job waits for no approval."),
    code(
        "approval_own_request",
        "Nobody approves of a call of their own.",
    ),
    code(
        "approval_repeated",
        "The agent has approved of this job before; others must, too.",
    ),
    code(
        "awaited",
        "The job cannot be deleted yet: its caller's session may come back for the answer.",
    ),
    code(
        "built_in_agent",
        "The agent is built in: its key is not in the database.",
    ),
    code(
        "collision",
        "The job collides with another one of which there may be one only.",
    ),
    code(
        "confirmation_required",
        "Many jobs would be changed; `confirm` does it, and `dry_run` shows them.",
    ),
    code("digest_changed", "The plugin is not what was looked at."),
    code(
        "invalid_policy",
        "The rules have mistakes; `problems` has them with their places.",
    ),
    code("no_such_agent", "There is no agent of that name."),
    code(
        "no_such_job",
        "There is no such job, or it belongs to somebody else.",
    ),
    code("no_such_key", "The agent has no such key."),
    code("no_such_plugin", "There is no plugin of that name."),
    code(
        "no_such_schedule",
        "There is no such schedule, or it belongs to somebody else.",
    ),
    code("no_such_secret", "There is no such secret."),
    code("no_such_worker", "There is no such worker."),
    code(
        "no_such_workflow",
        "There is no such workflow, or it belongs to somebody else.",
    ),
    code("no_worker", "No worker has looked at the plugins in time."),
    code(
        "operator_stays",
        "The agent `operator` is always in the group `operators`.",
    ),
    code(
        "part_of_workflow",
        "The job is a step of a workflow, which decides about it.",
    ),
    code(
        "plugin_unusable",
        "The plugin cannot be accepted, as it cannot be run at all.",
    ),
    code("schedule_exists", "The agent has a schedule of that name."),
    code(
        "secret_unreadable",
        "The key of the secrets is missing or another one.",
    ),
    code(
        "unknown_plugin",
        "There is no plugin of that name, and no job of one.",
    ),
    code(
        "wrong_state",
        "The job is in a state in which this cannot be done.",
    ),
];
