use std::path::Path;

use proptest::prelude::*;

use super::*;

fn terms(text: &str) -> Terms {
    let terms: Terms = toml::from_str(text).unwrap();
    assert_eq!(terms.problems(), [""; 0], "{text}");
    terms
}

/// What is left of what is asked, and what is told of the rest.
fn within(asked: &str, grants: &[&str]) -> (Profile, Vec<String>) {
    let grants: Vec<_> = grants.iter().map(|grant| terms(grant)).collect();
    let grants: Vec<_> = grants.iter().collect();
    let (profile, excess) = terms(asked).within(&grants);
    let told = excess
        .iter()
        .map(|excess| excess.sentence("toy"))
        .collect::<Vec<_>>();
    (profile, told)
}

fn destinations(all: &[&str]) -> Vec<Destination> {
    all.iter().map(|text| text.parse().unwrap()).collect()
}

fn paths(all: &[&str]) -> Vec<PathBuf> {
    all.iter().map(PathBuf::from).collect()
}

#[test]
fn the_most_specific_grant_that_speaks_of_a_key_counts() {
    let own = "limits.memory_mb = 2048\nnetwork.mode = 'full'";
    let all = "limits.memory_mb = 1024\nlimits.processes = 8\nnetwork = {mode = 'proxy', allow = ['a:1']}";
    let (profile, told) = within("", &[own, all]);
    let expected = Profile {
        network: Network::Full,
        limits: Limits {
            memory_mb: 2048,
            processes: 8,
            ..Limits::default()
        },
        ..Profile::default()
    };
    assert_eq!((profile, told.len()), (expected, 0));
    assert_eq!(within("", &[]), (Profile::default(), Vec::new()));
}

#[test]
fn a_manifest_narrows_the_network() {
    let proxy = |all: &[&str]| Network::Proxy(destinations(all));
    let ports = |all: &[u16]| Network::LoopbackPorts(all.to_vec());
    let rows = [
        ("", "", Network::None, 0),
        ("", "mode = 'full'", Network::Full, 0),
        ("mode = 'none'", "mode = 'full'", Network::None, 0),
        ("mode = 'full'", "mode = 'full'", Network::Full, 0),
        ("mode = 'full'", "", Network::None, 1),
        (
            "mode = 'full'",
            "mode = 'proxy'\nallow = ['a:1']",
            proxy(&["a:1"]),
            1,
        ),
        (
            "mode = 'full'",
            "mode = 'loopback-ports'\nallow = [80]",
            ports(&[80]),
            1,
        ),
        ("mode = 'proxy'\nallow = ['a:1']", "", Network::None, 1),
        ("mode = 'proxy'\nallow = []", "", Network::None, 0),
        (
            "mode = 'proxy'\nallow = ['a:1']",
            "mode = 'full'",
            proxy(&["a:1"]),
            0,
        ),
        (
            "mode = 'proxy'\nallow = ['a:1', 'c:3', 'B.:2', 'a:2', 'a:1']",
            "mode = 'proxy'\nallow = ['b:2', 'a:1']",
            proxy(&["a:1", "b:2"]),
            1,
        ),
        (
            "mode = 'proxy'\nallow = ['c:3']",
            "mode = 'proxy'\nallow = ['a:1']",
            Network::None,
            1,
        ),
        (
            "mode = 'proxy'\nallow = ['a:1']",
            "mode = 'loopback-ports'\nallow = [1]",
            Network::None,
            1,
        ),
        (
            "mode = 'loopback-ports'\nallow = [1]",
            "mode = 'proxy'\nallow = ['a:1']",
            Network::None,
            1,
        ),
        (
            "mode = 'loopback-ports'\nallow = [1, 2]",
            "mode = 'loopback-ports'\nallow = [2, 3]",
            ports(&[2]),
            1,
        ),
        (
            "mode = 'loopback-ports'\nallow = [1]",
            "mode = 'full'",
            ports(&[1]),
            0,
        ),
    ];
    for (asked, granted, expected, told) in rows {
        let asked = format!("[network]\n{asked}");
        let (profile, excess) = within(&asked, &[&format!("[network]\n{granted}")]);
        assert_eq!(
            (&profile.network, excess.len()),
            (&expected, told),
            "{asked} in {granted}"
        );
    }
}

