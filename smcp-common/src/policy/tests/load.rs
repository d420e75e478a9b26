//! Rules that are not accepted, and what is said of them.

use serde_json::json;

use super::*;

/// Everything that is said of rules as an edit.
fn said(text: &str) -> Vec<String> {
    match Policies::compile(&[file(text)], &tools(), chrono_tz::Tz::UTC) {
        Ok(policies) => {
            let names = Names {
                agents: ["local".to_owned()].into(),
                groups: ["users".to_owned()].into(),
            };
            let problems = policies.problems_as(Edit::default(), &names);
            problems.iter().map(ToString::to_string).collect()
        }
        Err(Fault::Rules(problems)) => problems.iter().map(ToString::to_string).collect(),
        Err(fault @ (Fault::Internal(_) | Fault::Zone(_))) => panic!("{fault}"),
    }
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_place() {
    let rows = [
        (
            "permit (principal, action, resource);",
            "rules.cedar:1:1: a rule needs a name: @id(\"what-it-does\")",
        ),
        (
            "@id(\"a b\") permit (principal, action, resource);",
            "rules.cedar:1:1: rule a b: @id(\"a b\") must be 1 to 128 of A-Z a-z 0-9 - _ . : /",
        ),
        (
            "@id(\"builtin:x\") permit (principal, action, resource);",
            "rules.cedar:1:1: rule builtin:x: an id that begins with builtin: is for built-in rules",
        ),
        (
            "@id(\"é\")\npermit (principal, action == , resource);",
            "rules.cedar:2:30: unexpected token `,`",
        ),
        (
            "@id(\"a\") permit (principal, action, resource);\n @id(\"a\") permit (principal, action, resource);",
            "rules.cedar:2:2: rule a: there is another rule of this id in rules.cedar:1:1",
        ),
        (
            "@id(\"a\")\n  permit (principal == ?principal, action, resource);",
            "rules.cedar:1:1: a template",
        ),
        (
            "@id(\"a\") @dry_run_only permit (principal, action, resource);",
            "rules.cedar:1:10: rule a: @dry_run_only is not known; there are: @id,",
        ),
        (
            "@id(\"a\") @rate(\"1/h\") permit (principal, action, resource);",
            "rules.cedar:1:10: rule a: @rate cannot be used: 'h' is not a time",
        ),
        (
            "@id(\"a\") @rate(\"0/1h\") permit (principal, action, resource);",
            "@rate cannot be used: '0/1h' must allow",
        ),
        (
            "@id(\"a\") @cooldown(\"+5s\") permit (principal, action, resource);",
            "@cooldown cannot be used: '+5s'",
        ),
        (
            "@id(\"a\") @timeout(\"9999999999999999999d\") permit (principal, action, resource);",
            "@timeout is",
        ),
        (
            "@id(\"a\") @maxArguments(\"1GB\") permit (principal, action, resource);",
            "@maxArguments is \"1GB\", but must be a size",
        ),
        (
            "@id(\"a\") @dryRunOnly(\"no\") permit (principal, action, resource);",
            "@dryRunOnly takes no value",
        ),
        (
            "@id(\"a\") @sandbox(\"lax\") permit (principal, action, resource);",
            "@sandbox is \"lax\", but can only be \"strict\"",
        ),
        (
            "@id(\"a\") @requireApproval permit (principal, action, resource);",
            "@requireApproval needs the name of a group",
        ),
        (
            "@id(\"a\") @approvals(\"2\") permit (principal, action, resource);",
            "@approvals needs @requireApproval",
        ),
        (
            "@id(\"a\") @approvals(\"0\") @requireApproval(\"users\") permit (principal, action, resource);",
            "@approvals is \"0\"",
        ),
        (
            "@id(\"a\") @rate(\"1/1h\") forbid (principal, action, resource);",
            "rules.cedar:1:10: rule a: @rate asks for something, which only a permit can",
        ),
        (
            "@id(\"a\") permit (principal, action == Smcp::Action::\"devops__deplyo\", resource);",
            "rules.cedar:1:39: rule a: unrecognized action `Smcp::Action::\"devops__deplyo\"` (did you mean `Smcp::Action::\"devops__deploy\"`?)",
        ),
        (
            "@id(\"a\") permit (principal, action == Smcp::Action::\"devops__deploy\", resource)\nwhen { context.input.env == \"x\" };",
            "rules.cedar:2:8: rule a: attribute `input.env` in context for Smcp::Action::\"devops__deploy\" not found",
        ),
        (
            "@id(\"a\") permit (principal, action == Smcp::Action::\"devops__deploy\", resource)\nwhen { context.input.count > 3 };",
            "rules.cedar:2:8: rule a: unable to guarantee safety of access to optional attribute",
        ),
        (
            "@id(\"a\") permit (principal in Smcp::Role::\"x\", action, resource);",
            "unrecognized entity type `Smcp::Role`",
        ),
        (
            "@id(\"a\") permit (principal, action == Smcp::Action::\"devops__deploy\", resource)\nwhen { context.input has environment && context.input.environment == \"prod\" };",
            "rules.cedar:2:70: rule a: context.input.environment of devops__deploy is never \"prod\", but one of \"staging\", \"production\"",
        ),
        (
            "@id(\"a\") forbid (principal, action == Smcp::Action::\"devops__deploy\", resource)\nunless { context.input has environment && [\"test\", \"staging\"].contains(context.input.environment) };",
            "is never \"test\"",
        ),
        (
            "@id(\"a\") forbid (principal, action == Smcp::Action::\"call\", resource);",
            "rules.cedar:1:1: rule a: it never applies: Smcp::Action::\"call\" is a group, which no call is equal to (write: action in Smcp::Action::\"call\")",
        ),
        (
            "@id(\"a\") forbid (principal, action, resource) when { context.session.weekday > 0 && false };",
            "rules.cedar:1:1: rule a: it never applies: its condition is false for every call",
        ),
    ];
    for (text, expected) in rows {
        let said = said(text);
        assert!(
            said.iter()
                .any(|line| line.contains(expected) && !line.contains(": warning: ")),
            "{text}\n{said:#?}"
        );
    }
}

#[test]
fn what_may_be_meant_is_a_warning() {
    let rows = [
        (
            "@id(\"a\") permit (principal, action == Smcp::Action::\"call\", resource);",
            "rules.cedar:1:1: warning: rule a: it never applies",
        ),
        (
            "@id(\"a\") permit (principal in Smcp::Group::\"nope\", action, resource);",
            "rules.cedar:1:31: warning: rule a: no agent is in a group 'nope' yet",
        ),
        (
            "@id(\"a\") permit (principal == Smcp::Agent::\"nope\", action, resource);",
            "warning: rule a: there is no agent 'nope' yet",
        ),
        (
            "@id(\"a\") permit (principal, action, resource == Smcp::Plugin::\"nope\");",
            "warning: rule a: there is no plugin 'nope' now",
        ),
        (
            "@id(\"a\") @requireApproval(\"nope\") permit (principal, action, resource);",
            "rules.cedar:1:10: warning: rule a: no agent is in the group 'nope', so that nobody can approve",
        ),
        (
            "@id(\"a\") permit (principal, action, resource) when { context.session.transport == \"прoduction\" };",
            "warning: rule a: ",
        ),
    ];
    for (text, expected) in rows {
        let said = said(text);
        assert!(
            said.len() == 1 && said[0].contains(expected),
            "{text}\n{said:#?}"
        );
    }
    let fine = "@id(\"a\") forbid (principal in Smcp::Group::\"users\", action in [Smcp::Action::\"read_only\", Smcp::Action::\"plugin__devops\"], resource);";
    assert_eq!(said(fine), Vec::<String>::new());
}

#[test]
fn a_forbid_for_tools_to_come_is_accepted() {
    let tools = [action("a__b", &[], &json!({}))];
    let rule = "@id(\"a\") forbid (principal, action in Smcp::Action::\"destructive\", resource);";
    let policies = Policies::compile(&[file(rule)], &tools, chrono_tz::Tz::UTC).unwrap();
    let problems = policies.problems_as(Edit::default(), &Names::default());
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].level, Level::Warning);
}

