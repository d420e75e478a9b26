//! The life of a waiting interpreter: what ends it, what it refuses, and that nothing goes from one call to the next.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use smcp_common::sandbox::Start;
use smcp_worker::plugin::process::{Exit, Limits, StopReason};
use smcp_worker::warm::Bounds;

use super::world::World;
use crate::world::{Ran, assert_ends, eventually, is_alive, within};

/// Prints the process that it was forked from.
const PARENT: &str = "import os\nprint(os.getppid())\n";

fn start(ran: &Ran) -> Start {
    ran.ended.start
}

#[tokio::test]
async fn one_interpreter_runs_many_calls() {
    let world = World::new(PARENT);
    let hosts = [
        world.plain().await,
        world.plain().await,
        world.plain().await,
    ];
    assert!(
        hosts.iter().all(|ran| start(ran) == Start::Warm),
        "{hosts:?}"
    );
    let host = hosts[0].printed_pid();
    assert!(hosts.iter().all(|ran| ran.printed_pid() == host));
    assert!(is_alive(host));
    world.warm.close().await;
    assert!(!is_alive(host));
    assert!(!world.scratch().exists());
}

#[tokio::test]
async fn a_dropped_pool_kills_its_interpreters() {
    let world = World::new(PARENT);
    let host = world.plain().await.printed_pid();
    drop(world);
    assert_ends(host).await;
}

#[tokio::test]
async fn an_interpreter_is_replaced_after_so_many_calls_and_nothing_piles_up() {
    let calls = 50;
    let world = World::bounded(
        PARENT,
        Bounds {
            calls,
            ..Bounds::default()
        },
    );
    let mut hosts = Vec::new();
    let fds = |hosts: &[u32]| {
        let host = hosts.last().unwrap();
        fs::read_dir(format!("/proc/{host}/fd")).unwrap().count()
    };
    let mut open = Vec::new();
    for _ in 0..3 * calls {
        let ran = world.plain().await;
        assert_eq!((start(&ran), ran.exit()), (Start::Warm, &Exit::Code(0)));
        hosts.push(ran.printed_pid());
        open.push(fds(&hosts));
    }
    // While it takes leave of a call or prepares for the next, it has two more or less.
    let (fewest, most) = (open.iter().min().unwrap(), open.iter().max().unwrap());
    assert!(most - fewest <= 3, "{open:?}");
    let runs: Vec<_> = hosts
        .chunk_by(|one, other| one == other)
        .map(<[u32]>::len)
        .collect();
    assert_eq!(runs, [calls as usize; 3]);
    world.warm.close().await;
    assert!(hosts.iter().all(|&host| !is_alive(host)));
}

#[tokio::test]
async fn an_idle_interpreter_goes() {
    let idle = Duration::from_millis(50);
    let world = World::bounded(
        PARENT,
        Bounds {
            idle,
            ..Bounds::default()
        },
    );
    let host = world.plain().await.printed_pid();
    assert_ends(host).await;
    let ran = world.plain().await;
    assert_eq!(start(&ran), Start::Warm);
    assert_ne!(ran.printed_pid(), host);
    world.warm.close().await;
}

#[tokio::test]
async fn the_one_that_has_waited_longest_makes_room() {
    let mut world = World::bounded(
        PARENT,
        Bounds {
            interpreters: 2,
            ..Bounds::default()
        },
    );
    let mut hosts = Vec::new();
    for plugin in ["one", "two", "three"] {
        world.place.plugin = plugin.to_owned();
        let scratch = world.plugin().with_file_name(plugin);
        world.place.emptied = vec![scratch.clone()];
        world.place.scratch = Some(scratch);
        hosts.push(world.plain().await.printed_pid());
    }
    let alive: Vec<_> = hosts.iter().map(|&host| is_alive(host)).collect();
    assert_eq!(alive, [false, true, true]);
    world.warm.close().await;
}

