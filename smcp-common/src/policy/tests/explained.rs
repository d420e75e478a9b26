//! Why, and what would make it allowed.

use serde_json::json;

use super::*;

#[test]
fn each_clause_of_a_near_miss_says_whether_it_holds() {
    let rule = r#"// A comment.
@id("near")
permit (principal in Smcp::Group::"ci", action == Smcp::Action::"devops__deploy", resource == Smcp::Plugin::"devops")
when { context.input has count && context.input.count > 3 && context.session.weekday != 6 }
unless { context.session.dry_run || context.session.via == "schedule" };"#;
    let policies = policies(rule);
    let (who, session) = (
        subject("x", &["ci"]),
        Session {
            dry_run: true,
            ..session()
        },
    );
    let explained = |arguments| {
        let arguments = object(arguments);
        let question = Question {
            subject: &who,
            plugin: "devops",
            tool: "devops__deploy",
            arguments: &arguments,
            session: &session,
        };
        policies.explain(&question)
    };
    let explanation = explained(json!({"count": 3}));
    assert_eq!(explanation.decision.verdict, Verdict::Deny);
    let rules: Vec<_> = explanation
        .rules
        .iter()
        .map(|rule| (rule.id.as_str(), rule.applies))
        .collect();
    assert_eq!(
        rules,
        [
            ("builtin:operators-may-do-everything", Some(false)),
            ("builtin:users-may-call-what-destroys-nothing", Some(false)),
            ("near", Some(false)),
        ]
    );
    let near = &explanation.rules[2];
    assert_eq!((near.line, near.effect.as_str()), (2, "permit"));
    assert!(near.text.starts_with("@id(\"near\")\npermit ("));
    let clauses: Vec<_> = near
        .clauses
        .iter()
        .map(|clause| (clause.text.as_str(), clause.holds))
        .collect();
    assert_eq!(
        clauses,
        [
            ("principal in Smcp::Group::\"ci\"", Some(true)),
            ("resource == Smcp::Plugin::\"devops\"", Some(true)),
            ("context.input has count", Some(true)),
            ("context.input.count > 3", Some(false)),
            ("context.session.weekday != 6", Some(true)),
            ("!context.session.dry_run", Some(false)),
            ("!(context.session.via == \"schedule\")", Some(true)),
        ]
    );
    let without = explained(json!({}));
    assert_eq!(without.rules[2].clauses[2].holds, Some(false));
    assert_eq!(without.rules[2].clauses[3].holds, None);
}