#[test]
fn before_any_plugin_is_known_a_forbid_for_their_tools_is_accepted() {
    let builtin = tools()
        .into_iter()
        .filter(|tool| tool.plugin == BUILTIN_PLUGIN);
    let builtin: Vec<_> = builtin.collect();
    let rule = "@id(\"a\") forbid (principal, action, resource) when { action in Smcp::Action::\"call\" };";
    let policies = Policies::compile(&[file(rule)], &builtin, chrono_tz::Tz::UTC).unwrap();
    let problems = policies.problems_as(Edit::default(), &Names::default());
    assert_eq!((problems.len(), problems[0].level), (1, Level::Warning));
}

#[test]
fn an_id_is_unique_over_files() {
    let rule = "\n\n@id(\"a\") permit (principal, action, resource);";
    let files = ["one.cedar", "two.cedar"].map(|name| RuleFile {
        name: name.to_owned(),
        text: rule.to_owned(),
    });
    let fault = Policies::compile(&files, &tools(), chrono_tz::Tz::UTC).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "two.cedar:3:1: rule a: there is another rule of this id in one.cedar:3:1"
    );
}

#[test]
fn no_name_of_a_file_makes_rules_built_in() {
    let file = RuleFile {
        name: "builtin".to_owned(),
        text: "@id(\"builtin:x\") permit (principal, action, resource);".to_owned(),
    };
    let fault = Policies::compile(&[file], &tools(), chrono_tz::Tz::UTC).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "builtin:1:1: rule builtin:x: an id that begins with builtin: is for built-in rules"
    );
}

