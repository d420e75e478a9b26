//! Which stored secrets a plugin wants: `plugin.secrets`, and what a command narrows them to.

use serde_json::Value;

use super::Problem;
use super::command::Command;
use super::fields::{Fields, Findings};
use crate::plugin::secret::is_taken;
use crate::plugin::{SecretForm, SecretWish};
use crate::secret::check_name;

pub(super) const SECRET_KEYS: [&str; 4] = ["name", "as", "required", "variable"];

/// The secrets that the plugin declares.
pub(super) fn plugin(fields: &mut Fields<'_, '_>) -> Vec<SecretWish> {
    let mut wishes: Vec<SecretWish> = Vec::new();
    for (i, value) in fields
        .array("secrets")
        .unwrap_or_default()
        .iter()
        .enumerate()
    {
        let path = fields.at(&format!("secrets[{i}]"));
        let Some(wish) = read(value, &path, fields.findings()) else {
            continue;
        };
        let mut twice = |what: &str| fields.problem(format!("{path} {what}"));
        if wishes.iter().any(|known| known.name == wish.name) {
            twice(&format!("declares {} a second time", wish.name));
        } else if wishes.iter().any(|known| known.variable == wish.variable) {
            twice(&format!(
                "goes into the variable {}, which has another one already",
                wish.variable
            ));
        } else {
            wishes.push(wish);
        }
    }
    wishes
}

/// The names of those that the command wants; `None` where it does not say.
pub(super) fn command(fields: &mut Fields<'_, '_>) -> Option<Vec<String>> {
    let names = fields.array("secrets")?;
    let mut wanted = Vec::new();
    for (i, name) in names.iter().enumerate() {
        match name.as_str() {
            Some(name) => wanted.push(name.to_owned()),
            None => fields.wrong(&format!("secrets[{i}]"), "must be the name of a secret"),
        }
    }
    Some(wanted)
}

/// The names of the secrets that calls of the command may hand over.
pub(super) fn stores(fields: &mut Fields<'_, '_>) -> Vec<String> {
    let mut names = Vec::new();
    for (i, value) in fields
        .array("stores")
        .unwrap_or_default()
        .iter()
        .enumerate()
    {
        let name = value.as_str().unwrap_or_default();
        // With nothing before the *, it would be every secret of the caller.
        if check_name(name.strip_suffix('*').unwrap_or(name)).is_ok() {
            names.push(name.to_owned());
        } else {
            fields.wrong(
                &format!("stores[{i}]"),
                "must be the name of a secret, with a * at its end at most",
            );
        }
    }
    names
}

/// Notes what commands want and the plugin does not declare.
pub(super) fn check(commands: &[Command], declared: &[SecretWish], findings: &mut Findings) {
    for command in commands {
        for name in command.secrets.iter().flatten() {
            if !declared.iter().any(|wish| wish.name == *name) {
                findings.problems.push(Problem(format!(
                    "the command '{}' wants the secret {name}, which plugin.secrets does not declare",
                    command.name
                )));
            }
        }
    }
}

fn read(value: &Value, path: &str, findings: &mut Findings) -> Option<SecretWish> {
    if let Value::String(name) = value {
        return wish(name, SecretForm::default(), true, None, path, findings);
    }
    let Value::Object(_) = value else {
        let problem = format!("{path} must be the name of a secret, or an object");
        findings.problems.push(Problem(problem));
        return None;
    };
    let mut fields = Fields::of_value(value, path.to_owned(), &SECRET_KEYS, findings)?;
    fields.refuse_others();
    let name = fields.name();
    let form = fields.one_of("as", &SecretForm::ALL, SecretForm::as_str);
    let required = fields.boolean("required").unwrap_or(true);
    let variable = fields.filled("variable");
    wish(
        name?,
        form.unwrap_or_default(),
        required,
        variable,
        path,
        findings,
    )
}

