use std::path::Path;

use super::*;

fn env(variables: &[(&str, &str)]) -> Environment {
    let home = ("HOME", "/home/ada");
    variables.iter().copied().chain([home]).collect()
}

fn load(file: &str, variables: &[(&str, &str)], flags: &Flags) -> Result<Config, ConfigError> {
    Config::load(Some(("smcp.toml", file)), &env(variables), flags)
}

#[test]
fn the_defaults() {
    let config = Config::load(None, &env(&[]), &Flags::default()).unwrap();
    assert_eq!(
        config.database,
        Path::new("/home/ada/.local/share/smcp/smcp.db")
    );
    assert_eq!(
        (config.http.host.as_str(), config.http.port),
        ("127.0.0.1", 8000)
    );
    assert_eq!(config.plugins.timeout, Some(Duration::from_secs(300)));
    let workers = |asked, default| Workers { asked, default };
    assert_eq!(config.workers, workers(None, 1));
    let config = load("[workers]\ncount = 2\n", &[], &Flags::default()).unwrap();
    assert_eq!(config.workers, workers(None, 2));
    assert!(config.auth.allow_loopback && config.auth.keys.is_empty());
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = "[http]\nhost = 'file'\nport = 1\n[workers]\ncount = 2\n";
    let variables = [
        ("MCP_HOST", "env"),
        ("MCP_PORT", "2"),
        ("SMCP_WORKERS", "3"),
    ];
    let flags = Flags {
        host: Some("flag".into()),
        ..Flags::default()
    };
    let config = load(file, &variables, &flags).unwrap();
    assert_eq!((config.http.host.as_str(), config.http.port), ("flag", 2));
    let workers = config.workers;
    assert_eq!((workers.asked, workers.default), (Some(3), 2));
}

#[test]
fn both_key_variables_count_and_blanks_do_not() {
    let config = load(
        "",
        &[("MCP_API_KEY", " a "), ("MCP_API_KEYS", "b,, c ,")],
        &Flags::default(),
    )
    .unwrap();
    assert_eq!(config.auth.keys, ["a", "b", "c"].map(Secret::new));
    assert_eq!(format!("{:?}", config.auth.keys), "[***, ***, ***]");
}

#[test]
fn plugins_are_pinned_as_the_environment_says_else_the_file() {
    let pin = |file: &str, variables: &[(&str, &str)]| {
        load(file, variables, &Flags::default()).map(|config| config.plugins.pin)
    };
    let file = "[plugins]\npin = 'require'\n";
    assert_eq!(pin("", &[]), Ok(Pinning::Off));
    assert_eq!(pin(file, &[]), Ok(Pinning::Require));
    let asked = [("SMCP_PLUGINS_PIN", "warn")];
    assert_eq!(pin(file, &asked), Ok(Pinning::Warn));
    assert!(pin("[plugins]\npin = 'yes'\n", &[]).is_err());
}

#[test]
fn plugin_directories_are_joined_by_colons() {
    let config = load("", &[("MCP_PLUGINS_DIR", "/a:/b")], &Flags::default()).unwrap();
    assert_eq!(
        config.plugins.directories,
        Some(vec!["/a".into(), "/b".into()])
    );
}