const NAMING: &str = r#"
@id("known") forbid (principal, action == Smcp::Action::"notes__read", resource);
@id("gone") forbid (principal, action in [Smcp::Action::"notes__read", Smcp::Action::"devops__drop"], resource);
"#;

#[test]
fn when_the_tools_change_rules_stay_and_are_marked() {
    let only = [action("notes__read", &[], &json!({}))];
    let after = Policies::compile(&[file(NAMING)], &only, chrono_tz::Tz::UTC).unwrap();
    let problems = after.problems(&Names::default());
    assert_eq!(problems.len(), 1);
    assert_eq!(
        (problems[0].level, problems[0].rule.as_deref()),
        (Level::Stale, Some("gone"))
    );
    let decision = decide(
        &after,
        &subject("o", &["operators"]),
        "notes__read",
        json!({}),
    );
    assert_eq!(decision.rules, ["gone", "known"]);

    // As an edit they are refused, but what was there before does not keep others from being edited.
    let levels = |edit| {
        after
            .problems_as(edit, &Names::default())
            .iter()
            .map(|problem| problem.level)
            .collect::<Vec<_>>()
    };
    assert_eq!(levels(Edit::default()), [Level::Error]);
    let allow_missing = Edit {
        of: None,
        allow_missing: true,
    };
    assert_eq!(levels(allow_missing), [Level::Stale]);
    let before = policies(NAMING);
    assert_eq!(
        levels(Edit {
            of: Some(&before),
            allow_missing: false
        }),
        [Level::Stale]
    );
    let other = policies(
        "@id(\"gone\") forbid (principal, action == Smcp::Action::\"devops__drop\", resource);",
    );
    assert_eq!(
        levels(Edit {
            of: Some(&other),
            allow_missing: false
        }),
        [Level::Error]
    );
}

#[test]
fn the_hash_is_that_of_the_meaning() {
    let hash = |texts: &[&str]| {
        let files: Vec<_> = texts
            .iter()
            .enumerate()
            .map(|(n, text)| RuleFile {
                name: format!("{n}.cedar"),
                text: (*text).to_owned(),
            })
            .collect();
        Policies::compile(&files, &tools(), chrono_tz::Tz::UTC)
            .unwrap()
            .hash()
            .to_owned()
    };
    let (a, b) = (
        "@id(\"a\") @rate(\"1/1h\") permit (principal, action, resource) when { context.session.weekday < 6 };",
        "@id(\"b\") forbid (principal, action, resource);",
    );
    let first = hash(&[a, b]);
    assert_eq!(hash(&[&format!("{b}\n// a comment\n{a}")]), first);
    assert_eq!(
        hash(&[
            "@rate(\"1/1h\")\n@id(\"a\")\npermit(principal,action,resource)when{context.session.weekday<6};",
            b
        ]),
        first
    );
    for other in [
        a.replace("weekday < 6", "weekday < 7"),
        a.replace("1/1h", "2/1h"),
        a.replace("\"a\"", "\"c\""),
    ] {
        assert_ne!(hash(&[&other, b]), first, "{other}");
    }
    assert_ne!(hash(&[a]), first);
    let elsewhere =
        Policies::compile(&[file(a), file(b)], &tools(), chrono_tz::Tz::Asia__Tokyo).unwrap();
    assert_ne!(elsewhere.hash(), first);
    let fewer_tools =
        Policies::compile(&[file(a), file(b)], &tools()[..1], chrono_tz::Tz::UTC).unwrap();
    assert_eq!(fewer_tools.hash(), first);
}
