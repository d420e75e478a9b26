//! What a call prints and how it ends is the same, whether it is forked from a waiting interpreter or started anew.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use serde_json::Value;
use smcp_common::sandbox::Start;
use smcp_common::secret::{Plain, Redactor};
use smcp_worker::plugin::process::{Exit, Invocation, SecretFile};

use super::world::World;
use crate::world::Ran;

/// What is compared of a run.
#[derive(Debug, PartialEq)]
struct Seen {
    exit: Exit,
    stdout: String,
    stderr: String,
    events: Vec<Value>,
}

fn seen(ran: &Ran) -> Seen {
    Seen {
        exit: ran.ended.exit.clone(),
        stdout: ran.stdout.escape_ascii().to_string(),
        stderr: String::from_utf8_lossy(&ran.ended.stderr_tail).into_owned(),
        events: ran.events.clone(),
    }
}

/// Asserts that two calls of the plugin in a row are as one that is started anew; answers the latter.
async fn check(case: &str, world: &World, invocation: &Invocation) -> Ran {
    let first = world.call(invocation).await;
    let second = world.call(invocation).await;
    let anew = world.anew(invocation).await;
    assert_eq!(anew.ended.start, Start::Cold, "{case}");
    for ran in [&first, &second] {
        assert_eq!(seen(ran), seen(&anew), "{case}");
        assert_eq!(
            (ran.ended.start, world.reason().as_str()),
            (Start::Warm, ""),
            "{case}"
        );
    }
    anew
}

async fn check_sources(sources: &[&str]) {
    for source in sources {
        let world = World::new(source);
        check(source, &world, &world.invocation(["one", "--two=3", ""])).await;
        world.warm.close().await;
    }
}

#[tokio::test]
async fn exits_are_the_same() {
    let exits = [
        "", "None", "0", "3", "256", "-1", "True", "1.5", "'text'", "'ü'", "[1, 2]",
    ];
    let exits = exits.map(|value| format!("import sys\nsys.exit({value})\n"));
    let mut sources: Vec<_> = exits.iter().map(String::as_str).collect();
    sources.extend([
        "raise SystemExit",
        "import os\nprint('said', end='')\nos._exit(7)\n",
        "import os\nos.abort()\n",
        "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\nsignal.pause()\n",
        "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nsignal.pause()\n",
        "raise KeyboardInterrupt",
        "import os, sys\nif os.fork() == 0:\n    sys.exit(3)\nprint(os.wait()[1])\n",
    ]);
    check_sources(&sources).await;
}

#[tokio::test]
async fn errors_are_the_same() {
    check_sources(&[
        "def f(n):\n    return 1 / n\n\n\ndef g():\n    f(0)\n\n\ng()\n",
        "try:\n    {}['a']\nexcept KeyError as error:\n    raise ValueError('b') from error\n",
        "try:\n    {}['a']\nexcept KeyError:\n    raise ValueError('ü\\ud800')\n",
        "class Odd(Exception):\n    def __str__(self):\n        raise RuntimeError\n\n\nraise Odd\n",
        "import does_not_exist\n",
        "x = '\\d'\nprint(x is 1)\n",
        "import json\njson.loads('{')\n",
        "import sys\nsys.excepthook = lambda kind, value, trace: print('hooked', value, trace.tb_lineno)\n1 / 0\n",
        "import sys\n\n\ndef hook(*args):\n    raise ValueError('in hook')\n\n\nsys.excepthook = hook\n1 / 0\n",
        "import sys\n\n\ndef hook(*args):\n    sys.exit(9)\n\n\nsys.excepthook = hook\n1 / 0\n",
        "import warnings\nwarnings.warn('old', DeprecationWarning)\nwarnings.warn('odd')\n",
        "import argparse\nargparse.ArgumentParser().parse_args()\n",
        "import os\nos.close(1)\nprint('x')\n",
        "import sys\nsys.stdout.close()\n",
        "import sys\nsys.stderr = None\n1 / 0\n",
    ])
    .await;
}