#[tokio::test]
async fn what_it_is_made_of_makes_another_one() {
    let mut world = World::new(PARENT).installed(&[("other.py", "")]);
    let mut hosts = vec![world.plain().await.printed_pid()];
    world.place.digest = "2".to_owned();
    hosts.push(world.plain().await.printed_pid());
    world.place.fingerprint = "another".to_owned();
    hosts.push(world.plain().await.printed_pid());
    world.place.env.push(("ANOTHER".into(), "1".into()));
    hosts.push(world.plain().await.printed_pid());
    let packages = fs::read_dir(world.plugin().join(".venv/lib"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    fs::write(packages.path().join("site-packages/new.py"), "").unwrap();
    hosts.push(world.plain().await.printed_pid());
    world.write("new.py", "");
    hosts.push(world.plain().await.printed_pid());
    let last = *hosts.last().unwrap();
    assert_eq!(world.plain().await.printed_pid(), last);
    for host in &hosts[..hosts.len() - 1] {
        assert!(!is_alive(*host));
    }
    hosts.sort_unstable();
    hosts.dedup();
    assert_eq!(hosts.len(), 6);
    world.warm.close().await;
}

#[tokio::test]
async fn a_changed_file_is_run_as_it_is_now() {
    let world = World::new("import helper\nprint('one', helper.NAME)\n");
    world.write("helper.py", "NAME = 'a'\n");
    assert_eq!(world.plain().await.text(), "one a");
    // Its time of change may be the same.
    world.write("helper.py", "NAME = 'bb'\n");
    assert_eq!(world.plain().await.text(), "one bb");
    world.write("cli.py", "import helper\nprint('second', helper.NAME)\n");
    let ran = world.plain().await;
    assert_eq!((start(&ran), ran.text()), (Start::Warm, "second bb"));
    world.write("cli.py", "print(\n");
    let ran = world.plain().await;
    assert!(
        ran.logs
            .iter()
            .any(|line| line.contains("was never closed")),
        "{:?}",
        ran.logs
    );
    assert_eq!(*ran.exit(), Exit::Code(1));
    world.warm.close().await;
}

#[tokio::test]
async fn nothing_of_a_call_is_seen_by_the_next() {
    let source = r#"
import json
import os
import sys

json.state = getattr(json, "state", 0) + 1
try:
    parent = open(f"/proc/{os.getppid()}/environ").read()
except PermissionError:
    parent = ""
memory = b""
for line in open("/proc/self/maps"):
    area, flags, *_ = line.split()
    if "r" in flags and "[v" not in line:
        start, end = (int(part, 16) for part in area.split("-"))
        with open("/proc/self/mem", "rb", 0) as file:
            file.seek(start)
            try:
                memory += file.read(end - start) or b""
            except OSError:
                pass
needle = "".join(["hunter", "2-", "first"])
print(json.state, os.environ.get("TOKEN"), "hunter2" in parent, needle.encode() in memory, os.listdir("."))
open("left", "w").close()
os.mkdir("below")
open("below/left", "w").close()
os.chmod("below", 0)
"#;
    let world = World::new(source);
    for token in ["hunter2-first", "hunter2-second"] {
        let mut invocation = world.invocation(["argument"]);
        invocation.env.push(("TOKEN".into(), token.into()));
        let ran = world.call(&invocation).await;
        assert_eq!(start(&ran), Start::Warm);
        let own = if token == "hunter2-first" {
            "True"
        } else {
            "False"
        };
        assert_eq!(
            ran.text(),
            format!("1 {token} False {own} []"),
            "{:?}",
            ran.logs
        );
    }
    world.warm.close().await;
}

#[tokio::test]
async fn a_call_cannot_reach_its_interpreter() {
    let source = r#"
import ctypes
import os

parent = os.getppid()
attach = ctypes.CDLL(None, use_errno=True).ptrace(16, parent, None, None)
try:
    os.kill(parent, 0)
    signal = "sent"
except PermissionError:
    signal = "denied"
try:
    open(f"/proc/{parent}/mem", "r+b")
    memory = "open"
except PermissionError:
    memory = "denied"
print(attach, signal, memory)
"#;
    let world = World::new(source);
    let ran = world.plain().await;
    assert_eq!((start(&ran), ran.text()), (Start::Warm, "-1 denied denied"));
    world.warm.close().await;
}

#[tokio::test]
async fn a_call_that_leaves_a_process_costs_its_interpreter() {
    let source = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    os.close(1)\n    time.sleep(300)\nprint(os.getppid())\n";
    let world = World::new(source);
    let mut hosts = Vec::new();
    for _ in 0..3 {
        let ran = world.plain().await;
        assert_eq!((start(&ran), ran.exit()), (Start::Warm, &Exit::Code(0)));
        assert!(!is_alive(ran.printed_pid()));
        hosts.push(ran.printed_pid());
    }
    hosts.dedup();
    assert_eq!(hosts.len(), 3);
    assert_eq!(start(&world.plain().await), Start::Cold);
    assert_eq!(world.reason(), "its calls leave processes behind");
}

#[tokio::test]
async fn a_call_that_runs_too_long_is_stopped_with_its_tree() {
    let source = "import os, subprocess, time\nchild = subprocess.Popen(['sleep', '300'])\nprint(os.getppid(), os.getpid(), child.pid)\ntime.sleep(300)\n";
    let world = World::new(source);
    let limits = within(Duration::from_millis(1500));
    let ran = world
        .call_within(&world.invocation([""; 0]), &limits, None)
        .await
        .unwrap();
    assert_eq!((ran.exit(), start(&ran)), (&Exit::TimedOut, Start::Warm));
    let pids: Vec<u32> = ran
        .text()
        .split(' ')
        .map(|pid| pid.parse().unwrap())
        .collect();
    assert_eq!(pids.len(), 3);
    assert!(pids.into_iter().all(|pid| !is_alive(pid)));
    assert_eq!(start(&world.plain_stopped().await), Start::Warm);
}

#[tokio::test]
async fn a_stopped_call_may_clean_up_or_is_killed() {
    let polite = "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit('heard'))\nprint('on', flush=True)\ntime.sleep(300)\n";
    let ran = World::new(polite).plain_stopped().await;
    assert_eq!(*ran.exit(), Exit::Stopped(StopReason::Cancelled));
    assert_eq!(ran.logs, ["heard"]);
    let deaf = "import os, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint(os.getpid(), flush=True)\ntime.sleep(300)\n";
    let ran = World::new(deaf).plain_stopped().await;
    assert_eq!(*ran.exit(), Exit::Stopped(StopReason::Cancelled));
    assert!(!is_alive(ran.printed_pid()));
}

#[tokio::test]
async fn an_interpreter_that_is_killed_ends_its_call_and_is_replaced() {
    let world = World::new(
        "import os, sys, time\nsys.stdout.write(f'{os.getppid()} {os.getpid()}')\ntime.sleep(300 if len(sys.argv) > 1 else 0)\n",
    );
    let (sender, mut output) = tokio::sync::mpsc::channel(4);
    let (invocation, limits) = (world.invocation(["wait"]), Limits::default());
    let run = world.warm.run(
        &world.place,
        &invocation,
        &limits,
        std::future::pending(),
        sender,
    );
    let kill = async {
        let Some(smcp_worker::plugin::process::Output::Stdout(said)) = output.recv().await else {
            panic!("no output");
        };
        let said = String::from_utf8(said).unwrap();
        let pids: Vec<i32> = said
            .split_whitespace()
            .map(|pid| pid.parse().unwrap())
            .collect();
        kill_process(Pid::from_raw(pids[0]).unwrap(), Signal::KILL).unwrap();
        u32::try_from(pids[1]).unwrap()
    };
    let (ended, fork) = tokio::join!(run, kill);
    assert_eq!(ended.unwrap().exit, Exit::Signal(9));
    assert!(!is_alive(fork));
    let ran = world.plain().await;
    assert_eq!((start(&ran), ran.exit()), (Start::Warm, &Exit::Code(0)));
    // Also between two calls.
    let host = ran
        .text()
        .split(' ')
        .next()
        .unwrap()
        .parse::<i32>()
        .unwrap();
    kill_process(Pid::from_raw(host).unwrap(), Signal::KILL).unwrap();
    eventually("the interpreter is gone", || !is_alive(host.unsigned_abs())).await;
    assert_eq!(*world.plain().await.exit(), Exit::Code(0));
    world.warm.close().await;
}

#[tokio::test]
async fn imports_that_a_fork_cannot_share_are_refused() {
    let rows = [
        (
            "import threading, time\nthreading.Thread(target=time.sleep, args=[300], daemon=True).start()\n",
            "its imports start threads",
        ),
        ("import os\nkept = os.pipe()\n", "its imports open files"),
        ("open('left', 'w').close()\n", "its imports leave files"),
        (
            "import subprocess\nkept = subprocess.Popen(['sleep', '300'], start_new_session=True)\n",
            "its imports start processes",
        ),
        (
            "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n",
            "its imports handle signals",
        ),
        (
            "import os\nos.chdir('/')\n",
            "its imports change the working directory",
        ),
        ("import os\nos.umask(0)\n", "its imports change the umask"),
        (
            "import atexit\natexit.register(print)\n",
            "its imports register something to do at exit (builtins)",
        ),
        ("print('hello')\n", "its imports print something"),
        (
            "raise RuntimeError('broken')\n",
            "importing outside fails: RuntimeError: broken",
        ),
    ];
    for (source, reason) in rows {
        let world =
            World::new("import outside\nprint('ran')\n").installed(&[("outside.py", source)]);
        let ran = world.plain().await;
        assert_eq!(
            (start(&ran), world.reason().as_str()),
            (Start::Cold, reason),
            "{source}"
        );
        assert_eq!(start(&world.plain().await), Start::Cold);
    }
}

#[tokio::test]
async fn another_digest_is_tried_again() {
    let mut world = World::new("import outside\n").installed(&[("outside.py", "print('hello')\n")]);
    assert_eq!(start(&world.plain().await), Start::Cold);
    assert_eq!(world.reason(), "its imports print something");
    world.write(".venv/lib/unrelated", "");
    world.write("cli.py", "print('ran')\n");
    world.place.digest = "2".to_owned();
    assert_eq!(start(&world.plain().await), Start::Warm);
    assert_eq!(world.reason(), "");
    world.warm.close().await;
}

#[tokio::test]
async fn a_plugin_that_cannot_wait_is_not_tried_again_in_another_place() {
    let outside =
        "import sys\nif sys.argv[0] == '-c':\n    open(TRIED, 'a').write('x')\nprint('hello')\n";
    let tried = tempfile::NamedTempFile::new().unwrap();
    let outside = outside.replace("TRIED", &format!("{:?}", tried.path()));
    let mut world = World::new("import outside\n").installed(&[("outside.py", &outside)]);
    assert_eq!(start(&world.plain().await), Start::Cold);
    // Another scratch directory, another key for the proxy: each place has its own.
    world.place.env.push(("HOME".into(), "/elsewhere".into()));
    assert_eq!(start(&world.plain().await), Start::Cold);
    assert_eq!(world.reason(), "its imports print something");
    assert_eq!(fs::read_to_string(tried.path()).unwrap(), "x");
}

#[tokio::test]
async fn a_file_that_cannot_be_compiled_is_run_anew() {
    let world = World::new("print(\n");
    let ran = world.plain().await;
    assert_eq!((start(&ran), ran.exit()), (Start::Cold, &Exit::Code(1)));
    assert!(world.reason().starts_with("its file cannot be compiled: "));
}

#[tokio::test]
async fn an_own_module_wins_over_pythons() {
    let world = World::new("import json\nprint(json.OWN)\n");
    world.write("json.py", "OWN = 'mine'\n");
    assert_eq!(world.plain().await.text(), "mine");
    let world = World::new("import outside\nimport json\nprint(json.OWN)\n")
        .installed(&[("outside.py", "import json\n")]);
    world.write("json.py", "OWN = 'mine'\n");
    let ran = world.plain().await;
    assert_eq!((start(&ran), ran.text()), (Start::Cold, "mine"));
}

#[tokio::test]
async fn imports_behind_statements_are_left_to_the_call() {
    let outside = [
        ("first.py", "import os\nPID = os.getpid()\n"),
        ("second.py", "import os\nPID = os.getpid()\n"),
    ];
    let source = "import os\nimport sys\ntry:\n    import missing\nexcept ImportError:\n    import first\nif sys.version_info < (3,):\n    import also_missing\nsys.path.insert(0, os.getcwd())\nimport second\nprint(first.PID == os.getppid(), second.PID == os.getpid())\n";
    let world = World::new(source).installed(&outside);
    let ran = world.plain().await;
    assert_eq!(
        (start(&ran), ran.text()),
        (Start::Warm, "True True"),
        "{:?}",
        ran.logs
    );
    world.warm.close().await;
}

#[tokio::test]
async fn what_a_module_of_its_own_imports_is_imported_once_as_well() {
    let source =
        "import os\nimport own\nprint(own.outside.PID == os.getppid(), own.PID == os.getpid())\n";
    let world = World::new(source).installed(&[("outside.py", "import os\nPID = os.getpid()\n")]);
    world.write(
        "own.py",
        "import os\nimport outside\nimport own\nPID = os.getpid()\n",
    );
    let ran = world.plain().await;
    assert_eq!((start(&ran), ran.text()), (Start::Warm, "True True"));
    let invocation = world.invocation::<&str>([]);
    let imported = world.warm.rehearse(&world.place, &invocation).await;
    assert_eq!(imported.unwrap(), ["os", "outside"]);
    world.warm.close().await;
}

#[tokio::test]
async fn what_imports_change_in_the_environment_stays() {
    let outside = [(
        "outside.py",
        "import os\nos.environ['SET'] = 'by import'\nos.environ.pop('DROPPED', None)\n",
    )];
    let mut world = World::new("import os\nimport outside\nprint(os.environ.get('SET'), os.environ.get('DROPPED'), os.environ.get('OWN'))\n").installed(&outside);
    world.place.env.push(("DROPPED".into(), "1".into()));
    let mut invocation = world.invocation([""; 0]);
    invocation.env.push(("OWN".into(), "own".into()));
    let ran = world.call(&invocation).await;
    assert_eq!(
        (start(&ran), ran.text()),
        (Start::Warm, "by import None own")
    );
    assert_eq!(world.anew(&invocation).await.text(), "by import None own");
    world.warm.close().await;
}

#[tokio::test]
async fn what_python_reads_at_its_start_makes_a_start() {
    let world = World::new("import sys\nprint(sys.flags.optimize)\n");
    let mut invocation = world.invocation([""; 0]);
    invocation.env.push(("PYTHONOPTIMIZE".into(), "1".into()));
    let ran = world.call(&invocation).await;
    assert_eq!((start(&ran), ran.text()), (Start::Cold, "1"));
    assert_eq!(start(&world.plain().await), Start::Warm);
    assert!(world.waits());
    let invocation = world.invocation(["x".repeat(200 * 1024)]);
    let ran = world.call(&invocation).await;
    assert!(!world.waits(), "what the call left would be in its place");
    assert!(
        matches!(ran.exit(), Exit::Refused { .. }),
        "{:?}",
        ran.exit()
    );
    world.warm.close().await;
}

#[tokio::test]
async fn random_numbers_differ_between_calls() {
    let world = World::new("import random\nimport uuid\nprint(random.random(), uuid.uuid4())\n");
    let (first, second) = (world.plain().await, world.plain().await);
    assert_eq!((start(&first), start(&second)), (Start::Warm, Start::Warm));
    assert_ne!(first.text(), second.text());
    world.warm.close().await;
}
