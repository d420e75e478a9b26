"""The plugins of the integration tests do what their names promise, so that a failing test blames the server."""

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

FIXTURES = Path(__file__).resolve().parents[2] / "tests" / "it" / "plugins"


def command_line(plugin, *words):
    program = FIXTURES / plugin / "cli.py"
    return [sys.executable, program, *words] if program.exists() else [FIXTURES / plugin / "cli", *words]


def run(plugin, *words, **options):
    return subprocess.run(command_line(plugin, *words), capture_output=True, timeout=60, check=False, **options)


def start(plugin, *words):
    return subprocess.Popen(command_line(plugin, *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def is_locked(path):
    with open(path, encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


class Discovery(unittest.TestCase):
    def test_contracts(self):
        for plugin, commands in {
            "sleepy": 5,
            "sleepy2": 5,
            "awkward": 16,
            "content": 11,
            "flaky": 2,
            "shellcli": 2,
            "broken": 2,
        }.items():
            with self.subTest(plugin=plugin):
                done = run(plugin, "--describe")
                contract = json.loads(done.stdout)
                self.assertEqual((0, "1.0"), (done.returncode, contract["contract_version"]))
                self.assertEqual(commands, len(contract["commands"]))
                self.assertEqual(plugin, contract.get("plugin", {"name": plugin})["name"])

    def test_oldstyle_has_only_its_help(self):
        self.assertEqual(2, run("oldstyle", "--describe").returncode)
        self.assertIn(b"\nAvailable commands:\n  greet ", run("oldstyle", "--help").stdout)
        self.assertEqual({"result": "Hello, world"}, json.loads(run("oldstyle", "greet").stdout))

    def test_crashing(self):
        for word in ("--describe", "--help"):
            done = run("crashing", word)
            self.assertEqual((1, b""), (done.returncode, done.stdout))
            self.assertIn(b"RuntimeError", done.stderr)

    def test_flaky(self):
        with tempfile.TemporaryDirectory() as directory:
            words = ["--count", str(Path(directory) / "count"), "--times", "1", "--exit", "75", "--say", "{}"]
            attempts = [run("flaky", "plain", *words, env={**os.environ, "SMCP_ATTEMPT": str(n)}) for n in (1, 2)]
            said = [(attempt.returncode, attempt.stdout) for attempt in attempts]
            self.assertEqual([(75, b"{}"), (0, b"done in attempt 2\n")], said)

    def test_shell(self):
        self.assertEqual(b"Hello, you\n", run("shellcli", "greet", "--name", "you").stdout)


class Sleepy(unittest.TestCase):
    def test_journal(self):
        with tempfile.TemporaryDirectory() as directory:
            journal = Path(directory) / "journal"
            naps = [
                start("sleepy", "nap", "--seconds", "0.01", "--journal", journal, "--label", "a"),
                start("sleepy2", "once-nap", "--seconds", "0.01", "--journal", journal),
            ]
            runs = [json.loads(nap.communicate(timeout=30)[0])["run"] for nap in naps]
            lines = [json.loads(line) for line in journal.read_text(encoding="ascii").splitlines()]
            self.assertEqual([False, False], [is_locked(run) for run in runs])
        for own, plugin, label in zip(runs, ["sleepy", "sleepy2"], ["a", ""]):
            mine = [line for line in lines if line["run"] == own]
            self.assertEqual(["start", "end"], [line["event"] for line in mine])
            self.assertEqual({plugin}, {line["plugin"] for line in mine})
            self.assertEqual({label}, {line["label"] for line in mine})
            self.assertGreaterEqual(mine[1]["monotonic"] - mine[0]["monotonic"], 0.01)

    def test_a_nap_holds_its_lock(self):
        with tempfile.TemporaryDirectory() as directory:
            gate, journal = (Path(directory) / name for name in ("gate", "journal"))
            nap = start("sleepy", "nap", "--seconds", "30", "--gate", gate, "--journal", journal)
            self.addCleanup(nap.communicate)
            self.addCleanup(nap.kill)
            while not (journal.exists() and (line := journal.read_text(encoding="ascii"))):
                self.assertIsNone(nap.poll())
            locked = is_locked(json.loads(line)["run"])
            gate.touch()
            nap.wait(30)
        self.assertTrue(locked)

    def test_steps(self):
        reader, writer = os.pipe()
        words = ("steps", "--count", "2", "--seconds", "0")
        done = run("sleepy", *words, pass_fds=[writer], env={"SMCP_EVENTS_FD": str(writer)})
        os.close(writer)
        with os.fdopen(reader) as events:
            reports = [json.loads(line) for line in events]
        self.assertEqual(
            [
                {"progress": 1, "total": 2, "message": "step 1 of 2"},
                {"progress": 2, "total": 2, "message": "step 2 of 2"},
            ],
            reports,
        )
        self.assertEqual(b"step 1 of 2 is done\nstep 2 of 2 is done\n", done.stderr)
        self.assertEqual(0, run("sleepy", *words).returncode, "it runs without the descriptor, too")


class Awkward(unittest.TestCase):
    def test_exit_status_and_output(self):
        for word, status, stdout, stderr in [
            ("stderr-only", 3, b"", b"the reason is on stderr\n"),
            ("json-error", 1, b'{"error": "the reason is in the JSON", "code": "too_awkward"}\n', b""),
            ("ok-error", 0, b'{"error": "an error that exits with 0"}\n', b""),
            ("silent-fail", 4, b"", b""),
        ]:
            with self.subTest(command=word):
                done = run("awkward", word)
                self.assertEqual((status, stdout, stderr), (done.returncode, done.stdout, done.stderr))

    def test_output(self):
        for size in (0, 1, 16, 100_001):
            done = run("awkward", "large", "--bytes", str(size))
            self.assertEqual(size, len(done.stdout.decode("ascii").strip()))
        with self.assertRaises(UnicodeDecodeError):
            run("awkward", "binary").stdout.decode("utf-8")

    def test_gigabyte(self):
        flood = start("awkward", "gigabyte")
        size = 0
        while block := flood.stdout.read(1 << 20):
            size += len(block)
        flood.communicate(timeout=30)
        self.assertEqual(1 << 30, size)

    def test_what_the_worker_gave(self):
        words = ["--text", "a b", "--flag", "--dry-run-id", "--x"]
        self.assertEqual(words, json.loads(run("awkward", "argv", *words).stdout))
        value = {"k": [1, None, "é"]}
        self.assertEqual(value, json.loads(run("awkward", "echo-json", "--value", json.dumps(value)).stdout))
        with tempfile.TemporaryDirectory() as directory:
            shown = json.loads(run("awkward", "environment", env={"ONLY": "this"}, cwd=directory).stdout)
        self.assertEqual("this", shown["environment"]["ONLY"])
        self.assertEqual(os.path.realpath(directory), shown["cwd"])
        self.assertEqual([], shown["entries"])

    def test_suicide(self):
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGPIPE, signal.SIGINT):
            self.assertEqual(-number, run("awkward", "suicide", "--signal", str(int(number))).returncode)

    def test_hang_outlives_sigterm(self):
        with tempfile.TemporaryDirectory() as directory:
            lockfile = Path(directory) / "lock"
            process = start("awkward", "hang", "--lockfile", lockfile)
            self.addCleanup(process.communicate)
            self.addCleanup(process.kill)
            self.assertEqual(b"hanging\n", process.stderr.readline())
            process.terminate()
            with self.assertRaises(subprocess.TimeoutExpired):
                process.wait(0.2)
            self.assertTrue(is_locked(lockfile))
            process.kill()
            process.wait(30)
            self.assertFalse(is_locked(lockfile))

    def test_mute_lives_on(self):
        process = start("awkward", "mute")
        self.addCleanup(process.kill)
        stdout, stderr = process.stdout.read(), process.stderr.read()
        self.assertEqual((b"the last words\n", b"", None), (stdout, stderr, process.poll()))
        process.kill()
        process.communicate()

    def test_daemon_leaves_session_and_holds_the_output_unless_quiet(self):
        for words, held in ([[], True], [["--quiet"], False]):
            with self.subTest(words=words), tempfile.TemporaryDirectory() as directory:
                lockfile = Path(directory) / "lock"
                process = start("awkward", "daemon", "--lockfile", lockfile, *words)
                self.assertEqual(b'{"ok": true}\n', process.stdout.readline())
                self.assertEqual(0, process.wait(30))
                daemon = int(lockfile.read_text(encoding="ascii"))
                try:
                    self.assertTrue(is_locked(lockfile))
                    self.assertNotEqual(os.getsid(0), os.getsid(daemon))
                    ended = select.select([process.stdout], [], [], 0.2 if held else 30)[0]
                    self.assertEqual(held, not ended)
                finally:
                    os.kill(daemon, signal.SIGKILL)
                    process.communicate()


if __name__ == "__main__":
    unittest.main()
