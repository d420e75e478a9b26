//! What plugins may do, as the operator grants it.

use std::collections::BTreeMap;

use super::file::{self, Automatic};
use super::{ConfigError, Sandbox, settings_prefix};
use crate::plugin::Plugin;
use crate::sandbox::{Excess, Profile, Terms};

impl Sandbox {
    /// What the plugin of that name is granted, most specific first, for [`Terms::within`]. `plugins.pass_env` is in
    /// each that speaks of `env.allow`.
    pub fn grants(&self, plugin: &str) -> Vec<&Terms> {
        let own = self.plugins.get(plugin);
        own.into_iter().chain([&self.profile]).collect()
    }

    /// What a run of `plugin` may do that asks for `asks`, and what it asks for beyond. The plugin's own settings are granted
    /// by being set. The files outside of its directory that are a part of it it asks for without saying so.
    pub fn permit(&self, plugin: &Plugin, asks: &Terms) -> (Profile, Vec<Excess>) {
        let grants = self.grants(&plugin.name);
        let mut asks = asks.clone();
        if !plugin.files.is_empty() {
            let read = asks.filesystem.read.take();
            let mut read = read.unwrap_or_else(|| asks.within(&grants).0.read);
            read.extend(plugin.files.iter().cloned());
            asks.filesystem.read = Some(read);
        }
        let prefix = settings_prefix(&plugin.name);
        let names = asks.env.allow.iter_mut();
        let settings: Vec<_> = names
            .flat_map(|names| names.extract_if(.., |name| name.starts_with(&prefix)))
            .collect();
        let (mut profile, excess) = asks.within(&grants);
        profile.env.extend(settings);
        (profile, excess)
    }
}

/// The settings, with `pass_env` granted to every plugin.
pub(super) fn read(file: file::Sandbox, pass_env: &[String]) -> Result<Sandbox, ConfigError> {
    let mut problems = problems("profile", &file.profile);
    for (name, terms) in &file.plugins {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if name.is_empty() || !name.chars().all(fits) {
            problems.push(format!(
                "sandbox.plugins.\"{name}\" is no plugin: their names match ^[a-zA-Z0-9_-]+$"
            ));
        }
        problems.extend(self::problems(&format!("plugins.{name}"), terms));
    }
    if !problems.is_empty() {
        return Err(ConfigError::Sandbox { problems });
    }
    let passing = |mut terms: Terms| {
        if let Some(allow) = &mut terms.env.allow {
            allow.extend(pass_env.iter().cloned());
        }
        terms
    };
    let plugins = file.plugins.into_iter();
    Ok(Sandbox {
        require: file.require.unwrap_or_default(),
        namespaces: file.namespaces != Some(Automatic::Off),
        profile: passing(file.profile.complete()),
        plugins: plugins
            .map(|(name, terms)| (name, passing(terms)))
            .collect::<BTreeMap<_, _>>(),
    })
}

