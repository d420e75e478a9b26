//! Profiles of tools for `sanctum__tools`: named selections, read once from the files that `SMCP_PROFILES` names.

mod pattern;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use self::pattern::Pattern;

/// The profile of all tools, which is always there.
pub const FULL: &str = "full";
/// The profile that `SMCP_ADMIN_PREFIX` adds.
const ADMIN: &str = "admin";

/// The profiles, and which of them an agent starts with.
#[derive(Debug, Clone)]
pub struct Profiles {
    by_name: BTreeMap<String, Profile>,
    initial: String,
    default: String,
    hints: Vec<Hint>,
}

/// A selection of tools.
#[derive(Debug, Clone, PartialEq)]
enum Profile {
    All,
    Prefix(String),
    Glob(Pattern),
    Explicit(Vec<String>),
}

/// Which tool serves an intent, as `help` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    /// What somebody wants to do.
    #[serde(default)]
    pub intent: String,
    /// The tool for it.
    #[serde(default)]
    pub tool: String,
    /// What the tool needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<Value>,
}

/// A profile file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfilesError {
    /// It cannot be read.
    #[error("SMCP_PROFILES: cannot read {path}")]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The directory has no `*.json`.
    #[error("SMCP_PROFILES: there is no *.json in {0}")]
    Empty(PathBuf),
    /// It is not JSON of the right form.
    #[error("SMCP_PROFILES: {path}: {message}")]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        message: String,
    },
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct File {
    default_profile: Option<String>,
    profiles: BTreeMap<String, Spec>,
    intent_hints: Vec<Hint>,
}

#[derive(Debug, Deserialize)]
struct Spec {
    mode: String,
    prefix: Option<String>,
    pattern: Option<String>,
    tools: Option<Vec<String>>,
}

impl Profiles {
    /// Reads the files at `path` (a JSON file, or a directory whose `*.json` are merged in sorted order), adds the
    /// profile `admin` for `admin_prefix`, and settles what an agent starts with: `attach`, else the files' default,
    /// else `full`; unknown names are passed over.
    ///
    /// # Errors
    /// [`ProfilesError`], which names the file.
    pub fn load(
        path: Option<&Path>,
        attach: Option<&str>,
        admin_prefix: Option<&str>,
    ) -> Result<Self, ProfilesError> {
        let mut profiles = BTreeMap::from([(FULL.to_owned(), Profile::All)]);
        if let Some(prefix) = admin_prefix {
            profiles.insert(ADMIN.to_owned(), Profile::Prefix(prefix.to_owned()));
        }
        let (mut named_default, mut hints) = (None, Vec::new());
        for file in path.map(files).transpose()?.unwrap_or_default() {
            let File {
                default_profile,
                profiles: specs,
                intent_hints,
            } = read(&file)?;
            for (name, spec) in specs {
                let profile = Profile::new(spec).map_err(|message| ProfilesError::Form {
                    path: file.clone(),
                    message: format!("profile '{name}': {message}"),
                })?;
                profiles.insert(name.to_lowercase(), profile);
            }
            named_default = default_profile.or(named_default);
            hints.extend(intent_hints);
        }
        let first_known = |names: [Option<&str>; 2]| {
            let names = names.into_iter().flatten().map(str::to_lowercase);
            names
                .into_iter()
                .find(|name| profiles.contains_key(name))
                .unwrap_or_else(|| FULL.to_owned())
        };
        let default = first_known([named_default.as_deref(), None]);
        let initial = first_known([attach, named_default.as_deref()]);
        Ok(Self {
            by_name: profiles,
            initial,
            default,
            hints,
        })
    }

    /// The names of all profiles, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// The profile that is meant where none is named.
    pub fn default_name(&self) -> &str {
        &self.default
    }

    /// Whether an agent that never chose has that tool.
    pub fn has_initially(&self, tool: &str) -> bool {
        self.has(&self.initial, tool)
    }

    /// Whether the profile has that tool.
    pub fn has(&self, profile: &str, tool: &str) -> bool {
        self.by_name
            .get(&profile.to_lowercase())
            .is_some_and(|profile| profile.has(tool))
    }

    /// The hints that mention `intent`; all of them where it is empty.
    pub fn hints(&self, intent: &str) -> Vec<&Hint> {
        let intent = intent.to_lowercase();
        let mentions = |hint: &&Hint| {
            hint.intent.to_lowercase().contains(&intent)
                || hint.tool.to_lowercase().contains(&intent)
        };
        self.hints.iter().filter(mentions).collect()
    }
}

impl Profile {
    fn new(spec: Spec) -> Result<Self, String> {
        let missing = |field: &str| format!("mode '{}' needs '{field}'", spec.mode);
        Ok(match spec.mode.as_str() {
            "all" => Self::All,
            "prefix" => Self::Prefix(spec.prefix.ok_or_else(|| missing("prefix"))?),
            "glob" => {
                let pattern = spec.pattern.ok_or_else(|| missing("pattern"))?;
                Self::Glob(
                    Pattern::new(&pattern)
                        .map_err(|error| format!("pattern '{pattern}': {error}"))?,
                )
            }
            "explicit" => Self::Explicit(spec.tools.ok_or_else(|| missing("tools"))?),
            mode => {
                return Err(format!(
                    "mode '{mode}' is not one of all|prefix|glob|explicit"
                ));
            }
        })
    }