#[tokio::test]
async fn ends_are_the_same() {
    check_sources(&[
        "import atexit\natexit.register(print, 'first')\natexit.register(print, 'second')\n",
        "import atexit\n\n\nclass Fail:\n    __repr__ = lambda self: 'fail'\n\n    def __call__(self):\n        raise ValueError('at exit')\n\n\natexit.register(Fail())\nprint('end')\n",
        "import threading, time\nthreading.Thread(target=lambda: (time.sleep(.1), print('late'))).start()\nprint('end')\n",
        "import threading, time\nthreading.Thread(target=time.sleep, args=[60], daemon=True).start()\nprint('end')\n",
        "from concurrent.futures import ThreadPoolExecutor\nThreadPoolExecutor().submit(print, 'worked')\n",
        "class Last:\n    def __del__(self):\n        print('gone')\n\n\nlast = Last()\nprint('end')\n",
        "class Last:\n    def __del__(self):\n        print('gone', __name__)\n\n\n_last = Last()\nlast = [Last()]\nlast.append(last)\n",
        "import os\nfile = os.fdopen(int(os.environ['SMCP_EVENTS_FD']), 'w')\nfile.write('{\"progress\": 1}\\n')\n",
        "import os, json\njson.kept = os.fdopen(int(os.environ['SMCP_EVENTS_FD']), 'w')\njson.kept.write('{\"progress\": 1}\\n')\n",
        "import os\n\n\nclass Kept:\n    pass\n\n\nkept = Kept()\nkept.kept = kept\nkept.file = os.fdopen(int(os.environ['SMCP_EVENTS_FD']), 'wb')\nkept.file.write(b'{\"progress\": 1}\\n')\n",
        "import sys, types\n\n\nclass Last:\n    def __del__(self):\n        print('gone')\n\n\nsys.modules['own'] = types.ModuleType('own')\nsys.modules['own'].last = Last()\n",
        "import json, sys, types\n\n\nclass Last:\n    def __del__(self):\n        print('gone')\n\n\nsys.modules['own'] = types.ModuleType('own')\nsys.modules['own'].last = Last()\nsys.modules['json'] = sys.modules.pop('json')\nsys.modules.pop('__main__')\n",
        "import sys, io\nsys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, 'w', closefd=False)))\nprint('held')\n",
        "import logging\nlogging.basicConfig(level='INFO')\nlogging.info('logged')\n",
        "import tempfile\nkept = tempfile.TemporaryDirectory()\nprint(kept.name[:-8])\n",
        "import subprocess\nprint(subprocess.run(['sh', '-c', 'echo out; exit 3'], capture_output=True))\n",
        "import asyncio\n\n\nasync def main():\n    await asyncio.sleep(0)\n    print('ran')\n\n\nasyncio.run(main())\n",
    ])
    .await;
}

#[tokio::test]
async fn surroundings_are_the_same() {
    let source = r#"
"""Says what it sees."""
import json
import os
import resource
import signal
import sys
import tempfile

show = lambda name, value: print(name, repr(value))
show("globals", [(name, str(type(value))) for name, value in globals().items()])
for name in ("__name__", "__doc__", "__file__", "__package__", "__spec__", "__cached__", "__annotations__"):
    show(name, globals().get(name))
show("loader", (__loader__.name, __loader__.path))
show("main", sys.modules["__main__"].__dict__ is globals())
show("argv", (sys.argv, sys.orig_argv, sys.path, sys.executable, sys.prefix, sys.flags))
show("stdin", sys.stdin.read())
for stream in (sys.stdin, sys.stdout, sys.stderr):
    show("stream", (stream.name, stream.mode, stream.encoding, stream.errors, stream.line_buffering, stream.write_through))
show("cwd", (os.getcwd(), tempfile.gettempdir(), os.listdir(), oct(os.umask(0o077)), oct(os.stat(".").st_mode)))
show("env", sorted((name, value) for name, value in os.environ.items() if name != "SMCP_EVENTS_FD"))
show("ids", (os.getuid(), os.getgid(), os.getpgrp() == os.getpid(), os.getsid(0) == os.getpid()))
show("signals", [str(signal.getsignal(number)) for number in range(1, 32)])
show("mask", signal.pthread_sigmask(signal.SIG_BLOCK, []))
show("limits", [resource.getrlimit(number) for number in range(10)])
fds = {int(fd): os.readlink(f"/proc/self/fd/{fd}").split(":")[0] for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")}
show("fds", sorted(target for fd, target in fds.items() if not target.startswith("/proc")))
show("events", fds[int(os.environ["SMCP_EVENTS_FD"])])
show("recursion", sys.getrecursionlimit())
show("hooks", (sys.excepthook is sys.__excepthook__, sys.gettrace(), sys.getprofile(), sys.warnoptions))
os.mkdir("a")
os.mkdir("b")
open("a/file", "w").close()
os.rename("a/file", "b/file")
os.link("b/file", "a/link")
show("moved", (os.listdir("a"), os.listdir("b")))
"#;
    let world = World::new(source);
    let ran = check("surroundings", &world, &world.invocation(["argument"])).await;
    assert_eq!(*ran.exit(), Exit::Code(0), "{:?}", ran.logs);
    world.warm.close().await;
}

#[tokio::test]
async fn arguments_and_output_are_the_same_whatever_they_are() {
    let source = "import sys\nsys.stdout.buffer.write(repr(sys.argv[1:]).encode() + bytes(range(256)) * 2000)\nsys.stderr.write('e' * 9000)\n";
    let world = World::new(source);
    let args = [
        OsString::from("ü\n\t 'quoted'"),
        OsString::from_vec(vec![b'a', 0xff, 0xfe]),
        OsString::new(),
        "x".repeat(120 * 1024).into(),
    ];
    let mut invocation = world.invocation(args);
    let large = |number| {
        (
            format!("LARGE_{number}").into(),
            "y".repeat(100 * 1024).into(),
        )
    };
    invocation.env.extend((0..5).map(large));
    let ran = check("arguments", &world, &invocation).await;
    assert!(ran.stdout.len() > 512_000);
    world.warm.close().await;
}

#[tokio::test]
async fn modules_of_the_plugin_are_the_same() {
    let source = "import helper\nfrom parts import part\nimport json\n\njson.seen = getattr(json, 'seen', 0) + 1\nprint(helper.__name__, helper.__file__, helper.count(), part.NAME, json.seen)\n";
    let world = World::new(source);
    world.write(
        "helper.py",
        "calls = []\n\n\ndef count():\n    calls.append(1)\n    return len(calls)\n",
    );
    std::fs::create_dir(world.plugin().join("parts")).unwrap();
    world.write("parts/__init__.py", "");
    world.write("parts/part.py", "NAME = __name__\n");
    let ran = check("modules", &world, &world.invocation([""; 0])).await;
    assert!(ran.text().ends_with(" 1 parts.part 1"), "{}", ran.text());
    world.warm.close().await;
}

#[tokio::test]
async fn bundled_and_fixture_plugins_are_the_same() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let commands: [(&str, &[&[&str]]); 6] = [
        (
            "plugins/demo_math",
            &[
                &["--describe"],
                &["--help"],
                &["calculate", "--operation", "add", "--a", "1", "--b", "2"],
                &["calculate", "--expression", "2**10 / -3"],
                &["calculate", "--expression", "1/0"],
                &["format_bytes", "--value", "123456"],
                &["nothing"],
                &[],
            ],
        ),
        (
            "plugins/demo_text",
            &[&["--describe"], &["--help"], &["nothing"], &[]],
        ),
        ("tests/it/plugins/broken", &[&["--describe"], &[]]),
        (
            "tests/it/plugins/content",
            &[
                &["--describe"],
                &["blocks", "--kinds", "text"],
                &["fails"],
                &["counted", "--printed", "{\"words\": 1}"],
            ],
        ),
        ("tests/it/plugins/crashing", &[&["--describe"], &[]]),
        (
            "tests/it/plugins/oldstyle",
            &[
                &["--help"],
                &["--describe"],
                &["greet", "--name", "you"],
                &["status"],
            ],
        ),
    ];
    for (directory, commands) in commands {
        let world = World::of(&root.join(directory));
        for words in commands {
            check(
                &format!("{directory} {words:?}"),
                &world,
                &world.invocation(*words),
            )
            .await;
        }
        world.warm.close().await;
    }
}