fn problems(place: &str, terms: &Terms) -> Vec<String> {
    let problems = terms.problems().into_iter();
    problems
        .map(|problem| format!("sandbox.{place}.{problem}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::config::{Config, Environment, Flags};
    use crate::plugin::Plugin;
    use crate::sandbox::{Network, Profile, Require, Terms};

    fn load(file: &str) -> Result<Config, String> {
        let env = [("HOME", "/home/ada")].into_iter().collect::<Environment>();
        Config::load(Some(("smcp.toml", file)), &env, &Flags::default())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_said_of_a_plugin_goes_before_what_is_said_of_all() {
        let sandbox = load(
            "[plugins]
            pass_env = ['SHARED']
            [sandbox]
            require = 'strict'
            namespaces = 'off'
            [sandbox.profile]
            limits.memory_mb = 1024
            limits.processes = 64
            [sandbox.plugins.weather]
            network = {mode = 'proxy', allow = ['API.example.com:443']}
            limits.memory_mb = 256
            env.allow = ['WEATHER_*']",
        )
        .unwrap()
        .sandbox;
        assert_eq!(
            (sandbox.require, sandbox.namespaces),
            (Require::Strict, false)
        );
        let granted = |plugin: &str| Terms::default().within(&sandbox.grants(plugin)).0;
        let weather = granted("weather");
        let reach = "api.example.com:443".parse().unwrap();
        assert_eq!(weather.network, Network::Proxy(vec![reach]));
        assert_eq!(
            (weather.limits.memory_mb, weather.limits.processes),
            (256, 64)
        );
        assert_eq!(weather.env, ["WEATHER_*", "SHARED"]);
        let mut other = Profile::default();
        other.limits.memory_mb = 1024;
        other.limits.processes = 64;
        other.env = vec!["SHARED".to_owned()];
        assert_eq!(granted("other"), other);
    }

    #[test]
    fn silence_is_the_default() {
        let config = load("").unwrap();
        let sandbox = config.sandbox;
        assert_eq!(
            (sandbox.require, sandbox.namespaces),
            (Require::Restricted, true)
        );
        let (profile, excess) = Terms::default().within(&sandbox.grants("any"));
        assert_eq!((profile, excess.len()), (Profile::default(), 0));
        assert!(config.plugins.warm);
        assert!(!load("[plugins]\nwarm = 'off'").unwrap().plugins.warm);
    }

    #[test]
    fn the_settings_and_files_of_a_plugin_are_asked_for() {
        let sandbox = load(
            "[sandbox.plugins.shell]\nfilesystem = {read = ['/srv'], write = ['/out']}\nenv.allow = ['X']",
        );
        let sandbox = sandbox.unwrap().sandbox;
        let mut shell = Plugin::found("shell", "/p/shell");
        let permitted = |plugin: &Plugin, asks: Value| {
            let (profile, excess) = sandbox.permit(plugin, &serde_json::from_value(asks).unwrap());
            let lines: Vec<_> = excess.into_iter().map(|excess| excess.line).collect();
            let read: Vec<_> = profile
                .read
                .iter()
                .map(|path| path.to_str().unwrap())
                .collect();
            (read.join(" "), profile.env.join(" "), lines.join("; "))
        };
        let mut assert_permitted =
            |files: &[&str], asks: Value, read: &str, env: &str, lines: &str| {
                shell.files = files.iter().map(Into::into).collect();
                let expected = (read.to_owned(), env.to_owned(), lines.to_owned());
                assert_eq!(
                    permitted(&shell, asks.clone()),
                    expected,
                    "{files:?} {asks}"
                );
            };
        assert_permitted(&[], json!({}), "/srv", "X", "");
        assert_permitted(&["/srv/c.toml"], json!({}), "/srv /srv/c.toml", "X", "");
        let nothing = json!({"filesystem": {"read": []}, "env": {"allow": []}});
        assert_permitted(&["/srv/c.toml"], nothing, "/srv/c.toml", "", "");
        let line = "filesystem.read = [\"/srv\", \"/etc/c.toml\"]";
        assert_permitted(&["/etc/c.toml"], json!({}), "/srv", "X", line);
        let write = json!({"filesystem": {"write": ["/out"]}});
        assert_permitted(&["/srv/c.toml"], write, "/srv /out /srv/c.toml", "X", "");
        let names = json!({"env": {"allow": ["SMCP_SHELL_COMMANDS", "SMCP_SHELL_X*"]}});
        assert_permitted(&[], names, "/srv", "SMCP_SHELL_COMMANDS SMCP_SHELL_X*", "");
        let others = json!({"env": {"allow": ["SMCP_CI_URL"]}});
        assert_permitted(
            &[],
            others,
            "/srv",
            "",
            "env.allow = [\"X\", \"SMCP_CI_URL\"]",
        );
    }

    #[test]
    fn the_example_file_has_every_key() {
        let example = include_str!("../../../deploy/smcp.example.toml");
        let example: toml::Table = example.parse().unwrap();
        let stated: Terms = example["sandbox"]["profile"].clone().try_into().unwrap();
        assert_eq!(stated, Terms::default().complete());
    }

    #[test]
    fn what_is_wrong_is_named_by_its_key() {
        let said = |file: &str| load(file).unwrap_err();
        insta::assert_snapshot!(said("[sandbox.plugins.weather]\nnetwork = {mode = 'proxy', allow = [443]}"), @r#"sandbox.plugins.weather.network.allow[0] is 443, but must be a destination such as "api.example.com:443" where network.mode is "proxy""#);
        insta::assert_snapshot!(said("[sandbox.profile]\nlimits.processes = 0\nfilesystem.read = ['data']\n[sandbox.plugins.'a b']"), @r#"sandbox.profile.filesystem.read[0] is "data", but must be an absolute path without ..; sandbox.profile.limits.processes is 0, but must be between 1 and 1000000000; sandbox.plugins."a b" is no plugin: their names match ^[a-zA-Z0-9_-]+$"#);
        insta::assert_snapshot!(said("[sandbox.plugins.weather]\nnetwork.allow = [\n  'a:1',\n  'https://a',\n]"), @r#"
        smcp.toml: TOML parse error at line 4, column 3
          |
        4 |   'https://a',
          |   ^^^^^^^^^^^
        'https://a' is no destination: it must be a host and a port, such as api.example.com:443
        "#);
        insta::assert_snapshot!(said("[sandbox.profile]\nnetwork.mode = 'https'"), @r#"
        smcp.toml: TOML parse error at line 2, column 16
          |
        2 | network.mode = 'https'
          |                ^^^^^^^
        unknown variant `https`, expected one of `none`, `loopback-ports`, `proxy`, `full`
        "#);
        insta::assert_snapshot!(said("[sandbox.profile]\nlimits.memory = 5"), @r#"
        smcp.toml: TOML parse error at line 2, column 8
          |
        2 | limits.memory = 5
          |        ^^^^^^
        unknown field `memory`, expected one of `memory_mb`, `processes`, `cpu_seconds`, `wall_seconds`, `file_mb`, `open_files`, `stdout_kb`, `stderr_kb`
        "#);
        insta::assert_snapshot!(said("[sandbox]\nrequire = 'isolated'"), @r#"
        smcp.toml: TOML parse error at line 2, column 11
          |
        2 | require = 'isolated'
          |           ^^^^^^^^^^
        unknown variant `isolated`, expected one of `none`, `restricted`, `strict`
        "#);
        insta::assert_snapshot!(said("[sandbox]\nnamespaces = true"), @r#"
        smcp.toml: TOML parse error at line 2, column 14
          |
        2 | namespaces = true
          |              ^^^^
        wanted string or table
        "#);
    }
}
