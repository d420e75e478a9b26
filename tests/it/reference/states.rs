//! `docs/reference/states.md`.

use std::collections::BTreeSet;

use smcp_common::job::{
    Again, Effect, Event, Policy, Retry, RetryOn, State, StateName, next, revived,
};

use super::{head, keep, row, source};

const JOB: &str = "smcp-common/src/job/state.rs";

/// Every event, by the name of its variant.
const EVENTS: [(&str, Event); 16] = [
    ("approved", Event::Approved),
    ("denied", Event::Denied),
    ("approval_expired", Event::ApprovalExpired),
    ("approval_voided", Event::ApprovalVoided),
    ("claimed", Event::Claimed),
    ("succeeded", Event::Succeeded),
    ("failed", Event::Failed(Again::ByPolicy(RetryOn::Error))),
    ("failed", Event::Failed(Again::ByPolicy(RetryOn::Timeout))),
    ("failed", Event::Failed(Again::Wanted)),
    ("failed", Event::Failed(Again::Pointless)),
    ("snoozed", Event::Snoozed),
    ("stopped", Event::Stopped),
    ("released", Event::Released),
    ("interrupted", Event::Interrupted),
    ("worker_lost", Event::WorkerLost),
    ("cancel_requested", Event::CancelRequested),
];

#[test]
fn the_page_has_every_state_and_what_follows() {
    let mut page = "# States\n\n\
<!-- Made of the code by tests/it/reference.rs; change it there. -->\n\n\
## Jobs\n\n\
Every call of a plugin's tool is a job. A state that ends it stays, unless somebody asks for another attempt (`jobs__retry`).\n\n"
        .to_owned();
    let meanings = source::variants(JOB, "State");
    page += &head(&["state", "meaning", "ends it"]);
    for name in StateName::ALL {
        let ends = if name.is_final() { "yes" } else { "" };
        page += &row(&[
            &format!("`{name}`"),
            meaning(&meanings, name.as_str()),
            ends,
        ]);
    }
    page += "\n### What follows\n\n";
    page += &head(&["state", "what happens", "state that follows"]);
    let events = source::variants(JOB, "Event");
    let known: BTreeSet<_> = EVENTS.iter().map(|(name, _)| *name).collect();
    let told: BTreeSet<_> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(known, told, "every event is tried out");
    for name in StateName::ALL {
        for (event, said) in &events {
            let follows = successors(name, event);
            if !follows.is_empty() && !name.is_final() {
                page += &row(&[&format!("`{name}`"), said, &follows.join(", ")]);
            }
        }
    }
    for name in StateName::ALL {
        if revived(name, 1, false).is_some() {
            let follows = "`queued`, or `awaiting_approval` where it needed an approval";
            page += &row(&[
                &format!("`{name}`"),
                "Somebody asks for another attempt.",
                follows,
            ]);
        }
    }
    page += "\nWhere several follow, the job's `retry`, its effect and whether it was being cancelled decide. A job whose worker is lost is run again \
             where its effect is `read_only` or `idempotent` or its `retry` names `worker_lost`, and else becomes `outcome_unknown`.\n";
    table(
        &mut page,
        "Why a job waits",
        "The `code` in `waiting` of `jobs__get`: what must change first comes first.",
        &source::variants("smcp-common/src/job/waiting.rs", "Waiting"),
    );
    table(
        &mut page,
        "Effects",
        "What a tool says of being run twice.",
        &source::variants("smcp-common/src/job/effect.rs", "Effect"),
    );
    page += "\n## Approvals\n\n\
A job that needs an approval is `awaiting_approval`, and follows the table above: approved by as many as are asked for, it is `queued`; one `deny` of somebody\n\
who might approve makes it `denied`; nobody in time (`approvals.expire_s`) makes it `expired`. If the rules, the arguments or the plugin's files have\n\
changed when it is about to begin, it waits for an approval again.\n";
    let progress = "smcp-common/src/workflow/progress.rs";
    table(
        &mut page,
        "Workflows",
        "All but `running` end it.",
        &source::variants(progress, "WorkflowState"),
    );
    table(
        &mut page,
        "Steps of workflows",
        "A step that is `failed` is followed by those that are to run at its failure.",
        &source::variants(progress, "StepState"),
    );
    let schedule = "smcp-common/src/schedule/record.rs";
    table(
        &mut page,
        "Schedules",
        "",
        &source::variants(schedule, "Standing"),
    );
    table(
        &mut page,
        "Times of schedules",
        "What became of one, in `smcp schedules show`.",
        &source::variants(schedule, "TickOutcome"),
    );
    table(
        &mut page,
        "Plugins",
        "Where `plugins.pin` is not `off`.",
        &source::variants("smcp-common/src/plugin/integrity.rs", "Integrity"),
    );
    keep("states.md", &page);
}

fn meaning<'a>(meanings: &'a [(String, String)], name: &str) -> &'a str {
    let found = meanings.iter().find(|(each, _)| each == name);
    &found.unwrap().1
}

/// The states that may follow, over all policies.
fn successors(name: StateName, event: &str) -> Vec<String> {
    let mut found = BTreeSet::new();
    for state in states(name) {
        for (_, event) in EVENTS.iter().filter(|(each, _)| *each == event) {
            for policy in policies() {
                let follows = next(state, *event, policy);
                found.extend(follows.ok().map(State::name));
            }
        }
    }
    found.iter().map(|name| format!("`{name}`")).collect()
}

fn states(name: StateName) -> Vec<State> {
    let (attempt, failures) = (1, 0);
    let running = |cancelling| State::Running {
        attempt,
        failures,
        cancelling,
    };
    match name {
        StateName::AwaitingApproval => vec![State::AwaitingApproval { attempt, failures }],
        StateName::Queued => vec![State::Queued { attempt, failures }],
        StateName::Running => vec![running(false), running(true)],
        StateName::Succeeded => vec![State::Succeeded],
        StateName::Failed => vec![State::Failed],
        StateName::Cancelled => vec![State::Cancelled],
        StateName::OutcomeUnknown => vec![State::OutcomeUnknown],
        StateName::Denied => vec![State::Denied],
        StateName::Expired => vec![State::Expired],
    }
}

fn policies() -> Vec<Policy> {
    let all = Retry {
        retry_on: vec![RetryOn::Error, RetryOn::Timeout],
        ..Retry::default()
    };
    let none = Retry {
        retry_on: Vec::new(),
        ..Retry::default()
    };
    let mut policies = Vec::new();
    for effect in [Effect::Once, Effect::Idempotent] {
        for (max_attempts, retry) in [(1, &none), (3, &none), (3, &all)] {
            policies.push(Policy {
                effect,
                max_attempts,
                retry_on: retry.causes(),
            });
        }
    }
    policies
}

fn table(page: &mut String, title: &str, about: &str, rows: &[(String, String)]) {
    *page += &format!("\n## {title}\n\n");
    if !about.is_empty() {
        *page += &format!("{about}\n\n");
    }
    *page += &head(&["", "meaning"]);
    for (name, meaning) in rows {
        *page += &row(&[&format!("`{name}`"), meaning]);
    }
}
