use std::fs;
use std::future;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use smcp_worker::plugin::process::{
    Exit, Limits, Output, ProcessError, RefusalKind, StopReason, run,
};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::mpsc;

use crate::world::{
    assert_ends, eventually, invocation, is_alive, python, run_all, run_until_it_writes, shell,
    supervisor, within,
};

const NO_TIME: Duration = Duration::from_millis(200);

#[tokio::test]
async fn the_end_is_that_of_the_program() {
    let check = async |script: &str, expected: Exit| {
        let ran = run_all(&shell(script), &Limits::default()).await;
        assert_eq!(*ran.exit(), expected, "{script}");
        assert!(ran.ended.started);
    };
    check("exit 0", Exit::Code(0)).await;
    check("exit 3", Exit::Code(3)).await;
    check("exit 255", Exit::Code(255)).await;
    check("kill -KILL $$", Exit::Signal(9)).await;
    check("kill -TERM $$", Exit::Signal(15)).await;
}

#[tokio::test]
async fn a_program_that_cannot_start_is_refused_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode: u32| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.into_os_string().into_string().unwrap()
    };
    let check = async |invocation, kind: RefusalKind, part: &str| {
        let ran = run_all(&invocation, &Limits::default()).await;
        let Exit::Refused {
            kind: found,
            reason,
            ..
        } = ran.exit()
        else {
            panic!("{:?} for {part}", ran.exit());
        };
        assert_eq!(*found, kind, "{reason}");
        assert!(reason.contains(part), "{reason}");
        assert!(!ran.ended.started);
    };
    let none: [&str; 0] = [];
    let missing = invocation("/nowhere/cli", none);
    check(
        missing,
        RefusalKind::NotFound,
        "/nowhere/cli does not exist",
    )
    .await;
    let locked = invocation(&file("locked", "#!/bin/sh\n", 0o600), none);
    check(locked, RefusalKind::NotPermitted, "Permission denied").await;
    let text = invocation(&file("text", "exit 0\n", 0o700), none);
    check(text, RefusalKind::NotExecutable, "begins with #!").await;
    let orphan = invocation(&file("orphan", "#!/nowhere/python\n", 0o700), none);
    check(
        orphan,
        RefusalKind::NotFound,
        "interpreter named in its first line",
    )
    .await;
    let long = invocation("/bin/true", ["x".repeat(300_000)]);
    check(long, RefusalKind::TooLarge, "Argument list too long").await;
    let mut lost = shell("exit 0");
    lost.cwd = PathBuf::from("/nowhere");
    check(lost, RefusalKind::NotFound, "working directory /nowhere").await;
}

#[tokio::test]
async fn a_timeout_kills_grandchildren_and_answers_at_once() {
    let ran = run_all(&shell("sleep 300 & echo $!; wait"), &within(NO_TIME)).await;
    assert_eq!(*ran.exit(), Exit::TimedOut);
    assert!(
        ran.ended.duration < Duration::from_secs(3),
        "{:?}",
        ran.ended.duration
    );
    assert!(!is_alive(ran.printed_pid()));
}

#[tokio::test]
async fn a_program_that_closed_its_output_is_timed_all_the_same() {
    let ran = run_all(&shell("exec >&- 2>&-; exec sleep 300"), &within(NO_TIME)).await;
    assert_eq!(*ran.exit(), Exit::TimedOut);
}

#[tokio::test]
async fn a_grandchild_that_holds_stdout_open_does_not_delay_the_end() {
    let ran = run_all(&shell("sleep 300 & echo $!"), &Limits::default()).await;
    assert_eq!(*ran.exit(), Exit::Code(0));
    assert!(!is_alive(ran.printed_pid()));
}

#[tokio::test]
async fn a_daemon_is_dead_when_the_run_ends() {
    let daemon = python(
        "
import os
r, w = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.write(w, str(os.getpid()).encode())
        os.close(w)
        os.execvp('sleep', ['sleep', '300'])
    os._exit(0)
os.close(w)
print(os.read(r, 20).decode())
",
    );
    let ran = run_all(&daemon, &Limits::default()).await;
    assert_eq!(*ran.exit(), Exit::Code(0));
    assert!(!is_alive(ran.printed_pid()));
}