fn wish(
    name: &str,
    form: SecretForm,
    required: bool,
    variable: Option<&str>,
    path: &str,
    findings: &mut Findings,
) -> Option<SecretWish> {
    let mut problem = |text: String| findings.problems.push(Problem(format!("{path}: {text}")));
    if let Err(error) = check_name(name) {
        problem(error.to_string());
        return None;
    }
    let variable = variable.unwrap_or(name);
    if check_name(variable).is_err() {
        problem(format!(
            "'{variable}' cannot be the name of an environment variable"
        ));
        return None;
    }
    if is_taken(variable) {
        problem(format!(
            "the variable {variable} says how the plugin is run; name another one by 'variable'"
        ));
        return None;
    }
    Some(SecretWish {
        name: name.to_owned(),
        form,
        required,
        variable: variable.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plugin::Manifest;

    fn parsed(secrets: &Value, of_command: &Value) -> Result<Manifest, Vec<String>> {
        let document = json!({"plugin": {"name": "p", "secrets": secrets},
                              "commands": [{"name": "c", "secrets": of_command}]});
        Manifest::parse(&document)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_secret_is_a_name_or_says_how_it_is_passed() {
        let declared = json!(["TOKEN", {"name": "key", "as": "file", "required": false, "variable": "KEY_FILE"},
                              {"name": "LETTA_API_KEY"}]);
        let manifest = parsed(&declared, &json!(["key"])).unwrap();
        let wish = |name: &str, form, required, variable: &str| SecretWish {
            name: name.into(),
            form,
            required,
            variable: variable.into(),
        };
        assert_eq!(
            manifest.secrets,
            [
                wish("TOKEN", SecretForm::Env, true, "TOKEN"),
                wish("key", SecretForm::File, false, "KEY_FILE"),
                wish("LETTA_API_KEY", SecretForm::Env, true, "LETTA_API_KEY"),
            ]
        );
        let stored = serde_json::to_value(&manifest.secrets).unwrap();
        assert_eq!(stored[1], declared[1]);
        let (tools, _) = manifest.into_tools("p");
        assert_eq!(tools[0].secrets, Some(vec!["key".to_owned()]));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let declared = json!([1, "2x", "PATH", {"as": "env"}, {"name": "A", "as": "x"}, "A", {"name": "B", "variable": "A"},
                              {"name": "C", "variable": "c-d"}, {"name": "D", "reqired": true}]);
        let problems = parsed(&declared, &json!(["Z", 1])).unwrap_err();
        insta::assert_snapshot!(problems.join("\n"), @r"
        plugin.secrets[0] must be the name of a secret, or an object
        plugin.secrets[1]: '2x' cannot be the name of a secret: it must be letters, digits and _, not begin with a digit, and have at most 128 characters
        plugin.secrets[2]: the variable PATH says how the plugin is run; name another one by 'variable'
        plugin.secrets[3].name is required
        plugin.secrets[4].as 'x' is not one of env|file
        plugin.secrets[5] declares A a second time
        plugin.secrets[6] goes into the variable A, which has another one already
        plugin.secrets[7]: 'c-d' cannot be the name of an environment variable
        plugin.secrets[8]: unknown key 'reqired'
        commands[0].secrets[1] must be the name of a secret
        the command 'c' wants the secret Z, which plugin.secrets does not declare
        ");
    }

    #[test]
    fn a_command_says_which_secrets_it_hands_over() {
        let with = |stores: Value| {
            let document =
                json!({"plugin": {"name": "p"}, "commands": [{"name": "c", "stores": stores}]});
            Manifest::parse(&document)
        };
        let manifest = with(json!(["TOKEN", "BOT_*"])).unwrap();
        let (tools, _) = manifest.into_tools("p");
        for (name, may) in [
            ("TOKEN", true),
            ("TOKEN_2", false),
            ("BOT_", true),
            ("BOT_A", true),
            ("BOT", false),
        ] {
            assert_eq!(tools[0].may_store(name), may, "{name}");
        }
        let problems = with(json!(["*", "A*B", "", 1])).unwrap_err();
        let shown: Vec<_> = problems.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(shown.join("\n"), @r"
        commands[0].stores[0] must be the name of a secret, with a * at its end at most
        commands[0].stores[1] must be the name of a secret, with a * at its end at most
        commands[0].stores[2] must be the name of a secret, with a * at its end at most
        commands[0].stores[3] must be the name of a secret, with a * at its end at most
        ");
    }
}