#[test]
fn a_timeout_of_zero_or_less_means_none() {
    for (value, expected) in [
        ("0", None),
        ("-1", None),
        ("1.5", Some(Duration::from_millis(1500))),
    ] {
        let config = load("", &[("MCP_PLUGIN_TIMEOUT", value)], &Flags::default()).unwrap();
        assert_eq!(config.plugins.timeout, expected, "{value}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    let said = |file: &str, variables: &[(&str, &str)]| {
        load(file, variables, &Flags::default())
            .unwrap_err()
            .to_string()
    };
    insta::assert_snapshot!(said("", &[("MCP_PORT", "http")]), @"MCP_PORT is 'http', but must be a port between 0 and 65535");
    insta::assert_snapshot!(said("", &[("SMCP_WORKERS", "0")]), @"SMCP_WORKERS (or --workers) is '0', but must be a number between 1 and 256");
    insta::assert_snapshot!(said("", &[("SMCP_PLUGINS_PIN", "on")]), @"SMCP_PLUGINS_PIN is 'on', but must be off, warn or require");
    insta::assert_snapshot!(said("", &[("MCP_AUTH_DISABLED", "maybe")]), @"MCP_AUTH_DISABLED is 'maybe', but must be 1, true, yes or on; or 0, false, no or off");
    insta::assert_snapshot!(said("", &[("SMCP_DATABASE_URL", "mysql://x")]), @"SMCP_DATABASE_URL (or --database) is 'mysql://x', but must be a file, or sqlite:// and a file");
    insta::assert_snapshot!(said("[http]\nprot = 1\n", &[]), @"
    smcp.toml: TOML parse error at line 2, column 1
      |
    2 | prot = 1
      | ^^^^
    unknown field `prot`, expected one of `host`, `port`, `max_body_bytes`, `max_head_bytes`, `max_sessions`, `max_streams_per_session`, `allowed_hosts`, `allowed_origins`
    ");
    insta::assert_snapshot!(said("[calls]\nwait_s = -1\n", &[]), @"calls.wait_s is '-1', but must be a number of seconds above 0");
    insta::assert_snapshot!(said("[http]\nmax_head_bytes = 10\n", &[]), @"http.max_head_bytes is '10', but must be a number of bytes, at least 8192");
    let homeless = Config::load(None, &Environment::default(), &Flags::default());
    assert_eq!(homeless, Err(ConfigError::NoDataDirectory));
}

#[test]
fn an_alias_is_a_name_that_the_protocol_knows_for_a_tool_that_can_exist() {
    let read = |file: &str| load(&format!("[aliases]\n{file}"), &[], &Flags::default());
    let aliases = read("greet = 'people__say-hello'\n'v1.greet-2' = 'people__greet'\n")
        .unwrap()
        .aliases;
    let pairs: Vec<_> = aliases
        .iter()
        .map(|(a, t)| (a.as_str(), t.as_str()))
        .collect();
    assert_eq!(
        pairs,
        [
            ("greet", "people__say-hello"),
            ("v1.greet-2", "people__greet")
        ]
    );
    let long = "x".repeat(128);
    assert!(read(&format!("{long} = 'a__b'")).is_ok());
    let said = |file: &str| read(file).unwrap_err().to_string();
    assert!(said(&format!("{long}x = 'a__b'")).contains("must match"));
    insta::assert_snapshot!(said("'say hello' = 'a__b'"), @r#"aliases."say hello" must match ^[A-Za-z0-9_.-]{1,128}$"#);
    insta::assert_snapshot!(said("'' = 'a__b'"), @r#"aliases."" must match ^[A-Za-z0-9_.-]{1,128}$"#);
    insta::assert_snapshot!(said("hello = 'a.b'"), @r#"aliases."hello" must be the name of a plugin's tool: tool name 'a.b' has the character '.', but must match ^[a-zA-Z0-9_-]{1,64}$"#);
}

#[test]
fn the_example_file_states_the_defaults() {
    let example = include_str!("../../../deploy/smcp.example.toml");
    assert_eq!(
        load(example, &[], &Flags::default()),
        load("", &[], &Flags::default())
    );
}

#[test]
fn rules_are_in_the_data_directory_unless_told_otherwise() {
    let config = load("", &[], &Flags::default()).unwrap();
    let default = Path::new("/home/ada/.local/share/smcp/policies");
    assert_eq!(config.policy_directory(), default);
    assert_eq!(config.policy.zone, Tz::UTC);

    let file = "[policy]\ndirectory = '/file'\nzone = 'Asia/Tokyo'\n";
    let config = load(file, &[], &Flags::default()).unwrap();
    assert_eq!(config.policy_directory(), Path::new("/file"));
    assert_eq!(config.policy.zone, Tz::Asia__Tokyo);
    let variables = [
        ("SMCP_POLICIES", "/env"),
        ("SMCP_POLICY_ZONE", "Mars/Olympus"),
    ];
    let error = load(file, &variables, &Flags::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "policy.zone (SMCP_POLICY_ZONE) is 'Mars/Olympus', but must be the name of a time zone such as Europe/Berlin"
    );
    let config = load(file, &variables[..1], &Flags::default()).unwrap();
    assert_eq!(config.policy_directory(), Path::new("/env"));
}
