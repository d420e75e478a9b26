//! Deciding about a call once more, of which not all arguments are known any more: audit records show no secrets.

use serde_json::{Map, Value, json};

use super::{Decision, Policies, Question};

/// What is known of the arguments of a call.
#[derive(Debug, Clone, Copy)]
pub enum Known<'k> {
    /// All of them, but for the values of these.
    AllBut(&'k [String]),
    /// Nothing.
    Nothing,
}

impl Policies {
    /// Decides about a call as [`Policies::decide`] does, where what is not known makes no difference. What is said of its
    /// arguments that are not known does not count.
    ///
    /// # Errors
    /// The names of the arguments that would have to be known; empty where none of a call's arguments are.
    pub fn replay(
        &self,
        question: &Question<'_>,
        known: Known<'_>,
    ) -> Result<Decision, Vec<String>> {
        let Some(tool) = self.governed(question) else {
            return Ok(self.decide(question));
        };
        let reads = |name: Option<&str>| {
            let mut rules = self.rules_of(tool);
            rules.any(|rule| is_read(&rule.json["conditions"], name))
        };
        let unknown: Vec<String> = match known {
            Known::Nothing if reads(None) => return Err(Vec::new()),
            Known::Nothing => tool.fields.required().map(str::to_owned).collect(),
            Known::AllBut(names) => names.to_vec(),
        };
        let missed: Vec<_> = match known {
            Known::Nothing => Vec::new(),
            Known::AllBut(names) => names
                .iter()
                .filter(|name| reads(Some(name)))
                .cloned()
                .collect(),
        };
        if !missed.is_empty() {
            return Err(missed);
        }
        let mut arguments: Map<_, _> = match known {
            Known::Nothing => Map::new(),
            Known::AllBut(_) => question.arguments.clone(),
        };
        for name in unknown {
            match tool.fields.blank(&name) {
                Some(blank) => arguments.insert(name, blank),
                None => arguments.remove(&name),
            };
        }
        Ok(self.decide(&Question {
            arguments: &arguments,
            ..*question
        }))
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
    use super::super::tests::{action, decide, file, object, plugin_of, session, subject};
    use super::*;
    use crate::policy::Verdict;

    fn policies(conditions: &str) -> Policies {
        let properties = json!({"secret": {"type": "string"}, "n": {"type": "integer"}, "ports": {"type": "array"}});
        let mut tool = action("t__t", &[], &properties);
        tool.input_schema["required"] = json!(["secret", "n", "ports"]);
        let rule = format!("@id(\"r\") permit (principal, action, resource) {conditions};");
        Policies::compile(&[file(&rule)], &[tool], chrono_tz::Tz::UTC).unwrap()
    }

    fn replayed(
        conditions: &str,
        arguments: Value,
        known: Known<'_>,
    ) -> Result<Verdict, Vec<String>> {
        let (arguments, session, subject) = (object(arguments), session(), subject("a", &[]));
        let question = Question {
            subject: &subject,
            plugin: plugin_of("t__t"),
            tool: "t__t",
            arguments: &arguments,
            session: &session,
        };
        let decided = policies(conditions).replay(&question, known);
        decided.map(|decision| decision.verdict)
    }

    #[test]
    fn what_is_not_shown_matters_only_where_a_rule_looks_at_it() {
        let call = json!({"secret": "[redacted]", "n": 3, "ports": []});
        let hidden = ["secret".to_owned()];
        let but = Known::AllBut(&hidden);
        let missed = Err(vec!["secret".to_owned()]);
        let rows = [
            ("", Ok(Verdict::Allow)),
            ("when { context.input.n == 3 }", Ok(Verdict::Allow)),
            ("when { context.input.n == 4 }", Ok(Verdict::Deny)),
            ("when { context.input.secret == \"x\" }", missed.clone()),
            ("when { context.input has secret }", missed.clone()),
            ("unless { context.session.dry_run }", Ok(Verdict::Allow)),
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
            Ok(Verdict::Allow)
        );
        assert_eq!(nothing("when { context.input.n == 3 }"), Err(Vec::new()));
    }

    #[test]
    fn what_is_all_known_is_decided_as_ever() {
        let all = policies("when { context.input.n == 3 }");
        let call = json!({"secret": "s", "n": 3, "ports": ["a"]});
        let decided = decide(&all, &subject("a", &[]), "t__t", call.clone());
        let replayed = replayed("when { context.input.n == 3 }", call, Known::AllBut(&[]));
        assert_eq!(replayed, Ok(decided.verdict));
    }
}