#[tokio::test]
async fn a_stopped_child_is_dead_when_the_run_ends() {
    let ran = run_all(
        &shell("sleep 300 & kill -STOP $!; echo $!"),
        &Limits::default(),
    )
    .await;
    assert_eq!(*ran.exit(), Exit::Code(0));
    assert!(!is_alive(ran.printed_pid()));
}

#[tokio::test]
async fn a_stopped_program_hears_of_the_timeout() {
    let script = "trap 'echo heard; exit 0' TERM; kill -STOP $$";
    let ran = run_all(&shell(script), &within(NO_TIME)).await;
    assert_eq!((ran.exit(), ran.text()), (&Exit::TimedOut, "heard"));
}

#[tokio::test]
async fn a_stop_lets_the_program_clean_up() {
    let script = "trap 'echo bye; exit 0' TERM; echo hello; while :; do sleep 0.01; done";
    let ran = run_until_it_writes(&shell(script), &Limits::default(), StopReason::Cancelled).await;
    assert_eq!(*ran.exit(), Exit::Stopped(StopReason::Cancelled));
    assert_eq!(ran.text(), "hello\nbye");
}

#[tokio::test]
async fn a_program_that_ignores_the_stop_is_killed_after_the_grace() {
    let script = "trap '' TERM; echo hello; while :; do sleep 0.01; done";
    let limits = Limits {
        grace: NO_TIME,
        ..Limits::default()
    };
    let ran = run_until_it_writes(&shell(script), &limits, StopReason::ShuttingDown).await;
    assert_eq!(*ran.exit(), Exit::Stopped(StopReason::ShuttingDown));
    assert!(ran.ended.duration >= NO_TIME, "{:?}", ran.ended.duration);
}

#[tokio::test]
async fn signals_to_the_supervisor_do_not_end_it() {
    let script = "for signal in TERM INT HUP; do kill -$signal $PPID; done; echo on";
    let ran = run_all(&shell(script), &Limits::default()).await;
    assert_eq!((ran.exit(), ran.text()), (&Exit::Code(0), "on"));
}

#[tokio::test]
async fn a_lost_supervisor_is_an_error_and_takes_the_program_along() {
    let (sender, mut receiver) = mpsc::channel(8);
    let invocation = shell("echo $$; kill -KILL $PPID; exec sleep 300");
    let limits = Limits::default();
    let (ended, printed) = tokio::join!(
        run(&invocation, &limits, future::pending(), sender),
        receiver.recv()
    );
    let error = ended.unwrap_err();
    assert!(error.may_have_started());
    assert!(error.to_string().contains("SIGKILL"), "{error}");
    let Some(Output::Stdout(pid)) = printed else {
        panic!("{printed:?}")
    };
    assert_ends(str::from_utf8(&pid).unwrap().trim().parse().unwrap()).await;
}

