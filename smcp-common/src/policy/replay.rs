//! Deciding about a call once more, of which not all arguments are known any more: audit records show no secrets.

use serde_json::{Map, Value, json};

use super::{Grant, Policies, Question, Rejection};

/// What is known of the arguments of a call.
#[derive(Debug, Clone, Copy)]
pub enum Known<'k> {
    /// All of them, but for the values of these.
    AllBut(&'k [String]),
    /// Nothing.
    Nothing,
}

impl Policies {
    /// Decides about a call as [`Policies::grant`] does, where what is not known makes no difference. What is said of its
    /// arguments that are not known does not count.
    ///
    /// # Errors
    /// The names of the arguments that would have to be known; empty where none of a call's arguments are.
    pub fn replay(
        &self,
        question: &Question<'_>,
        known: Known<'_>,
    ) -> Result<Result<Grant, Rejection>, Vec<String>> {
        let Some(tool) = self.governed(question) else {
            return Ok(self.grant(question));
        };
        let reads = |name: Option<&str>| {
            let mut rules = self.rules_of(tool);
            rules.any(|rule| is_read(&rule.json["conditions"], name))
        };
        let (mut arguments, blanks): (_, Vec<String>) = match known {
            Known::Nothing if reads(None) => return Err(Vec::new()),
            Known::Nothing => {
                let required = tool.fields.required();
                (Map::new(), required.map(str::to_owned).collect())
            }
            Known::AllBut(names) => {
                let read = names.iter().filter(|name| reads(Some(name)));
                let read: Vec<_> = read.cloned().collect();
                if !read.is_empty() {
                    return Err(read);
                }
                (question.arguments.clone(), names.to_vec())
            }
        };
        let is_complete = matches!(known, Known::AllBut([]));
        for name in blanks {
            match tool.fields.blank(&name) {
                Some(blank) => arguments.insert(name, blank),
                None => arguments.remove(&name),
            };
        }
        let question = Question {
            arguments: &arguments,
            ..*question
        };
        let decision = self.decide(&question);
        // Nobody knows how large they were.
        if decision.obligations.max_arguments_bytes.is_some() && !is_complete {
            return Err(match known {
                Known::Nothing => Vec::new(),
                Known::AllBut(names) => names.to_vec(),
            });
        }
        Ok(self.judge(&question, decision))
    }
}

/// Whether a condition looks at the argument of that name; at any argument without a name.
fn is_read(expression: &Value, name: Option<&str>) -> bool {
    let input = json!({".": {"left": {"Var": "context"}, "attr": "input"}});
    match expression {
        Value::Object(fields) => fields.iter().any(|(operator, operands)| {
            let is_access = matches!(operator.as_str(), "." | "has");
            let attribute = operands["attr"].as_str();
            if is_access && operands["left"] == input {
                return name.is_none() || attribute == name;
            }
            if is_access && operands["left"]["Var"] == "context" {
                // What is not declared is shown as one text.
                return matches!(attribute, Some("input" | "undeclared"));
            }
            (operator == "Var" && operands == "context") || is_read(operands, name)
        }),
        Value::Array(items) => items.iter().any(|item| is_read(item, name)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{action, file, object, plugin_of, session, subject};
    use super::*;

    fn policies(rest: &str) -> Policies {
        let properties = json!({"secret": {"type": "string"}, "n": {"type": "integer"}, "ports": {"type": "array"}});
        let mut tool = action("t__t", &[], &properties);
        tool.input_schema["required"] = json!(["secret", "n", "ports"]);
        let (annotation, conditions) = rest.split_once(';').unwrap_or(("", rest));
        let rule =
            format!("@id(\"r\") {annotation} permit (principal, action, resource) {conditions};");
        Policies::compile(&[file(&rule)], &[tool], chrono_tz::Tz::UTC).unwrap()
    }

    fn replayed(
        rest: &str,
        arguments: Value,
        known: Known<'_>,
    ) -> Result<&'static str, Vec<String>> {
        let (arguments, session, subject) = (object(arguments), session(), subject("a", &[]));
        let question = Question {
            subject: &subject,
            plugin: plugin_of("t__t"),
            tool: "t__t",
            arguments: &arguments,
            session: &session,
        };
        let judged = policies(rest).replay(&question, known)?;
        Ok(judged.map_or_else(|rejection| rejection.code, |grant| grant.as_str()))
    }

    #[test]
    fn what_is_not_shown_matters_only_where_a_rule_looks_at_it() {
        let call = json!({"secret": "[redacted]", "n": 3, "ports": []});
        let hidden = ["secret".to_owned()];
        let but = Known::AllBut(&hidden);
        let missed = Err(vec!["secret".to_owned()]);
        let rows = [
            ("", Ok("allow")),
            ("when { context.input.n == 3 }", Ok("allow")),
            ("when { context.input.n == 4 }", Ok("not_allowed")),
            ("when { context.input.secret == \"x\" }", missed.clone()),
            ("when { context.input has secret }", missed.clone()),
            ("unless { context.session.dry_run }", Ok("allow")),
            ("@dryRunOnly;", Ok("dry_run_only")),
            // How large a secret was is not known either.
            ("@maxArguments(\"1KiB\");", missed.clone()),
        ];
        for (conditions, expected) in rows {
            assert_eq!(
                replayed(conditions, call.clone(), but),
                expected,
                "{conditions}"
            );
        }
        let nothing =
            |conditions| replayed(conditions, json!({"omitted_bytes": 5000}), Known::Nothing);
        assert_eq!(
            nothing("when { context.session.weekday == 1 }"),
            Ok("allow")
        );
        assert_eq!(nothing("when { context.input.n == 3 }"), Err(Vec::new()));
        assert_eq!(nothing("@maxArguments(\"1KiB\");"), Err(Vec::new()));
    }

    #[test]
    fn what_is_all_known_is_decided_as_ever() {
        let call = json!({"secret": "s", "n": 3, "ports": ["a"]});
        for (rest, expected) in [
            ("when { context.input.n == 3 }", "allow"),
            ("when { context.input.n == 4 }", "not_allowed"),
            ("@requireApproval(\"ops\");", "approval"),
            ("@maxArguments(\"1KiB\");", "allow"),
            ("@maxArguments(\"9B\");", "arguments_too_large"),
        ] {
            let found = replayed(rest, call.clone(), Known::AllBut(&[]));
            assert_eq!(found, Ok(expected), "{rest}");
        }
    }
}
