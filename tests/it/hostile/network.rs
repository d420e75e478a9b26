//! Rows 9 to 12: whoever can be reached.

use serde_json::{Value, json};

use super::four_ways;
use super::peers::{Port, Sockets};
use super::ways::{Arena, Setting, Way};

/// `PORT` stands for one that a test opens.
const SETTING: Setting = Setting {
    plugins: &[
        ("hostile", ""),
        (
            "hostile_ports",
            "network = { mode = \"loopback-ports\", allow = [PORT] }",
        ),
        (
            "hostile_proxy",
            "network = { mode = \"proxy\", allow = [\"127.0.0.1:PORT\"] }",
        ),
        ("hostile_full", "network.mode = \"full\""),
    ],
    warm: "auto",
    leaks: false,
    port: 0,
};

four_ways!(rows_9_to_12, super::rows);

fn rows(way: Way) {
    let (listed, other) = (Port::open(), Port::open());
    let arena = Arena::open(
        way,
        Setting {
            port: listed.number,
            ..SETTING
        },
    );
    let sockets = Sockets::open(&arena.path("outside/socket"));
    let plan = json!({
        "ports": {"listed": listed.number, "other": other.number},
        "path": arena.path("outside/socket"),
        "abstract": sockets.name,
    });
    row_9_nobody_is_reached(&arena, &plan, [&listed, &other]);
    row_10_one_port_is_reached(&arena, &plan, &listed, &other);
    row_12_the_proxy_is_asked(&arena, &plan, &listed, &other);
    let full = arena.attack("hostile_full", "reach", plan);
    assert_eq!(full["ports"]["other"]["tcp"], "done", "{way}: {full}");
    assert_eq!(other.arrived().1, 1, "{way}: {full}");
    row_11_unix_sockets_are_not(&arena, &full, &sockets);
    arena.assert_all_refused("syscalls", "11 full", &full["kinds"]);
}

fn row_9_nobody_is_reached(arena: &Arena, plan: &Value, ports: [&Port; 2]) {
    let none = arena.attack("hostile", "reach", plan.clone());
    for part in ["ports", "unix", "kinds", "listen"] {
        arena.assert_all_refused("network_none", &format!("9 {part}"), &none[part]);
    }
    let arrived = ports.map(Port::arrived);
    arena.assert_held(
        "network_none",
        "9 arrived",
        arrived == [(0, 0); 2],
        &json!(arrived),
    );
    assert_eq!(
        none["pair"], "done",
        "{}: pairs are pipes: {none}",
        arena.way
    );
}

fn row_10_one_port_is_reached(arena: &Arena, plan: &Value, listed: &Port, other: &Port) {
    if arena.state("network_ports") == "absent" {
        let refused = arena.failing("hostile_ports", "reach", plan.clone());
        assert_eq!(refused["error"]["code"], "sandbox_unavailable", "{refused}");
        return;
    }
    let some = arena.attack("hostile_ports", "reach", plan.clone());
    assert_eq!(
        some["ports"]["listed"]["tcp"], "done",
        "{}: {some}",
        arena.way
    );
    let (connections, datagrams) = listed.arrived();
    assert!(connections >= 1, "{}: {some}", arena.way);
    arena.assert_held("network_ports", "10 udp", datagrams == 0, &json!(datagrams));
    arena.assert_all_refused("network_ports", "10 other", &some["ports"]["other"]);
    let arrived = other.arrived();
    arena.assert_held(
        "network_ports",
        "10 arrived",
        arrived == (0, 0),
        &json!(arrived),
    );
    for part in ["unix", "kinds", "listen"] {
        arena.assert_all_refused("network_ports", &format!("10 {part}"), &some[part]);
    }
    for way in ["mptcp", "sctp", "fastopen", "fastopen in a message", "udp"] {
        let seen = &some["ports"]["listed"][way];
        arena.assert_refused("network_ports", &format!("10 listed by {way}"), seen);
    }
}

fn row_12_the_proxy_is_asked(arena: &Arena, plan: &Value, listed: &Port, other: &Port) {
    let (listed_port, port) = (listed.number, other.number);
    let allowed = format!("127.0.0.1:{listed_port}");
    let denied = [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        format!("[::1]:{listed_port}"),
        format!("[::ffff:127.0.0.1]:{port}"),
        format!("0.0.0.0:{listed_port}"),
        format!("2130706433:{port}"),
        "169.254.169.254:80".to_owned(),
        "example.com:443".to_owned(),
    ];
    let destinations: Vec<_> = denied.iter().chain([&allowed]).collect();
    let tunnel = json!({"destinations": destinations, "port": listed_port});
    let key = "network_proxy";
    let asked = arena.attack("hostile_proxy", "tunnel", tunnel);
    assert_eq!(asked["answers"][&allowed], "200", "{}: {asked}", arena.way);
    assert_eq!(listed.arrived(), (1, 0), "{}: {asked}", arena.way);
    for destination in &denied {
        let seen = &asked["answers"][destination];
        arena.assert_held(key, &format!("12 {destination}"), seen != "200", seen);
    }
    let stranger = &asked["without a key"];
    arena.assert_held(key, "12 without a key", stranger == "407", stranger);
    arena.assert_refused(key, "12 past it", &asked["past it"]);
    let reached = arena.attack("hostile_proxy", "reach", plan.clone());
    for part in ["ports", "unix", "kinds"] {
        arena.assert_all_refused(key, &format!("12 {part}"), &reached[part]);
    }
    let arrived = (listed.arrived(), other.arrived());
    arena.assert_held(
        key,
        "12 arrived",
        arrived == ((0, 0), (0, 0)),
        &json!(arrived),
    );
}

fn row_11_unix_sockets_are_not(arena: &Arena, full: &Value, sockets: &Sockets) {
    arena.assert_all_refused("network_none", "11 full", &full["unix"]);
    let reached = sockets.reached();
    arena.assert_held("network_none", "11 arrived", !reached, &json!(reached));
}
