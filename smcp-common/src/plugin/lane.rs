//! Lanes: jobs in one lane run one after the other, over all workers.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::parameter::canonical;
use super::{Kind, Parameter};

/// Which lane the calls of a tool run in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// The lane of the plugin, shared by its tools.
    #[default]
    Plugin,
    /// None: any number may run at once.
    Parallel,
    /// The lane that a template makes of the arguments.
    Template(Template),
}

impl Lane {
    /// The longest name of a lane, in bytes.
    pub const MAX_BYTES: usize = 200;

    /// The lane of a call of `plugin` with normalised `arguments`; `None` where the call waits for nobody.
    ///
    /// An argument that is absent renders as nothing, and a template that renders as nothing at all means the plugin's
    /// lane. A longer name than [`Lane::MAX_BYTES`] is cut, with a digest of the whole at its end to keep it unique.
    pub fn render(&self, plugin: &str, arguments: &Map<String, Value>) -> Option<String> {
        let name = match self {
            Self::Parallel => return None,
            Self::Plugin => String::new(),
            Self::Template(template) => template.render(arguments),
        };
        Some(bounded(if name.is_empty() {
            plugin.to_owned()
        } else {
            name
        }))
    }
}

/// A lane's name with arguments in braces, such as `deploy:{app-name}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Argument(String),
}

/// Why a lane template cannot be used. The messages follow the place of the template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// There is nothing in it.
    #[error("must not be empty")]
    Empty,
    /// A brace has no counterpart.
    #[error("has a brace without its counterpart")]
    Unbalanced,
    /// It refers to a parameter that the command does not declare.
    #[error("names '{0}', which is not a parameter of this command")]
    Undeclared(String),
    /// It refers to a list or an object, which make no name.
    #[error("names '{0}', of type {kind}; only a scalar can be part of a lane", kind = .1.as_str())]
    NotScalar(String, Kind),
    /// It refers to a secret, which would show in the lane's name.
    #[error("names '{0}', which is secret")]
    Secret(String),
}

impl Template {
    /// This template with its references checked against `parameters` and spelled as they are.
    ///
    /// # Errors
    /// [`TemplateError`] where a reference means no parameter, or one whose value cannot be in a name.
    pub fn resolve(self, parameters: &[Parameter]) -> Result<Self, TemplateError> {
        let parts = self.0.into_iter().map(|part| match part {
            Part::Text(text) => Ok(Part::Text(text)),
            Part::Argument(name) => {
                let wanted = canonical(&name);
                match parameters
                    .iter()
                    .find(|parameter| canonical(&parameter.name) == wanted)
                {
                    None => Err(TemplateError::Undeclared(name)),
                    Some(parameter) if parameter.secret => Err(TemplateError::Secret(name)),
                    Some(parameter) if matches!(parameter.kind, Kind::Array | Kind::Object) => {
                        Err(TemplateError::NotScalar(name, parameter.kind))
                    }
                    Some(parameter) => Ok(Part::Argument(parameter.name.clone())),
                }
            }
        });
        parts.collect::<Result<_, _>>().map(Self)
    }

    fn render(&self, arguments: &Map<String, Value>) -> String {
        let mut name = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => name.push_str(text),
                Part::Argument(argument) => match arguments.get(argument) {
                    None | Some(Value::Null) => {}
                    Some(Value::String(text)) => name.push_str(text),
                    Some(other) => name.push_str(&other.to_string()),
                },
            }
        }
        name
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        if text.trim().is_empty() {
            return Err(TemplateError::Empty);
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or(TemplateError::Unbalanced)?;
            if before.contains('}') || name.contains('{') {
                return Err(TemplateError::Unbalanced);
            }
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Argument(name.to_owned()));
            rest = after;
        }
        if rest.contains('}') {
            return Err(TemplateError::Unbalanced);
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }
}

impl TryFrom<String> for Template {
    type Error = TemplateError;

    fn try_from(text: String) -> Result<Self, TemplateError> {
        text.parse()
    }
}

impl From<Template> for String {
    fn from(template: Template) -> Self {
        template.to_string()
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Argument(name) => write!(f, "{{{name}}}"),
        })
    }
}