    fn has(&self, tool: &str) -> bool {
        match self {
            Self::All => true,
            Self::Prefix(prefix) => tool.starts_with(prefix),
            Self::Glob(pattern) => pattern.matches(tool),
            Self::Explicit(tools) => tools.iter().any(|named| named == tool),
        }
    }
}

fn files(path: &Path) -> Result<Vec<PathBuf>, ProfilesError> {
    let unreadable = |source| ProfilesError::Read {
        path: path.to_owned(),
        source,
    };
    if !fs::metadata(path).map_err(unreadable)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path)
        .map_err(unreadable)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    let json = |path: &PathBuf| {
        path.extension()
            .is_some_and(|extension| extension == "json")
    };
    let mut files: Vec<_> = entries
        .into_iter()
        .map(|entry| entry.path())
        .filter(json)
        .collect();
    files.sort();
    if files.is_empty() {
        Err(ProfilesError::Empty(path.to_owned()))
    } else {
        Ok(files)
    }
}

fn read(path: &Path) -> Result<File, ProfilesError> {
    let text = fs::read_to_string(path).map_err(|source| ProfilesError::Read {
        path: path.to_owned(),
        source,
    })?;
    // A map first: serde would take an array for a struct, field by field.
    serde_json::from_str::<Map<String, Value>>(&text)
        .and_then(|object| serde_json::from_value(Value::Object(object)))
        .map_err(|error| ProfilesError::Form {
            path: path.to_owned(),
            message: error.to_string(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOLS: [&str; 3] = ["demo_math__calculate", "demo_text__echo", "devops__deploy"];

    fn load(files: &[(&str, &str)], attach: Option<&str>) -> Result<Profiles, String> {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        Profiles::load(Some(directory.path()), attach, Some("devops__"))
            .map_err(|error| error.to_string())
    }

    fn selected(profiles: &Profiles, name: &str) -> Vec<&'static str> {
        TOOLS
            .into_iter()
            .filter(|tool| profiles.has(name, tool))
            .collect()
    }

    const FILE: &str = r#"{
        "default_profile": "Text",
        "profiles": {
            "Text": {"mode": "prefix", "prefix": "demo_text__"},
            "demos": {"mode": "glob", "pattern": "demo_**__[ce]*"},
            "one": {"mode": "explicit", "tools": ["devops__deploy", "gone"]}
        },
        "intent_hints": [{"intent": "add numbers", "tool": "demo_math__calculate", "needs": ["a"]}]
    }"#;

    #[test]
    fn every_mode_selects() {
        let profiles = load(&[("a.json", FILE)], None).unwrap();
        assert_eq!(
            profiles.names().collect::<Vec<_>>(),
            ["admin", "demos", "full", "one", "text"]
        );
        assert_eq!(selected(&profiles, "full"), TOOLS);
        assert_eq!(selected(&profiles, "TEXT"), ["demo_text__echo"]);
        assert_eq!(
            selected(&profiles, "demos"),
            ["demo_math__calculate", "demo_text__echo"]
        );
        assert_eq!(selected(&profiles, "one"), ["devops__deploy"]);
        assert_eq!(selected(&profiles, "admin"), ["devops__deploy"]);
        assert_eq!(profiles.hints("ADD").len(), 1);
        assert!(profiles.hints("fly").is_empty());
    }

    #[test]
    fn an_agent_starts_with_the_first_profile_that_exists() {
        for (attach, expected) in [(None, "text"), (Some("one"), "one"), (Some("nope"), "text")] {
            assert_eq!(
                load(&[("a.json", FILE)], attach).unwrap().initial,
                expected,
                "{attach:?}"
            );
        }
        let unknown_default = [("a.json", r#"{"default_profile": "nope"}"#)];
        assert_eq!(load(&unknown_default, None).unwrap().initial, "full");
    }

    #[test]
    fn later_files_win_and_hints_add_up() {
        let second = r#"{"profiles": {"text": {"mode": "all"}}, "intent_hints": [{"intent": "add", "tool": "x"}]}"#;
        let profiles = load(&[("a.json", FILE), ("b.json", second)], None).unwrap();
        assert_eq!(selected(&profiles, "text"), TOOLS);
        assert_eq!(profiles.hints("").len(), 2);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let said = |text: &str| load(&[("a.json", text)], None).unwrap_err();
        assert!(
            said(r#"{"profiles": {"x": {"mode": "prefix"}}}"#)
                .ends_with("profile 'x': mode 'prefix' needs 'prefix'")
        );
        assert!(
            said(r#"{"profiles": {"x": {"mode": "most"}}}"#).contains("mode 'most' is not one of")
        );
        assert!(said("[]").contains("a.json"));
        assert!(load(&[], None).unwrap_err().contains("no *.json"));
    }
}
