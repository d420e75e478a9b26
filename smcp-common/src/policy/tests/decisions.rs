//! Who may do what, as tables.

use serde_json::{Value, json};

use super::*;
use crate::limit::{Limit, LimitKind, Rate};

/// `allow`, `approval`, `deny` or `error`, and the rules that decided.
fn said(decision: &Decision) -> String {
    let verdict = match decision.verdict {
        Verdict::Allow => "allow",
        Verdict::Approval => "approval",
        Verdict::Deny => "deny",
        Verdict::Error => "error",
    };
    [verdict]
        .into_iter()
        .chain(decision.rules.iter().map(String::as_str))
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn without_rules_of_an_operator_the_built_in_ones_are_safe_and_useful() {
    let policies = policies("");
    let (user, stranger) = (subject("local", &["users"]), subject("new", &[]));
    let operator = subject("operator", &["operators"]);
    let both = subject("ann", &["operators", "users"]);
    let rows = [
        (
            &user,
            "devops__deploy",
            "allow builtin:users-may-call-what-destroys-nothing",
        ),
        (
            &user,
            "notes__read",
            "allow builtin:users-may-call-what-destroys-nothing",
        ),
        (
            &user,
            "devops__drop",
            "approval builtin:users-need-approval-to-destroy",
        ),
        (
            &user,
            "jobs__list",
            "allow builtin:everybody-may-follow-its-own",
        ),
        (&user, "settings__set", "deny"),
        (&stranger, "notes__read", "deny"),
        (&stranger, "devops__drop", "deny"),
        (
            &stranger,
            "jobs__list",
            "allow builtin:everybody-may-follow-its-own",
        ),
        (&stranger, "settings__set", "deny"),
        (
            &operator,
            "devops__drop",
            "allow builtin:operators-may-do-everything",
        ),
        (
            &operator,
            "settings__set",
            "allow builtin:operators-may-do-everything",
        ),
        (
            &both,
            "devops__drop",
            "allow builtin:operators-may-do-everything",
        ),
        (&operator, "no__tool", "error"),
    ];
    for (who, tool, expected) in rows {
        let decision = decide(&policies, who, tool, json!({}));
        assert_eq!(said(&decision), expected, "{} {tool}", who.agent);
    }
    let approval = decide(&policies, &user, "devops__drop", json!({}))
        .obligations
        .approval;
    let groups = vec!["operators".to_owned()];
    assert_eq!(
        approval,
        Some(Approval {
            groups,
            approvals: 1
        })
    );
}

/// The rules of most tests.
pub(super) const RULES: &str = r#"
@id("ci-deploys") @requireApproval("ops") @rate("4/1h") @timeout("5m")
permit (principal in Smcp::Group::"ci", action == Smcp::Action::"devops__deploy", resource)
when { context.input has environment && context.input.environment == "production" && context.session.weekday < 6 };

@id("ci-stages") @timeout("30s") @maxAttempts("5")
permit (principal in Smcp::Group::"ci", action in [Smcp::Action::"devops__deploy"], resource)
when { context.input has environment };

@id("not-from-schedules")
forbid (principal, action in Smcp::Action::"plugin__devops", resource)
when { context.session.via == "schedule" };

@id("inside-only")
forbid (principal, action in Smcp::Action::"destructive", resource)
unless { context.session has address && context.session.address.isInRange(ip("10.0.0.0/8")) };

@id("bob-may-drop") permit (principal == Smcp::Agent::"bob", action == Smcp::Action::"devops__drop", resource);

@id("nobody-removes") @message("Ask Ann.")
forbid (principal, action == Smcp::Action::"shell__run", resource)
when { context has undeclared && context.undeclared like "*rm -rf*" };

@id("too-many")
forbid (principal, action == Smcp::Action::"devops__deploy", resource)
when { context.input has count && context.input.count * 4 > 4000 };

@id("on-sundays-nobody-runs") forbid (principal, action, resource == Smcp::Plugin::"shell") when { context.session.weekday == 7 };
"#;

#[test]
fn rules_of_an_operator_decide_on_arguments_circumstances_and_groups() {
    let policies = policies(RULES);
    assert_eq!(policies.problems_as(Edit::default(), &known()), []);
    let (ci, user) = (subject("builder", &["ci"]), subject("local", &["users"]));
    let bob = subject("bob", &["users"]);
    let rows: [(&Subject, &str, Value, &str); 13] = [
        (
            &ci,
            "devops__deploy",
            json!({"environment": "staging"}),
            "allow ci-stages",
        ),
        (
            &ci,
            "devops__deploy",
            json!({"environment": "production"}),
            "approval ci-deploys ci-stages",
        ),
        (&ci, "devops__deploy", json!({}), "deny"),
        (&ci, "notes__read", json!({}), "deny"),
        (
            &user,
            "devops__deploy",
            json!({"count": 1000}),
            "allow builtin:users-may-call-what-destroys-nothing",
        ),
        (
            &user,
            "devops__deploy",
            json!({"count": 1001}),
            "deny too-many",
        ),
        // Cedar alone would pass over the rule that overflows, and allow.
        (
            &user,
            "devops__deploy",
            json!({"count": i64::MAX}),
            "error too-many",
        ),
        (&user, "devops__deploy", json!({"count": u64::MAX}), "error"),
        (&user, "devops__deploy", json!({"surprise": 1}), "error"),
        // A permit of the operator's takes the place of the built-in one, and of its approval.
        (
            &bob,
            "devops__drop",
            json!({"table": "t"}),
            "allow bob-may-drop",
        ),
        (
            &user,
            "devops__drop",
            json!({"table": "t"}),
            "approval builtin:users-need-approval-to-destroy",
        ),
        (
            &user,
            "shell__run",
            json!({"b": ["rm -rf /"]}),
            "deny nobody-removes",
        ),
        (
            &user,
            "shell__run",
            json!({"b": ["ls"]}),
            "allow builtin:users-may-call-what-destroys-nothing",
        ),
    ];
    for (who, tool, arguments, expected) in rows {
        let decision = decide(&policies, who, tool, arguments.clone());
        assert_eq!(
            said(&decision),
            expected,
            "{} {tool} {arguments}",
            who.agent
        );
        assert_eq!(decision.policy, policies.hash());
    }
    assert_eq!(policies.message("nobody-removes"), Some("Ask Ann."));
}

fn known() -> Names {
    Names {
        agents: ["bob".to_owned()].into(),
        groups: ["ci", "ops"].map(str::to_owned).into(),
    }
}

#[test]
fn circumstances_decide() {
    let policies = policies(RULES);
    let (ci, bob) = (subject("builder", &["ci"]), subject("bob", &["users"]));
    let stage = json!({"environment": "staging"});
    let produce = json!({"environment": "production"});
    let at = |text: &str| Session {
        now: Timestamp::parse(text).unwrap(),
        ..session()
    };
    let via = |via| Session { via, ..session() };
    let address = |address: Option<&str>| Session {
        address: address.map(|address| address.parse().unwrap()),
        ..session()
    };
    let rows = [
        // Saturday begins in Berlin an hour before it does in UTC.
        (
            &ci,
            "devops__deploy",
            &produce,
            at("2026-12-04T22:59:59Z"),
            "approval ci-deploys ci-stages",
        ),
        (
            &ci,
            "devops__deploy",
            &produce,
            at("2026-12-04T23:00:00Z"),
            "allow ci-stages",
        ),
        (
            &ci,
            "devops__deploy",
            &stage,
            via(Via::Workflow),
            "allow ci-stages",
        ),
        (
            &ci,
            "devops__deploy",
            &stage,
            via(Via::Schedule),
            "deny not-from-schedules",
        ),
        (
            &bob,
            "devops__drop",
            &json!({}),
            address(Some("10.1.2.3")),
            "allow bob-may-drop",
        ),
        (
            &bob,
            "devops__drop",
            &json!({}),
            address(Some("::ffff:10.1.2.3")),
            "allow bob-may-drop",
        ),
        (
            &bob,
            "devops__drop",
            &json!({}),
            address(Some("192.0.2.1")),
            "deny inside-only",
        ),
        (
            &bob,
            "devops__drop",
            &json!({}),
            address(None),
            "deny inside-only",
        ),
        (
            &bob,
            "shell__run",
            &json!({}),
            at("2026-12-06T10:00:00Z"),
            "deny on-sundays-nobody-runs",
        ),
        (
            &bob,
            "shell__run",
            &json!({}),
            at("2026-12-05T10:00:00Z"),
            "allow builtin:users-may-call-what-destroys-nothing",
        ),
        (
            &bob,
            "shell__run",
            &json!({}),
            Session {
                now: Timestamp::from_millis(i64::MAX),
                ..session()
            },
            "error",
        ),
    ];
    for (subject, tool, arguments, session, expected) in rows {
        let arguments = object(arguments.clone());
        let question = Question {
            subject,
            plugin: plugin_of(tool),
            tool,
            arguments: &arguments,
            session: &session,
        };
        assert_eq!(
            said(&policies.decide(&question)),
            expected,
            "{tool} {arguments:?} {session:?}"
        );
    }
}

#[test]
fn of_several_permits_the_strictest_of_each_obligation_counts() {
    let policies = policies(RULES);
    let ci = subject("builder", &["ci"]);
    let found = decide(
        &policies,
        &ci,
        "devops__deploy",
        json!({"environment": "production"}),
    );
    let limit = Limit {
        rule: "ci-deploys".to_owned(),
        kind: LimitKind::Rate(Rate {
            calls: 4,
            per_ms: 3_600_000,
        }),
    };
    let expected = Obligations {
        approval: Some(Approval {
            groups: vec!["ops".to_owned()],
            approvals: 1,
        }),
        limits: vec![limit],
        timeout_ms: Some(30_000),
        max_attempts: Some(5),
        ..Obligations::default()
    };
    assert_eq!(found.obligations, expected);

    let two = super::policies(
        r#"@id("a") @requireApproval("x") @approvals("2") @maxArguments("2KiB") @quota("9/1d") @cooldown("2s")
           permit (principal, action, resource);
           @id("b") @requireApproval("w") @maxArguments("1MiB") @dryRunOnly @sandbox("strict") @quota("8/1d")
           permit (principal, action, resource);"#,
    );
    let found = decide(&two, &ci, "notes__read", json!({})).obligations;
    let groups = ["w", "x"].map(str::to_owned).to_vec();
    assert_eq!(
        found.approval,
        Some(Approval {
            groups,
            approvals: 2
        })
    );
    assert_eq!(found.max_arguments_bytes, Some(2048));
    assert!(found.dry_run_only && found.strict_sandbox);
    let limits: Vec<_> = found
        .limits
        .iter()
        .map(|limit| (limit.rule.as_str(), limit.kind))
        .collect();
    let day = |calls| {
        LimitKind::Quota(Rate {
            calls,
            per_ms: 86_400_000,
        })
    };
    let cooldown = LimitKind::Cooldown(2_000);
    assert_eq!(limits, [("a", cooldown), ("a", day(9)), ("b", day(8))]);
}