/// `name`, or what fits of it before a `~` and 16 hexadecimal digits of its digest.
fn bounded(mut name: String) -> String {
    const DIGEST_BYTES: usize = 8;
    if name.len() > Lane::MAX_BYTES {
        let digest = Sha256::digest(name.as_bytes());
        name.truncate(name.floor_char_boundary(Lane::MAX_BYTES - 1 - 2 * DIGEST_BYTES));
        name.push('~');
        for byte in digest.iter().take(DIGEST_BYTES) {
            // Writing to a String cannot fail.
            write!(name, "{byte:02x}").unwrap_or_default();
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plugin::manifest::tests::parameters;

    fn template(text: &str) -> Result<Lane, TemplateError> {
        let declared = parameters(&json!([
            {"name": "app_name"},
            {"name": "port", "type": "integer"},
            {"name": "dry-run", "type": "boolean"},
            {"name": "hosts", "type": "array"},
            {"name": "token", "secret": true},
        ]));
        text.parse::<Template>()?
            .resolve(&declared)
            .map(Lane::Template)
    }

    #[test]
    fn a_lane_is_the_plugin_nothing_or_made_of_the_arguments() {
        let arguments = json!({"app_name": "shop", "port": 80, "dry-run": true});
        let rows = [
            (Lane::Plugin, Some("devops")),
            (Lane::Parallel, None),
            (template("telethon").unwrap(), Some("telethon")),
            (template("deploy:{app-name}").unwrap(), Some("deploy:shop")),
            (
                template("{app_name}:{port}/{dry_run}").unwrap(),
                Some("shop:80/true"),
            ),
        ];
        for (lane, expected) in rows {
            assert_eq!(
                lane.render("devops", arguments.as_object().unwrap())
                    .as_deref(),
                expected,
                "{lane:?}"
            );
        }
    }

    #[test]
    fn an_absent_argument_renders_as_nothing() {
        assert_eq!(
            template("deploy:{port}")
                .unwrap()
                .render("devops", &Map::new())
                .unwrap(),
            "deploy:"
        );
        assert_eq!(
            template("{port}")
                .unwrap()
                .render("devops", &Map::new())
                .unwrap(),
            "devops"
        );
    }

    #[test]
    fn a_template_that_cannot_work_is_refused() {
        let rows = [
            ("", TemplateError::Empty),
            (" ", TemplateError::Empty),
            ("a{", TemplateError::Unbalanced),
            ("a}", TemplateError::Unbalanced),
            ("}a{port}", TemplateError::Unbalanced),
            ("{a{port}}", TemplateError::Unbalanced),
            ("{}", TemplateError::Undeclared(String::new())),
            ("{nope}", TemplateError::Undeclared("nope".to_owned())),
            (
                "{hosts}",
                TemplateError::NotScalar("hosts".to_owned(), Kind::Array),
            ),
            ("{token}", TemplateError::Secret("token".to_owned())),
        ];
        for (text, expected) in rows {
            assert_eq!(template(text), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn a_long_lane_is_cut_and_stays_unique() {
        let lane = template("{app-name}").unwrap();
        let render = |name: String| {
            lane.render("p", json!({"app_name": name}).as_object().unwrap())
                .unwrap()
        };
        let (one, other) = (render("ä".repeat(200)), render("ä".repeat(201)));
        assert!(
            one.len() <= Lane::MAX_BYTES && other.len() <= Lane::MAX_BYTES,
            "{} {}",
            one.len(),
            other.len()
        );
        assert_ne!(one, other);
        assert_eq!(render("a".repeat(200)), "a".repeat(200));
    }

    #[test]
    fn a_lane_is_stored_as_it_was_written() {
        let stored = serde_json::to_value(template("deploy:{app-name}").unwrap()).unwrap();
        assert_eq!(stored, json!({"template": "deploy:{app_name}"}));
        assert_eq!(
            serde_json::from_value::<Lane>(stored).unwrap(),
            template("deploy:{app-name}").unwrap()
        );
        assert_eq!(serde_json::to_value(Lane::Plugin).unwrap(), json!("plugin"));
    }
}