#[test]
fn a_path_is_granted_where_it_lies_below_a_granted_one() {
    let rows: [(&[&str], &[&str], usize); 8] = [
        (&["/data"], &["/data"], 0),
        (&["/data/in/"], &["/data/in"], 0),
        (&["/database"], &[], 1),
        (&["/etc", "/data/a"], &["/data/a"], 1),
        (&["/"], &["/data", "/out"], 1),
        (&["/out/a"], &["/out/a"], 0),
        (&["/data", "/data"], &["/data"], 0),
        (&[], &[], 0),
    ];
    let granted = terms("filesystem.read = ['/data']\nfilesystem.write = ['/out']");
    for (asked, expected, told) in rows {
        let mut terms = Terms::default();
        terms.filesystem.read = Some(paths(asked));
        let (profile, excess) = terms.within(&[&granted]);
        assert_eq!(
            (profile.read, excess.len()),
            (paths(expected), told),
            "{asked:?}"
        );
        assert_eq!(profile.write, paths(&["/out"]));
    }
    let mut devious = Terms::default();
    devious.filesystem.write = Some(paths(&["/out/../etc", "out", "/data"]));
    let (profile, excess) = devious.within(&[&granted]);
    assert_eq!(profile.write, paths(&[]));
    assert_eq!(excess[0].asked, r#"["/out/../etc", "out", "/data"]"#);
}

#[test]
fn the_smaller_limit_counts_and_none_is_the_largest() {
    let rows = [
        ("memory_mb", 100, 200, 100, 0),
        ("memory_mb", 300, 200, 200, 1),
        ("memory_mb", 0, 200, 200, 1),
        ("memory_mb", 300, 0, 300, 0),
        ("memory_mb", 0, 0, 0, 0),
        ("cpu_seconds", 0, 200, 200, 1),
        ("wall_seconds", 0, 200, 200, 1),
        ("wall_seconds", 10, 0, 10, 0),
        ("processes", 33, 32, 32, 1),
        ("processes", 1, 32, 1, 0),
    ];
    for (key, asked, granted, expected, told) in rows {
        let (profile, excess) = within(
            &format!("limits.{key} = {asked}"),
            &[&format!("limits.{key} = {granted}")],
        );
        let limits = profile.limits;
        let found = match key {
            "memory_mb" => limits.memory_mb,
            "cpu_seconds" => limits.cpu_s,
            "wall_seconds" => limits.wall_s,
            _ => limits.processes,
        };
        assert_eq!(
            (found, excess.len()),
            (expected, told),
            "{key} {asked} in {granted}"
        );
    }
}

#[test]
fn names_of_variables_match_patterns() {
    let rows: [(&[&str], &[&str], usize); 5] = [
        (&["MY_TOKEN", "HTTP_PROXY"], &["MY_TOKEN"], 1),
        (&["MY_*"], &["MY_*"], 0),
        (&["MY_T*", "X"], &["MY_T*", "X"], 0),
        (&["*"], &["MY_*", "X"], 1),
        (&["XY", "my_token"], &[], 1),
    ];
    let granted = terms("env.allow = ['MY_*', 'X']");
    for (asked, expected, told) in rows {
        let mut terms = Terms::default();
        terms.env.allow = Some(asked.iter().map(|&name| name.to_owned()).collect());
        let (profile, excess) = terms.within(&[&granted]);
        assert_eq!(profile.env, expected, "{asked:?}");
        assert_eq!(excess.len(), told, "{asked:?}");
    }
}

#[test]
fn excess_tells_the_line_that_would_grant_it() {
    let asked = "
        network = {mode = 'proxy', allow = ['api.example.com:443', 'b:2']}
        filesystem.read = ['/data', '/etc/hosts']
        limits.memory_mb = 0
        limits.processes = 100
        env.allow = ['TOKEN']";
    let (_, told) = within(
        asked,
        &["network = {mode = 'proxy', allow = ['b:2']}\nfilesystem.read = ['/data']"],
    );
    insta::assert_snapshot!(told.join("\n"), @r#"
    it asks for filesystem.read = ["/etc/hosts"], but is granted ["/data"]; to grant it, write under [sandbox.plugins.toy] in smcp.toml: filesystem.read = ["/data", "/etc/hosts"]
    it asks for network.allow = ["api.example.com:443"], but is granted ["b:2"]; to grant it, write under [sandbox.plugins.toy] in smcp.toml: network = { mode = "proxy", allow = ["b:2", "api.example.com:443"] }
    it asks for limits.memory_mb = 0 (no limit), but is granted 512; to grant it, write under [sandbox.plugins.toy] in smcp.toml: limits.memory_mb = 0
    it asks for limits.processes = 100, but is granted 32; to grant it, write under [sandbox.plugins.toy] in smcp.toml: limits.processes = 100
    it asks for env.allow = ["TOKEN"], but is granted []; to grant it, write under [sandbox.plugins.toy] in smcp.toml: env.allow = ["TOKEN"]
    "#);
    let told = |asked: &str, granted: &str| within(asked, &[granted]).1.join("\n");
    insta::assert_snapshot!(told("network.mode = 'full'", ""), @r#"it asks for network.mode = "full", but is granted "none"; to grant it, write under [sandbox.plugins.toy] in smcp.toml: network.mode = "full""#);
    insta::assert_snapshot!(told("network = {mode = 'loopback-ports', allow = [5432]}", ""), @r#"it asks for network.mode = "loopback-ports", but is granted "none"; to grant it, write under [sandbox.plugins.toy] in smcp.toml: network = { mode = "loopback-ports", allow = [5432] }"#);
}

#[test]
fn a_line_that_would_grant_it_does() {
    let asked = "
        network = {mode = 'loopback-ports', allow = [1, 2]}
        filesystem = {read = ['/a b\"c', '/d'], write = ['/e'], scratch_mb = 1000}
        limits = {memory_mb = 0, processes = 100, cpu_seconds = 0, open_files = 4096, file_mb = 99, stdout_kb = 99999, stderr_kb = 999}
        env.allow = ['TOKEN', 'MY_*']";
    let (_, excess) = terms(asked).within(&[]);
    let mut lines: Vec<_> = excess.iter().map(|excess| excess.line.as_str()).collect();
    lines.dedup();
    let granted = terms(&lines.join("\n"));
    let (profile, excess) = terms(asked).within(&[&granted]);
    assert_eq!(excess, []);
    assert_eq!(profile.network, Network::LoopbackPorts(vec![1, 2]));
}

#[test]
fn what_is_wrong_is_named_by_its_key() {
    let problems = |text: &str| toml::from_str::<Terms>(text).unwrap().problems().join("\n");
    insta::assert_snapshot!(problems("
        filesystem = {read = ['/data', 'data'], write = ['/data/../etc'], scratch_mb = 0}
        limits = {memory_mb = 0, processes = 0, cpu_seconds = 0, wall_seconds = 0, file_mb = 0, open_files = 9999999999, stdout_kb = 0, stderr_kb = 0}
        env.allow = ['', 'A=B', 'A*B', 'A B', 'A**', 'OK', 'OK_*', '*']
        network = {mode = 'proxy', allow = ['a:1', 5432]}
    "), @r#"
    filesystem.read[1] is "data", but must be an absolute path without ..
    filesystem.write[0] is "/data/../etc", but must be an absolute path without ..
    network.allow[1] is 5432, but must be a destination such as "api.example.com:443" where network.mode is "proxy"
    filesystem.scratch_mb is 0, but must be between 1 and 1000000000
    limits.processes is 0, but must be between 1 and 1000000000
    limits.file_mb is 0, but must be between 1 and 1000000000
    limits.open_files is 9999999999, but must be between 1 and 1000000000
    limits.stdout_kb is 0, but must be between 1 and 1000000000
    limits.stderr_kb is 0, but must be between 1 and 1000000000
    env.allow[0] is "", but must be the name of a variable, with a * at its end at most
    env.allow[1] is "A=B", but must be the name of a variable, with a * at its end at most
    env.allow[2] is "A*B", but must be the name of a variable, with a * at its end at most
    env.allow[3] is "A B", but must be the name of a variable, with a * at its end at most
    env.allow[4] is "A**", but must be the name of a variable, with a * at its end at most
    "#);
    insta::assert_snapshot!(problems("network = {mode = 'loopback-ports', allow = [0, 1, 'a:1']}"), @r#"
    network.allow[0] is 0, but must be a port from 1 to 65535 such as 5432 where network.mode is "loopback-ports"
    network.allow[2] is "a:1", but must be a port from 1 to 65535 such as 5432 where network.mode is "loopback-ports"
    "#);
    insta::assert_snapshot!(problems("network.mode = 'proxy'"), @r#"network.allow is missing: where network.mode is "proxy", it lists destinations such as "api.example.com:443""#);
    insta::assert_snapshot!(problems("network = {mode = 'full', allow = ['a:1']}"), @r#"network.allow must be empty where network.mode is "full""#);
    let long = format!("env.allow = [{}]", "'A',".repeat(257));
    insta::assert_snapshot!(problems(&long), @"env.allow has 257 entries, but may have at most 256");
    insta::assert_snapshot!(problems("network.allow = []"), @r#"network.allow needs network.mode beside it, which says what it lists: "proxy" or "loopback-ports""#);
}

#[test]
fn terms_say_only_what_was_said() {
    let text = r#"{"network":{"mode":"proxy","allow":["a:1"]},"limits":{"memory_mb":7}}"#;
    let terms: Terms = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&terms).unwrap(), text);
    assert_eq!(serde_json::to_string(&Terms::default()).unwrap(), "{}");
    let complete = Terms::default().complete();
    assert_eq!(complete.problems(), [""; 0]);
    assert_eq!(complete.profile(), Profile::default());
}

/// Whether whoever may do `narrow` may do no more than `wide`.
fn covers(wide: &Profile, narrow: &Profile) -> bool {
    let below = |path: &Path, roots: &[&Vec<PathBuf>]| {
        path.is_absolute()
            && path.components().all(|part| part.as_os_str() != "..")
            && roots
                .iter()
                .any(|roots| roots.iter().any(|root| path.starts_with(root)))
    };
    let network = match (&narrow.network, &wide.network) {
        (Network::None, _) | (_, Network::Full) => true,
        (Network::Proxy(narrow), Network::Proxy(wide)) => narrow.iter().all(|it| wide.contains(it)),
        (Network::LoopbackPorts(narrow), Network::LoopbackPorts(wide)) => {
            narrow.iter().all(|it| wide.contains(it))
        }
        _ => false,
    };
    let sizes = |profile: &Profile| {
        let limits = profile.limits.clone();
        let or_none = |limit: u64| if limit == 0 { u64::MAX } else { limit };
        [
            profile.scratch_mb,
            or_none(limits.memory_mb),
            limits.processes,
            or_none(limits.cpu_s),
            or_none(limits.wall_s),
            limits.file_mb,
            limits.open_files,
            limits.stdout_kb,
            limits.stderr_kb,
        ]
    };
    let names = narrow.env.iter().all(|name| {
        wide.env
            .iter()
            .any(|pattern| match pattern.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => name == pattern,
            })
    });
    narrow
        .read
        .iter()
        .all(|path| below(path, &[&wide.read, &wide.write]))
        && narrow.write.iter().all(|path| below(path, &[&wide.write]))
        && network
        && names
        && sizes(narrow)
            .iter()
            .zip(sizes(wide))
            .all(|(narrow, wide)| *narrow <= wide)
}

fn any_terms() -> impl Strategy<Value = Terms> {
    let list = |all: &'static [&'static str]| {
        prop::option::of(prop::collection::vec(prop::sample::select(all), 0..4))
    };
    let files = || {
        let all = &["/", "/a", "/a/b", "/a/b/c", "/ab", "/x/y", "/a/../x", "a"][..];
        list(all).prop_map(|all| all.map(|all| paths(&all)))
    };
    let reach = prop_oneof![
        prop::sample::select(vec![1u16, 2, 3]).prop_map(Reach::Port),
        prop::sample::select(vec!["a:1", "b:2", "c:3"])
            .prop_map(|text| Reach::Destination(text.parse().unwrap())),
    ];
    let mode = prop::sample::select(vec![
        Mode::None,
        Mode::LoopbackPorts,
        Mode::Proxy,
        Mode::Full,
    ]);
    let network = (
        prop::option::of(mode),
        prop::option::of(prop::collection::vec(reach, 0..4)),
    )
        .prop_map(|(mode, allow)| NetworkTerms { mode, allow });
    let number = || prop::option::of(0u64..4);
    let limits = (
        number(),
        number(),
        number(),
        number(),
        number(),
        number(),
        number(),
        number(),
    );
    let names = list(&["A", "AB", "A*", "AB*", "*", "C"]);
    (files(), files(), number(), network, limits, names).prop_map(
        |(read, write, scratch_mb, network, limits, names)| Terms {
            filesystem: FilesystemTerms {
                read,
                write,
                scratch_mb,
            },
            network,
            limits: LimitTerms {
                memory_mb: limits.0,
                processes: limits.1,
                cpu_seconds: limits.2,
                wall_seconds: limits.3,
                file_mb: limits.4,
                open_files: limits.5,
                stdout_kb: limits.6,
                stderr_kb: limits.7,
            },
            env: EnvTerms {
                allow: names.map(|names| names.into_iter().map(ToOwned::to_owned).collect()),
            },
        },
    )
}

/// A grant that can be configured: without paths that are beyond every grant.
fn any_grant() -> impl Strategy<Value = Terms> {
    any_terms().prop_map(|mut terms| {
        for paths in [&mut terms.filesystem.read, &mut terms.filesystem.write]
            .into_iter()
            .flatten()
        {
            paths.retain(|path| narrowing::is_plain(path));
        }
        terms
    })
}

proptest! {
    #[test]
    fn no_manifest_gets_more_than_is_granted(asked in any_terms(), own in any_grant(), all in any_grant()) {
        let (granted, excess) = Terms::default().within(&[&own, &all]);
        prop_assert!(excess.is_empty());
        let (profile, excess) = asked.within(&[&own, &all]);
        prop_assert!(covers(&granted, &profile), "{granted:?} does not cover {profile:?}");
        prop_assert!(excess.iter().all(|excess| !excess.line.is_empty()));
    }

    #[test]
    fn nor_more_than_it_asks_for(asked in any_grant(), granted in any_grant()) {
        // Asking for what is asked, under a grant of everything, is what is asked at most.
        let everything: Terms = toml::from_str(
            "filesystem = {read = ['/'], write = ['/'], scratch_mb = 9}
            network.mode = 'full'
            env.allow = ['*']
            limits = {memory_mb = 0, processes = 9, cpu_seconds = 0, wall_seconds = 0, file_mb = 9, open_files = 9, stdout_kb = 9, stderr_kb = 9}",
        ).unwrap();
        let (wanted, excess) = asked.within(&[&everything]);
        prop_assert_eq!(excess, vec![]);
        let (profile, _) = asked.within(&[&granted, &everything]);
        prop_assert!(covers(&wanted, &profile), "{wanted:?} does not cover {profile:?}");
    }

    #[test]
    fn asking_for_what_one_has_changes_nothing(asked in any_terms(), granted in any_grant()) {
        let (profile, _) = asked.within(&[&granted]);
        let (again, excess) = Terms::from(profile.clone()).within(&[&granted]);
        prop_assert_eq!(&again, &profile);
        prop_assert_eq!(excess, vec![]);
    }

    #[test]
    fn a_larger_grant_takes_nothing_away(asked in any_terms(), part in any_terms(), grant in any_grant()) {
        let (large, _) = Terms::default().within(&[&grant]);
        let (small, _) = part.within(&[&grant]);
        let (less, _) = asked.within(&[&small.into()]);
        let (more, _) = asked.within(&[&large.into()]);
        prop_assert!(covers(&more, &less), "{more:?} does not cover {less:?}");
    }
}