#[tokio::test]
async fn secrets_of_a_call_are_the_same_and_the_next_call_finds_nothing_of_them() {
    let source = "import hashlib, os, stat, sys\n\
        path = os.environ.get('KEY_FILE')\n\
        print(sys.argv[1:], os.environ.get('TOKEN'), sorted(os.listdir()), path and path.rsplit('/')[-1])\n\
        if path:\n\
        \x20   text = open(path).read()\n\
        \x20   print(oct(stat.S_IMODE(os.stat(path).st_mode)), len(text), text, file=sys.stderr)\n\
        \x20   print(hashlib.sha256(text.encode()).hexdigest())\n";
    let world = World::new(source);
    let secret = "line one\nline two é";
    let plain = world.invocation(["one"]);
    let mut with = plain.clone();
    let path = with.cwd.join(".secret-key");
    with.env.push(("TOKEN".into(), "hunter2000".into()));
    with.env.push(("KEY_FILE".into(), path.clone().into()));
    with.files = vec![SecretFile {
        path,
        text: Plain::new(secret.into()),
    }];
    with.redactor = Redactor::new([("TOKEN", "hunter2000"), ("key", secret)]);
    let anew = check("with secrets", &world, &with).await;
    let printed = String::from_utf8(anew.stdout).unwrap();
    assert!(
        printed.starts_with("['one'] [redacted:TOKEN] ['.secret-key'] .secret-key\n"),
        "{printed}"
    );
    let stderr = String::from_utf8(anew.ended.stderr_tail).unwrap();
    assert_eq!(stderr, "0o400 19 [redacted:key]\n");
    let without = check("without", &world, &plain).await;
    assert_eq!(without.stdout, b"['one'] None [] None\n");
    // Nor has the interpreter itself ever seen one.
    let source = "import os\nprint(open(f'/proc/{os.getppid()}/environ').read())\n";
    world.write("cli.py", source);
    let ran = world.call(&with).await;
    assert_eq!(ran.ended.start, Start::Warm);
    let environment = String::from_utf8(ran.stdout).unwrap();
    assert!(environment.contains("PATH="), "{environment}");
    assert!(!environment.contains("TOKEN="), "{environment}");
}
