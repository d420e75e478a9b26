use std::fs;

use serde_json::json;
use smcp_common::secret::Redactor;
use smcp_worker::plugin::process::{Exit, Limits};

use crate::world::{run_all, shell};

#[tokio::test]
async fn a_flood_of_output_is_capped_and_counted() {
    let limits = Limits {
        stdout_max_bytes: 100_000,
        ..Limits::default()
    };
    let ran = run_all(&shell("head -c 1G /dev/zero"), &limits).await;
    assert_eq!(*ran.exit(), Exit::Code(0));
    assert_eq!(ran.stdout.len(), 100_000);
    assert_eq!(ran.ended.stdout_bytes, 1 << 30);
    assert!(ran.ended.stdout_truncated);
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let peak_kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak_kib < 200 * 1024, "{peak_kib} KiB");
}

#[tokio::test]
async fn output_below_the_cap_is_complete() {
    let ran = run_all(&shell("head -c 3000000 /dev/zero"), &Limits::default()).await;
    assert_eq!(
        (ran.stdout.len(), ran.ended.stdout_truncated),
        (3_000_000, false)
    );
}

#[tokio::test]
async fn bytes_that_are_no_text_pass_through() {
    let script = r"printf '\377\000\376'; printf 'a\377b\n' >&2";
    let ran = run_all(&shell(script), &Limits::default()).await;
    assert_eq!(ran.stdout, [0xff, 0, 0xfe]);
    assert_eq!(ran.logs, ["a\u{fffd}b"]);
    assert_eq!(ran.ended.stderr_tail, b"a\xffb\n");
}

#[tokio::test]
async fn stderr_beyond_its_limits_is_counted_and_its_end_kept() {
    let limits = Limits {
        max_log_lines: 3,
        stderr_tail_bytes: 10,
        ..Limits::default()
    };
    let ran = run_all(&shell("seq 100000 >&2"), &limits).await;
    assert_eq!(ran.logs, ["1", "2", "3"]);
    assert_eq!(ran.ended.log_lines_dropped, 99_997);
    assert_eq!(ran.ended.stderr_tail, b"99\n100000\n");
}

#[tokio::test]
async fn events_arrive_as_json_and_anything_else_as_log() {
    let script = r#"printf '{"progress":0.5}\nhalf done\n{"progress":1}' >&$SMCP_EVENTS_FD"#;
    let ran = run_all(&shell(script), &Limits::default()).await;
    assert_eq!(
        ran.events,
        [json!({"progress": 0.5}), json!({"progress": 1})]
    );
    assert_eq!(ran.logs, ["half done"]);
}

#[tokio::test]
async fn events_beyond_their_limit_are_counted() {
    let limits = Limits {
        max_events: 2,
        ..Limits::default()
    };
    let ran = run_all(&shell("seq 5 >&$SMCP_EVENTS_FD"), &limits).await;
    assert_eq!(
        (ran.events, ran.ended.events_dropped),
        (vec![json!(1), json!(2)], 3)
    );
}

#[tokio::test]
async fn a_secret_is_struck_out_of_everything_wherever_its_pieces_end() {
    let script = r#"printf hun; sleep .05; printf 'ter2000\n'
        printf hunt >&2; sleep .05; printf 'er2000 and a\n' >&2
        printf '{"progress":1,"message":"hun' >&$SMCP_EVENTS_FD; sleep .05
        printf 'ter2000 h\\u0075nter2000"}\n' >&$SMCP_EVENTS_FD
        printf hunter"#;
    let mut invocation = shell(script);
    invocation.redactor = Redactor::new([("PIN", "hunter2000")]);
    let ran = run_all(&invocation, &Limits::default()).await;
    assert_eq!(ran.stdout, b"[redacted:PIN]\nhunter");
    assert_eq!(ran.ended.stdout_bytes, ran.stdout.len() as u64);
    assert_eq!(ran.logs, ["[redacted:PIN] and a"]);
    assert_eq!(ran.ended.stderr_tail, b"[redacted:PIN] and a\n");
    assert_eq!(
        ran.events,
        [json!({"progress": 1, "message": "[redacted:PIN] [redacted:PIN]"})]
    );
}

#[tokio::test]
async fn no_limit_cuts_a_secret_in_two() {
    let limits = Limits {
        stdout_max_bytes: 8,
        ..Limits::default()
    };
    let mut invocation = shell("printf 'abcdhunter2000'");
    invocation.redactor = Redactor::new([("PIN", "hunter2000")]);
    let ran = run_all(&invocation, &limits).await;
    assert_eq!(ran.stdout, b"abcd[red");
}
