//! The environment of a plugin: a few variables of the worker's, and none of its secrets.

use std::collections::BTreeMap;
use std::ffi::OsString;

use smcp_common::config::{is_setting_of, settings_prefix};

/// What every plugin sees of the worker's environment; `LC_*` are all that begin so.
const ALLOWED: [&str; 6] = [
    "LANG",
    "LC_*",
    "PATH",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TZ",
];

/// What no plugin sees, whatever the operator passes on: keys and addresses of SMCP itself, and directories in the
/// place of which a run has its own.
const FORBIDDEN: [&str; 6] = [
    "CREDENTIALS_DIRECTORY",
    "HOME",
    "LETTA_*",
    "MCP_API_KEY*",
    "SMCP_*",
    "TMPDIR",
];

/// What makes a Python plugin write promptly, in UTF-8, and not into its own directory.
const PYTHON: [(&str, &str); 3] = [
    ("PYTHONDONTWRITEBYTECODE", "1"),
    ("PYTHONIOENCODING", "utf-8"),
    ("PYTHONUNBUFFERED", "1"),
];

/// The environment of `plugin` on a worker whose own is `host`.
///
/// `pass` names further variables to pass on ([`Profile::env`]); a `*` at the end of a name stands for any rest. The
/// plugin's own settings ([`is_setting_of`]) are passed on where `pass` speaks of nothing else: `SMCP_*` does not name
/// them. `HOME`, `TMPDIR` and secrets of a single run are the caller's to add.
///
/// [`Profile::env`]: smcp_common::sandbox::Profile::env
pub fn environment(
    host: &BTreeMap<String, String>,
    pass: &[String],
    plugin: &str,
) -> Vec<(OsString, OsString)> {
    let prefix = settings_prefix(plugin);
    let passes = |name: &str| {
        let mut named = pass.iter().filter(|pattern| matches(pattern, name));
        if is_setting_of(plugin, name) {
            return named.any(|pattern| pattern.starts_with(&prefix));
        }
        let allowed =
            ALLOWED.iter().any(|pattern| matches(pattern, name)) || named.next().is_some();
        allowed && !FORBIDDEN.iter().any(|pattern| matches(pattern, name))
    };
    let mut variables: BTreeMap<&str, &str> = host
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| passes(name))
        .collect();
    variables.extend(PYTHON);
    variables
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: [&str; 20] = [
        "HOME",
        "LANG",
        "LC_ALL",
        "LC_TIME",
        "LD_PRELOAD",
        "LETTA_API_KEY",
        "LOGNAME",
        "MCP_API_KEY",
        "MCP_API_KEYS",
        "MCP_HOST",
        "MY_TOKEN",
        "MY_URL",
        "PATH",
        "PYTHONPATH",
        "SMCP_API_KEY",
        "SMCP_DATABASE_URL",
        "SSL_CERT_FILE",
        "TMPDIR",
        "TZ",
        "USER",
    ];

    /// What comes through besides Python's own settings.
    fn passed(pass: &[&str]) -> Vec<String> {
        let host = HOST
            .iter()
            .map(|&name| (name.to_owned(), "value".to_owned()))
            .collect();
        let pass: Vec<_> = pass.iter().map(|&name| name.to_owned()).collect();
        environment(&host, &pass, "toy")
            .into_iter()
            .filter(|(_, value)| value == "value")
            .map(|(name, _)| name.into_string().unwrap())
            .collect()
    }

    #[test]
    fn only_the_allowed_variables_come_through() {
        let allowed = ["LANG", "LC_ALL", "LC_TIME", "PATH", "SSL_CERT_FILE", "TZ"];
        assert_eq!(passed(&[]), allowed);
    }

    #[test]
    fn an_operator_passes_names_and_prefixes() {
        let extra = |pass: &[&str]| {
            let allowed = passed(&[]);
            let mut extra = passed(pass);
            extra.retain(|name| !allowed.contains(name));
            extra
        };
        assert_eq!(extra(&["MY_TOKEN", "ABSENT"]), ["MY_TOKEN"]);
        assert_eq!(extra(&["MY_*"]), ["MY_TOKEN", "MY_URL"]);
        assert_eq!(extra(&["USER", "LOGNAME"]), ["LOGNAME", "USER"]);
        assert_eq!(extra(&["MY"]), [""; 0]);
        assert_eq!(extra(&["my_token"]), [""; 0]);
    }

    #[test]
    fn keys_of_smcp_and_directories_of_the_worker_never_come_through() {
        let pass = [
            "*",
            "MCP_API_KEY",
            "MCP_*",
            "SMCP_*",
            "SMCP_DATABASE_URL",
            "LETTA_API_KEY",
            "HOME",
            "TMPDIR",
        ];
        let passed = passed(&pass);
        let secret = [
            "HOME",
            "LETTA_API_KEY",
            "MCP_API_KEY",
            "MCP_API_KEYS",
            "SMCP_API_KEY",
            "SMCP_DATABASE_URL",
            "TMPDIR",
        ];
        assert_eq!(passed.len(), HOST.len() - secret.len(), "{passed:?}");
        assert!(
            secret
                .iter()
                .all(|name| !passed.iter().any(|passed| passed == name))
        );
    }

    #[test]
    fn a_plugin_gets_its_own_settings_where_they_are_named() {
        let host = ["SMCP_DATA_DIR", "SMCP_DATA_MORE", "SMCP_SHELL_COMMANDS"];
        let host = host
            .map(|name| (name.to_owned(), "value".to_owned()))
            .into();
        let passed = |plugin: &str, pass: &str| {
            let mut passed = environment(&host, &[pass.to_owned()], plugin);
            passed.retain(|(_, value)| value == "value");
            let names = passed.into_iter().map(|(name, _)| name);
            names
                .map(|name| name.into_string().unwrap())
                .collect::<Vec<_>>()
        };
        for pass in ["SMCP_SHELL_COMMANDS", "SMCP_SHELL_*"] {
            assert_eq!(passed("shell", pass), ["SMCP_SHELL_COMMANDS"], "{pass}");
            assert_eq!(passed("ci", pass), [""; 0], "{pass}");
        }
        for pass in ["*", "SMCP_*", "SMCP_SHELL", "SHELL_COMMANDS"] {
            assert_eq!(passed("shell", pass), [""; 0], "{pass}");
        }
        assert_eq!(passed("data", "SMCP_DATA_*"), ["SMCP_DATA_MORE"]);
        assert_eq!(passed("data", "SMCP_DATA_DIR"), [""; 0]);
    }

    #[test]
    fn python_settings_win_over_the_host() {
        let host = [("PYTHONUNBUFFERED", ""), ("PYTHONPATH", "/lib")];
        let host = host
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let environment = environment(&host, &["PYTHON*".to_owned()], "toy");
        let environment: Vec<_> = environment
            .iter()
            .map(|(name, value)| format!("{}={}", name.display(), value.display()))
            .collect();
        assert_eq!(
            environment,
            [
                "PYTHONDONTWRITEBYTECODE=1",
                "PYTHONIOENCODING=utf-8",
                "PYTHONPATH=/lib",
                "PYTHONUNBUFFERED=1",
            ]
        );
    }
}
