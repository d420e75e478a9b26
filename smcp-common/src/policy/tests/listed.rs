//! What some arguments and some time could allow an agent.

use serde_json::json;

use super::decisions::RULES;
use super::*;

#[test]
fn what_is_listed_is_what_some_arguments_and_time_could_allow() {
    let policies = policies(&format!(
        "{RULES}\n@id(\"never\") forbid (principal in Smcp::Group::\"users\", action == Smcp::Action::\"notes__read\", resource);"
    ));
    let listed = |who: &Subject| policies.listed(who).iter().cloned().collect::<Vec<_>>();
    assert_eq!(
        listed(&subject("local", &["users"])),
        ["devops__deploy", "devops__drop", "jobs__list", "shell__run"]
    );
    assert_eq!(
        listed(&subject("builder", &["ci"])),
        ["devops__deploy", "jobs__list"]
    );
    assert_eq!(listed(&subject("new", &[])), ["jobs__list"]);
    assert_eq!(listed(&subject("operator", &["operators"])).len(), 6);
}

#[test]
fn nothing_that_is_allowed_is_not_listed() {
    let policies = policies(RULES);
    for groups in [&["users"][..], &["ci"], &["operators"], &[]] {
        let who = subject("bob", groups);
        let listed = policies.listed(&who);
        for tool in tools() {
            for arguments in [
                json!({}),
                json!({"environment": "production"}),
                json!({"count": 3}),
            ] {
                let verdict = decide(&policies, &who, &tool.name, arguments).verdict;
                let may = matches!(verdict, Verdict::Allow | Verdict::Approval);
                assert!(
                    !may || listed.contains(&tool.name),
                    "{groups:?} {}",
                    tool.name
                );
            }
        }
    }
}

#[test]
fn what_an_agent_may_do_names_the_rules_that_matter() {
    let policies = policies(RULES);
    let of = |who: &Subject| {
        let told = policies.effective(who).into_iter().map(|effective| {
            let names = |rules: &[EffectiveRule]| {
                let mark = |conditional| if conditional { "?" } else { "" };
                let names = rules
                    .iter()
                    .map(|rule| format!("{}{}", rule.id, mark(rule.conditional)));
                names.collect::<Vec<_>>().join(" ")
            };
            format!(
                "{}: {} / {}",
                effective.tool,
                names(&effective.permits),
                names(&effective.forbids)
            )
        });
        told.collect::<Vec<_>>()
    };
    assert_eq!(
        of(&subject("bob", &["users"])),
        [
            "devops__deploy: builtin:users-may-call-what-destroys-nothing / not-from-schedules? too-many?",
            "devops__drop: bob-may-drop / inside-only? not-from-schedules?",
            "jobs__list: builtin:everybody-may-follow-its-own / ",
            "notes__read: builtin:users-may-call-what-destroys-nothing / ",
            "shell__run: builtin:users-may-call-what-destroys-nothing / nobody-removes? on-sundays-nobody-runs?",
        ]
    );
    assert_eq!(
        of(&subject("builder", &["ci"])),
        [
            "devops__deploy: ci-deploys? ci-stages? / not-from-schedules? too-many?",
            "jobs__list: builtin:everybody-may-follow-its-own / ",
        ]
    );
}
