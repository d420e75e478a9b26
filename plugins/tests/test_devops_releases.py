"""Deployments into release directories: what is in use, what is kept, and what failures leave."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import unittest

from devops_world import CLI, World


class Releases(World):
    def test_a_first_deployment(self):
        self.shop()
        self.version("1.0", {"bin/run": "#!/bin/sh\n"})
        (self.builds / "1.0/bin/run").chmod(0o755)
        (self.builds / "1.0/latest").symlink_to("page")
        self.assertEqual("Status for shop: not deployed", self.call("status")["result"])
        answer = self.deploy("1.0", SMCP_JOB_ID="job-7")
        self.assertEqual("Deployed shop to production", answer["result"])
        self.assertEqual(
            ("shop", "production", "1.0", None, "job-7", True),
            tuple(answer[key] for key in ("app_name", "environment", "version", "previous", "deployment_id", "changed")),
        )
        self.assertEqual(f"releases/{answer['release']}", os.readlink(self.root / "current"))
        self.assertEqual("1.0", self.page())
        self.assertEqual("page", os.readlink(self.root / "current/latest"))
        self.assertEqual((0o755, 0o644), tuple((self.root / "current" / name).stat().st_mode & 0o777 for name in ("bin/run", "page")))
        self.assertEqual(["find the version", f"copy version 1.0 from {self.builds}/1.0", "write it to the disk", f"put {answer['release']} in use"],
                         [step["step"] for step in answer["steps"]])
        status = self.call("status")
        self.assertEqual(("Status for shop: unknown", "1.0", None), (status["result"], status["version"], status["healthy"]))

    def test_progress_is_told_step_by_step(self):
        self.shop()
        self.version("1.0")
        read, write = os.pipe()
        process = subprocess.run(
            [sys.executable, "-c", "import os, sys; os.dup2(int(sys.argv[1]), 9); os.execv(sys.executable, [sys.executable] + sys.argv[2:])",
             str(write), str(CLI), "deploy", "--app-name", "shop", "--version", "1.0"],
            env={**os.environ, "SMCP_DEVOPS_APPS": str(self.file), "SMCP_EVENTS_FD": "9"}, pass_fds=[write], capture_output=True, check=True,
        )
        os.close(write)
        with open(read, encoding="utf-8") as events:
            told = [json.loads(line) for line in events]
        self.assertEqual([(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)], [(each["progress"], each["total"]) for each in told], process)

    def test_the_same_version_again_does_nothing_and_says_so(self):
        self.shop()
        self.version("1.0")
        first = self.deploy("1.0")
        again = self.deploy("1.0")
        self.assertEqual("Deployed shop to production: version 1.0 was in use already, nothing was done", again["result"])
        self.assertEqual((first["release"], False), (again["release"], again["changed"]))
        self.assertEqual(([], ["1.0"]), self.left())

    def test_a_source_without_a_version_needs_none(self):
        self.shop(source='directory = "BUILDS/1.0"')
        self.version("1.0")
        self.assertRegex(self.call("deploy")["version"], r"^\d{8}-\d{6}$")
        self.shop()
        self.fails("version_missing", "deploy")

    def test_rollback_goes_to_the_one_before_and_not_to_one_that_was_rolled_back(self):
        self.shop()
        for version in ("1", "2", "3", "4"):
            self.version(version)
        self.fails("no_previous_release", "rollback", part="nothing is deployed")
        self.deploy("1")
        self.fails("no_previous_release", "rollback", part="there is no release before")
        self.deploy("2")
        back = self.call("rollback")
        self.assertEqual(("Rolled back shop to version 1", "1", "1"), (back["result"], back["version"], self.page()))
        self.assertTrue(back["replaced"].endswith("-2"))
        self.deploy("3")
        self.assertEqual("1", self.call("rollback")["version"])
        # To any one that is kept, by its version or by its name; to the current one, it is nothing.
        self.assertEqual("2", self.call("rollback", "--version", "2")["version"])
        named = self.call("releases")["releases"]
        self.assertEqual([("3", False), ("2", True), ("1", False)], [(each["version"], each["current"]) for each in named])
        self.assertEqual("3", self.call("rollback", "--version", named[0]["release"])["version"])
        again = self.call("rollback", "--version", "3")
        self.assertEqual((False, "Rolled back shop to version 3, which was in use already: nothing was done"), (again["changed"], again["result"]))
        self.fails("version_not_found", "rollback", "--version", "9", part="kept are: 3 (")
        self.assertEqual("3", self.page())

    def test_old_releases_go_but_never_the_one_in_use_nor_the_one_before(self):
        self.shop("keep = 2")
        for version in "12345":
            self.version(version)
        for version in "123":
            last = self.deploy(version)
        self.assertEqual(([], ["2", "3"]), self.left())
        self.assertEqual(1, len(last["removed"]))
        self.call("rollback", "--version", "2")
        self.deploy("4")
        self.assertEqual(([], ["2", "3", "4"]), self.left(), "2 was in use before")
        self.deploy("5")
        self.assertEqual(([], ["4", "5"]), self.left())

    def test_what_is_shared_is_linked_into_each_release(self):
        self.shop('shared = { directories = ["uploads", "var/log"], files = ["config/settings"] }')
        self.version("1", {"uploads/dropped": "", "config/settings": "of the build"})
        self.version("2")
        self.fails("shared_missing", "deploy", "--version", "1", part="shared/config/settings is not there")
        self.assertEqual(([], []), self.left())
        (self.root / "shared/config").mkdir(parents=True)
        (self.root / "shared/config/settings").write_text("kept")
        self.deploy("1")
        (self.root / "current/uploads/photo").write_text("photo")
        (self.root / "current/var/log/lines").write_text("lines")
        self.deploy("2")
        for path, text in {"uploads/photo": "photo", "var/log/lines": "lines", "config/settings": "kept"}.items():
            self.assertEqual(text, (self.root / "current" / path).read_text())

    def test_hooks_are_run_before_and_after(self):
        self.shop("""
            hooks.before = [["sh", "-c", "pwd > built; echo {version} in {directory} >> built"]]
            hooks.after = [["sh", "-c", "echo {app} {environment} {version} $(cat ROOT/current/page) >> PATH/after"]]
        """)
        self.version("1")
        self.version("2")
        release = self.deploy("1")["release"]
        built = (self.root / "current/built").read_text().splitlines()
        self.assertEqual([f"{self.root}/releases/.unfinished-{release}"] * 2, [built[0], built[1].split(" in ")[1]])
        self.deploy("2")
        self.call("rollback")
        self.assertEqual(["shop production 1 1", "shop production 2 2", "shop production 1 1"], (self.path / "after").read_text().splitlines())

    def test_a_hook_that_fails_leaves_everything_as_it_was(self):
        self.shop('hooks.before = [["sh", "-c", "[ {version} != bad ] || { echo no luck; exit 4; }"]]')
        self.version("1")
        self.version("bad")
        self.fails("command_failed", "deploy", "--version", "bad", part="hooks.before[0] (sh) has ended with exit status 4; it said: no luck")
        self.assertEqual(([], []), self.left())
        self.deploy("1")
        self.fails("command_failed", "deploy", "--version", "bad")
        self.assertEqual((([], ["1"]), "1"), (self.left(), self.page()))

        self.shop('hooks.after = [["sh", "-c", "echo {version} >> PATH/after; [ {version} != bad ]"]]')
        answer = self.fails("command_failed", "deploy", "--version", "bad", part="is in use again")
        self.assertTrue(answer["in_use"].endswith("-1"))
        self.assertEqual((([], ["1"]), "1"), (self.left(), self.page()))
        self.assertEqual("bad\n1\n", (self.path / "after").read_text())
        shutil.rmtree(self.root / "releases")
        (self.root / "current").unlink()
        self.fails("command_failed", "deploy", "--version", "bad", part="nothing is in use, as before")
        self.assertEqual((([], []), False), (self.left(), os.path.lexists(self.root / "current")))

    def test_a_current_that_is_not_ours_is_left_alone(self):
        self.shop()
        self.version("1")
        (self.root / "current").mkdir()
        self.fails("current_not_ours", "deploy", "--version", "1", part="is not a symbolic link")
        (self.root / "current").rmdir()
        (self.root / "current").symlink_to("/srv")
        self.fails("current_not_ours", "deploy", "--version", "1", part="leads to /srv")
        self.assertEqual(([], []), self.left())

    def test_a_current_that_leads_nowhere_is_mended_by_the_next_deployment(self):
        self.shop()
        self.version("1")
        shutil.rmtree(self.root / "releases" / self.deploy("1")["release"])
        self.assertEqual("Status for shop: not deployed", self.call("status")["result"])
        self.assertTrue(self.deploy("1")["changed"])
        self.assertEqual("1", self.page())


class Interrupted(World):
    def test_a_killed_deployment_leaves_current_whole_and_the_next_one_works(self):
        self.shop('hooks.before = [["sh", "-c", "echo waiting; [ {version} != 2 ] || sleep 60"]]')
        for version in "123":
            self.version(version)
        self.deploy("1")
        process = self.start("deploy", "--app-name", "shop", "--version", "2")
        while process.stderr.readline() != "waiting\n":
            self.assertIsNone(process.poll())
        process.send_signal(signal.SIGKILL)
        process.communicate()
        self.assertEqual(("1", 2), (self.page(), len(self.left()[1])))
        status = self.call("status")
        self.assertEqual(("1", 1), (status["version"], len(status["unfinished"])))
        self.assertEqual(["1"], [each["version"] for each in self.call("releases")["releases"]])
        self.fails("version_not_found", "rollback", "--version", "2")
        self.deploy("3")
        self.assertEqual(("3", ([], ["1", "3"]), []), (self.page(), self.left(), self.call("status")["unfinished"]))

    def test_killed_before_any_change_of_files_it_leaves_a_whole_release(self):
        self.shop("keep = 1")
        for version in ("0", "1", "2"):
            self.version(version, {"a/b": version})
        for version in ("0", "1"):
            self.deploy(version)
        before = self.path / "before"
        shutil.copytree(self.root, before, symlinks=True)
        killed, at = [], self.changes("status") - 1
        while True:
            shutil.rmtree(self.root)
            shutil.copytree(before, self.root, symlinks=True)
            done = self.traced(f"left += 1\n        left - {at} or os.kill(os.getpid(), signal.SIGKILL)", "deploy", "--version", "2")
            version = self.page()
            current = self.root / "current"
            self.assertEqual((version, True), ((current / "a/b").read_text(), (current / ".smcp-release.json").exists()), at)
            if done.returncode == 0:
                break
            self.assertEqual(-signal.SIGKILL, done.returncode, done.stderr)
            killed.append(version)
            at += 1
        self.assertEqual(sorted(killed), killed, "once it is in use, it stays")
        self.assertGreater(killed.count("1"), 15)
        self.assertGreater(killed.count("2"), 3)
        self.assertEqual(("2", ([], ["1", "2"])), (self.page(), self.left()))

    def changes(self, *words):
        """How many times a call opens or changes files."""
        self.traced("", *words)  # whatever is compiled is compiled then
        return int(self.traced("left += 1\n        print(left, file=sys.stderr)", *words).stderr.split()[-1])

    def traced(self, what, *words):
        """Runs a call that does something each time before it opens or changes a file."""
        events = ("open", "os.mkdir", "os.rename", "os.symlink", "os.remove", "os.rmdir")
        tracer = (
            "import os, runpy, signal, sys\nleft = 0\n"
            f"def hook(event, _):\n    global left\n    if event in {events}:\n        {what or 'pass'}\n"
            "del sys.argv[0]\nsys.path[0] = os.path.dirname(sys.argv[0])\n"
            "sys.addaudithook(hook)\nrunpy.run_path(sys.argv[0], run_name='__main__')\n"
        )
        command = [sys.executable, "-c", tracer, str(CLI), words[0], "--app-name", "shop", *words[1:]]
        environment = {**os.environ, "SMCP_DEVOPS_APPS": str(self.file)}
        return subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)

    def test_a_second_process_waits_for_the_lock_of_the_root(self):
        self.shop('hooks.before = [["sh", "-c", "echo {version} >> PATH/order; sleep 0.3; echo {version} >> PATH/order"]]')
        self.version("1")
        self.version("2")
        both = [self.start("deploy", "--app-name", "shop", "--version", version) for version in "12"]
        for process in both:
            out, log = process.communicate(timeout=60)
            self.assertEqual(0, process.returncode, out + log)
        order = (self.path / "order").read_text().split()
        self.assertEqual([order[0]] * 2 + [order[2]] * 2, order)

    def test_a_lock_that_is_not_released_is_told(self):
        self.shop()
        self.version("1")
        holder = os.open(self.root, os.O_RDONLY)
        fcntl.flock(holder, fcntl.LOCK_EX)
        answer = self.fails("locked", "deploy", "--version", "1", part="something else deploys to")
        self.assertEqual((True, 30), (answer["retryable"], answer["retry_after"]))
        os.close(holder)
        self.deploy("1")

    def test_readers_never_see_a_gap(self):
        self.shop()
        for version in "12":
            self.version(version)
        self.deploy("1")
        seen, stop = set(), threading.Event()

        def read():
            while not stop.is_set():
                seen.add(self.page())

        reader = threading.Thread(target=read)
        reader.start()
        for _ in range(5):
            self.deploy("2")
            self.call("rollback", "--version", "1")
        stop.set()
        reader.join()
        self.assertEqual({"1", "2"}, seen)


class Full(World):
    def test_a_file_that_is_too_large_leaves_nothing(self):
        self.shop()
        self.version("1")
        self.deploy("1")
        self.version("2", {"large": "x" * 300_000})
        limit = ["sh", "-c", 'ulimit -f 200; exec "$@"', "sh"]
        self.fails("file_too_large", "deploy", "--version", "2", part="limits.file_mb", runner=limit)
        self.assertEqual((([], ["1"]), "1"), (self.left(), self.page()))

    def test_a_full_disk_leaves_nothing(self):
        mount = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=256k none "$0" && exec "$@"', str(self.root)]
        if os.geteuid():
            mount.insert(1, "-r")
        if subprocess.run([*mount, "true"], capture_output=True, check=False).returncode:
            self.skipTest("this machine lets nobody mount a small disk")
        self.shop()
        self.version("1")
        self.version("2", {"large": "x" * 300_000})
        # The disk is there only for one run: deploy, deploy more than there is room for, and look.
        script = self.path / "script"
        script.write_text('"$@" --version 1 >/dev/null && { "$@" --version 2; ls -A "$ROOT/releases" "$ROOT" >&2; cat "$ROOT/current/page" >&2; exit 1; }')
        status, answer = self.run_it("deploy", "--app-name", "shop", runner=[*mount, "sh", str(script)], ROOT=str(self.root))
        self.assertEqual((1, "disk_full"), (status, answer["code"]), self.log)
        self.assertIn("nothing has been changed", answer["error"])
        listing = self.log.split(f"{self.root}:\n")[1]
        self.assertEqual(["current", "releases", ""], listing.split("\n")[:3])
        self.assertTrue(self.log.endswith("\n1"), self.log)
        self.assertNotIn(".unfinished", self.log.split(f"{self.root}/releases:")[1])

    def test_without_a_permission_it_says_what_to_do(self):
        self.shop()
        self.version("1")
        self.path.chmod(0o755)
        self.root.chmod(0o555)
        # Root needs no permission.
        nobody = [] if os.geteuid() else ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        self.fails("not_permitted", "deploy", "--version", "1", part="[sandbox.plugins.devops]", runner=nobody)

    def test_where_the_root_is_open_to_others_they_may_also_remove_what_they_did_not_make(self):
        self.shop("keep = 1")
        self.path.chmod(0o755)
        self.root.chmod(0o777)
        for version in "123":
            self.version(version, {"a/b": version})
        self.deploy("1")
        self.deploy("2")
        nobody = [] if os.geteuid() else ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        self.assertEqual(1, len(self.deploy("3", runner=nobody)["removed"]))
        self.assertEqual((([], ["2", "3"]), "3"), (self.left(), self.page()))


if __name__ == "__main__":
    unittest.main()