#[tokio::test]
async fn what_escapes_a_lost_supervisor_cannot_hold_the_run() {
    let (sender, mut receiver) = mpsc::channel(8);
    let invocation = shell("setsid sleep 60 & echo $!; kill -KILL $PPID");
    let limits = Limits::default();
    let (ended, printed) = tokio::join!(
        tokio::time::timeout(
            Duration::from_secs(10),
            run(&invocation, &limits, future::pending(), sender)
        ),
        receiver.recv()
    );
    let Some(Output::Stdout(pid)) = printed else {
        panic!("{printed:?}")
    };
    let pid = str::from_utf8(&pid).unwrap().trim().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).ok();
    assert!(
        matches!(ended, Ok(Err(ProcessError::SupervisorLost { .. }))),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_supervisor_that_cannot_start_has_run_nothing() {
    let mut invocation = shell("exit 0");
    invocation.supervisor = PathBuf::from("/nowhere/smcp");
    let (sender, _receiver) = mpsc::channel(8);
    let ended = run(&invocation, &Limits::default(), future::pending(), sender).await;
    let error = ended.unwrap_err();
    assert!(matches!(error, ProcessError::Spawn { .. }), "{error:?}");
    assert!(!error.may_have_started());
}

#[tokio::test]
async fn dropping_the_run_kills_the_tree() {
    let (sender, mut receiver) = mpsc::channel(8);
    let invocation = shell("trap '' TERM; setsid sleep 300 & echo $!; wait");
    let limits = Limits::default();
    let printed = tokio::select! {
        ended = run(&invocation, &limits, future::pending(), sender) => panic!("{ended:?}"),
        printed = receiver.recv() => printed,
    };
    let Some(Output::Stdout(pid)) = printed else {
        panic!("{printed:?}")
    };
    assert_ends(str::from_utf8(&pid).unwrap().trim().parse().unwrap()).await;
}

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "the worker that dies must be another process"
)]
async fn the_death_of_the_worker_kills_the_tree() {
    let mut worker = tokio::process::Command::new(supervisor())
        .args(["/bin/sh", "-c", "trap '' TERM; sleep 300 & echo $!; wait"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(worker.stdout.take().unwrap()).lines();
    let pid = lines.next_line().await.unwrap().unwrap().parse().unwrap();
    assert!(is_alive(pid));
    worker.kill().await.unwrap();
    assert_ends(pid).await;
}

#[tokio::test]
async fn the_environment_is_exactly_the_given_one() {
    let mut invocation = invocation("/usr/bin/env", ["-0"]);
    let bytes = std::ffi::OsString::from_vec(b"\xff\n=".to_vec());
    invocation.env = vec![("A".into(), "1".into()), ("BYTES".into(), bytes)];
    let ran = run_all(&invocation, &Limits::default()).await;
    let variables: Vec<_> = ran.stdout.split(|&byte| byte == 0).collect();
    let [b"A=1", b"BYTES=\xff\n=", events, b""] = variables[..] else {
        panic!("{}", ran.stdout.escape_ascii());
    };
    assert!(events.starts_with(b"SMCP_EVENTS_FD="));
}

#[tokio::test]
async fn no_descriptor_of_the_worker_reaches_the_program() {
    let script = "
import os
print(os.environ['SMCP_EVENTS_FD'])
for fd in range(1024):
    try:
        os.fstat(fd)
        print(fd)
    except OSError:
        pass
";
    let ran = run_all(&python(script), &Limits::default()).await;
    let mut numbers = ran
        .text()
        .lines()
        .map(|number| number.parse::<u32>().unwrap());
    let events = numbers.next().unwrap();
    let open: Vec<_> = numbers.filter(|fd| !is_inheritable(*fd)).collect();
    assert_eq!(open, [events]);
}

/// Whether whoever started the tests left them this descriptor to pass on.
fn is_inheritable(fd: u32) -> bool {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:\t"));
    flags.is_some_and(|flags| u32::from_str_radix(flags, 8).unwrap() & 0o2_000_000 == 0)
}

#[tokio::test]
async fn the_program_starts_as_from_a_clean_slate() {
    let script = "
import os
status = dict(line.split(':\t', 1) for line in open('/proc/self/status').read().splitlines())
print(os.readlink('/proc/self/fd/0'), os.getcwd(), status['Umask'], status['SigBlk'])
print(os.getpgid(0) == os.getpid(), os.getsid(0) == os.getppid())
";
    let mut invocation = python(script);
    invocation.cwd = PathBuf::from("/usr");
    let ran = run_all(&invocation, &Limits::default()).await;
    assert_eq!(
        ran.text(),
        "/dev/null /usr 0077 0000000000000000\nTrue True"
    );
    // Not asked of Python, which ignores SIGPIPE itself.
    let ran = run_all(&shell("grep SigIgn /proc/self/status"), &Limits::default()).await;
    let ignored = ran.text().rsplit('\t').next().unwrap();
    assert_eq!(
        u64::from_str_radix(ignored, 16).unwrap() & (1 << 12),
        0,
        "SIGPIPE is ignored"
    );
}

#[tokio::test]
async fn orphans_that_end_are_reaped_during_the_run() {
    let script = "
import os, time
for _ in range(20):
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            time.sleep(0.01)
        os._exit(0)
    os.waitpid(child, 0)
supervisor = os.getppid()
deadline = time.monotonic() + 10
siblings = None
while siblings != [str(os.getpid())] and time.monotonic() < deadline:
    siblings = open(f'/proc/{supervisor}/task/{supervisor}/children').read().split()
print(len(siblings))
";
    let ran = run_all(&python(script), &Limits::default()).await;
    assert_eq!(ran.text(), "1");
}

#[tokio::test]
async fn no_supervisor_stays_as_a_zombie() {
    let ran = run_all(&shell("echo $PPID"), &Limits::default()).await;
    let gone = PathBuf::from(format!("/proc/{}", ran.printed_pid()));
    eventually("the supervisor is reaped", || !gone.exists()).await;
}
