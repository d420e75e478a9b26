"""The devops plugin: its description, its apps file, and deployments by commands."""

import json
import os
import signal
import subprocess
import sys
import time
import unittest

from devops_world import CLI, World


class Described(World):
    def describe(self, **environment):
        status, contract = self.run_it("--describe", **environment)
        self.assertEqual(0, status, self.log)
        return contract

    def test_it_asks_for_what_the_apps_file_needs_and_no_more(self):
        self.apps("""
            [apps.shop]
            source = { archive = "/srv/builds/shop-{version}.tar.gz" }
            health = { url = "http://localhost:8080/up" }
            [apps.shop.environments.production]
            root = "/srv/shop"
            [apps.shop.environments.staging]
            root = "/srv/{environment}/{app}"
            source = { repository = "/srv/git/shop.git" }
            timeout = 1000
            [apps.api.environments.production]
            strategy = "commands"
            root = "/var/lib/api"
            deploy = [["kubectl", "set", "image", "deployment/api", "api=api:{version}"]]
            needs = { read = ["/etc/kube"], network = ["kube.example.com:6443"], env = ["KUBECONFIG"], secrets = ["KUBE_TOKEN"] }
        """)
        contract = self.describe()
        plugin = contract["plugin"]
        self.assertEqual([str(self.file)], plugin["files"])
        self.assertEqual({
            "filesystem": {"read": [str(self.file), "/srv/builds", "/srv/git/shop.git", "/etc/kube"],
                           "write": ["/srv/shop", "/srv/staging/shop", "/var/lib/api"]},
            "network": {"mode": "proxy", "allow": ["kube.example.com:6443", "localhost:8080", "127.0.0.1:8080"]},
            "env": {"allow": ["SMCP_DEVOPS_APPS", "KUBECONFIG"]},
        }, plugin["sandbox"])
        self.assertEqual([{"name": "KUBE_TOKEN", "required": False}], plugin["secrets"])
        self.assertIn("shop (production, staging), api (production)", plugin["description"])
        commands = {command["name"]: command for command in contract["commands"]}
        self.assertEqual({"deploy", "rollback", "status", "releases", "verify"}, set(commands))
        for name in ("deploy", "rollback"):
            self.assertEqual(("once", "deploy:{app_name}"), (commands[name]["effect"], commands[name]["lane"]))
            self.assertEqual(2030, commands[name]["timeout_seconds"])
            self.assertEqual(name == "rollback", commands[name]["annotations"]["destructiveHint"])
        for name in ("status", "releases", "verify"):
            self.assertEqual(("read_only", True), (commands[name]["effect"], commands[name]["parallel"]))
        environment = next(each for each in commands["deploy"]["parameters"] if each["name"] == "environment")
        self.assertEqual("production", environment["default"])

    def test_commands_that_need_the_whole_network_ask_for_it(self):
        self.apps('[apps.a.environments.x]\nstrategy = "commands"\nroot = "/r"\ndeploy = [["d"]]\nneeds.network = ["full"]\n')
        self.assertEqual({"mode": "full"}, self.describe()["plugin"]["sandbox"]["network"])

    def test_without_its_file_it_is_described_all_the_same(self):
        for environment, part, problems in [({}, "apps.toml cannot be read", 1), ({"SMCP_DEVOPS_APPS": ""}, "SMCP_DEVOPS_APPS is not set", 0)]:
            contract = self.describe(**environment)
            self.assertIn(part, contract["plugin"]["description"])
            self.assertEqual(problems, len(contract["plugin"]["problems"]))
            self.assertEqual(5, len(contract["commands"]))
            self.assertEqual({"mode": "none"}, contract["plugin"]["sandbox"]["network"])


class File(World):
    def test_what_is_wrong_is_told_with_its_table_and_key(self):
        environment = '[apps.shop]\nsource = { directory = "/b/{version}" }\n[apps.shop.environments.production]\nroot = "/r"\n'
        rows = [
            ("nonsense", "apps.toml cannot be read"),
            ("", "apps is missing"),
            ("apps = 3", "apps must be a table"),
            ("[apps.shop]", "apps.shop.environments is missing"),
            ('[apps."a b".environments.x]', "apps.a b: a name is"),
            ("[apps.shop.environments.production]", "apps.shop.environments.production.root is missing"),
            ('[apps.shop.environments.production]\nroot = "/r"', "apps.shop.environments.production.source is missing"),
            (environment + "kep = 3", "apps.shop.environments.production.kep does not exist; is 'keep' meant?"),
            (environment + "keep = 0", "apps.shop.environments.production.keep must be at least 1"),
            (environment + "keep = true", "keep must be a whole number, but is True"),
            (environment + "timeout = '3'", "timeout must be a number of seconds"),
            (environment.replace("/r", "r"), "root must be an absolute path without '..'"),
            (environment.replace("/r", "/a/../r"), "root must be an absolute path without '..'"),
            (environment.replace("{version}", "{verison}"), "apps.shop.source.directory has the placeholder {verison}"),
            (environment + 'strategy = "copy"', "strategy is 'releases' or 'commands'"),
            (environment + 'strategy = "commands"', "apps.shop.source is of no use with strategy = \"commands\""),
            (environment + 'deploy = [["x"]]', "production.deploy is of no use"),
            (environment + 'source = {}', "production.source must have one of directory, archive and repository, but has none"),
            (environment + 'source = { archive = "/a", directory = "/d" }', "but has directory and archive"),
            (environment + 'source = { repository = "/a", ref = "--x" }', "production.source.ref must not begin with '-'"),
            (environment + 'hooks.after = ["systemctl restart shop"]', "production.hooks.after[0] must be a list of texts"),
            (environment + 'hooks.afer = []', "production.hooks.afer does not exist"),
            (environment + 'shared.files = ["../x"]', "production.shared.files must be paths within the release"),
            (environment + 'health = {}', "production.health must have either url or command"),
            (environment + 'health = { url = "ftp://x" }', "production.health.url must be an http or https URL"),
            (environment + 'health = { url = "http://x", status = 20 }', "production.health.status must be a status"),
            (environment + 'health = { url = "http://x", timeout = 0 }', "production.health.timeout must be between 0.1"),
            (environment + 'needs.network = ["x"]', "production.needs.network must have destinations"),
            (environment + 'needs.secrets = ["a-b"]', "production.needs.secrets must have names"),
        ]
        for text, part in rows:
            with self.subTest(text=text):
                self.file.write_text(text)
                self.fails("not_configured", "status", part=part)

    def test_an_app_or_environment_that_is_not_there_is_told_with_those_that_are(self):
        self.shop()
        for command in ("deploy", "rollback", "status", "releases", "verify"):
            self.fails("unknown_app", command, app="shpo", part="there are: shop")
            self.fails("unknown_environment", command, "--environment", "moon", part="it has: production")
        self.assertEqual([], os.listdir(self.root))

    def test_a_version_that_leads_elsewhere_is_refused(self):
        self.shop()
        for version in ("../etc", "a/b", "-x", "", "v 1", "1\n"):
            self.fails("invalid_arguments", "deploy", f"--version={version}")
            self.fails("invalid_arguments", "rollback", f"--version={version}")

    def test_a_root_that_is_not_there_is_told_with_what_to_do(self):
        self.shop()
        self.version("1.0")
        self.root.rmdir()
        for command in ("deploy", "rollback", "status", "releases"):
            words = ["--version", "1.0"] if command == "deploy" else []
            self.fails("root_missing", command, *words, part=f'filesystem.write = ["{self.root}"]')


class Commands(World):
    """`say` writes what it is told into a file, and ends as the file `status` says."""

    def setUp(self):
        super().setUp()
        self.said, self.status = self.path / "said", self.path / "status"
        self.say = self.path / "say"
        self.say.write_text(f"#!/bin/sh\necho \"$@\" | tee -a {self.said}\nexit $(cat {self.status} 2>/dev/null || echo 0)\n")
        self.say.chmod(0o755)

    def api(self, more=""):
        self.apps(f"""
            [apps.api.environments.production]
            strategy = "commands"
            root = "ROOT"
            deploy = [["{self.say}", "image", "{{app}}:{{version}}", "{{{{.Names}}}}"], ["{self.say}", "wait", "; rm -rf $HOME"]]
            {more}
        """)

    def heard(self):
        heard = self.said.read_text().splitlines() if self.said.exists() else []
        self.said.unlink(missing_ok=True)
        return heard

    def test_deploy_and_rollback_run_their_commands_without_a_shell(self):
        self.api(f'rollback = [["{self.say}", "undo", "{{version}}"]]')
        answer = self.call("deploy", "--version", "1", app="api")
        self.assertEqual("Deployed api to production", answer["result"])
        self.assertEqual(["image api:1 {{.Names}}", "wait ; rm -rf $HOME"], self.heard())
        self.assertIn("image api:1", self.log)
        again = self.call("deploy", "--version", "1", app="api")
        self.assertEqual((False, []), (again["changed"], self.heard()))
        self.call("deploy", "--version", "2", app="api")
        self.heard()
        back = self.call("rollback", app="api")
        self.assertEqual(("Rolled back api to version 1", ["undo 1"]), (back["result"], self.heard()))
        self.fails("no_previous_release", "rollback", app="api", part="noted are: 2 (")
        self.call("rollback", "--version", "2", app="api")
        self.fails("version_not_found", "rollback", "--version", "3", app="api", part="has not been deployed")
        listed = self.call("releases", app="api")["releases"]
        self.assertEqual([("2", True), ("1", False)], [(each["version"], each["current"]) for each in listed])

    def test_commands_that_fail_leave_a_note_and_the_way_back(self):
        self.api()
        self.call("deploy", "--version", "1", app="api")
        self.status.write_text("3")
        answer = self.fails("command_failed", "deploy", "--version", "2", app="api", part="production.deploy[0]")
        self.assertIn("has ended with exit status 3", answer["error"])
        self.assertEqual("image api:2 {{.Names}}", answer["output"])
        status = self.call("status", app="api")
        self.assertEqual(("1", 1), (status["version"], len(status["unfinished"])))
        self.status.unlink()
        self.heard()
        # What runs is not known any more, so that version 1 is deployed again where it was current.
        self.assertEqual("1", self.call("rollback", app="api")["version"])
        self.assertEqual("image api:1 {{.Names}}", self.heard()[0])
        self.assertEqual([], self.call("status", app="api")["unfinished"])

    def test_a_program_that_is_missing_is_named(self):
        self.apps('[apps.api.environments.production]\nstrategy = "commands"\nroot = "ROOT"\ndeploy = [["no-such-program", "{version}"]]')
        self.fails("command_missing", "deploy", "--version", "1", app="api", part="the program no-such-program of apps.api.environments.production.deploy[0]")
        self.fails("version_missing", "deploy", app="api", part="--version is needed")

    def test_a_command_that_does_not_end_is_ended(self):
        self.apps('[apps.api.environments.production]\nstrategy = "commands"\nroot = "ROOT"\ntimeout = 1\ndeploy = [["sh", "-c", "echo begun; sleep 60 & wait"]]')
        begun = time.monotonic()
        self.fails("command_failed", "deploy", app="api", part="no end after")
        self.assertLess(time.monotonic() - begun, 20)

    def test_notes_that_are_broken_are_not_guessed_at(self):
        self.api()
        (self.root / "deployments.json").write_text("{")
        self.fails("notes_broken", "deploy", "--version", "1", app="api", part="move it away")
        self.assertEqual([], self.heard())

    def test_a_command_gets_the_secrets_of_its_own_environment(self):
        tell = '[["sh", "-c", "echo mine=$MINE theirs=$THEIRS smcp=$SMCP_DEVOPS_APPS"]]'
        self.apps(f"""
            [apps.api.environments.production]
            strategy = "commands"
            root = "ROOT"
            deploy = {tell}
            needs.secrets = ["MINE"]
            [apps.other.environments.production]
            strategy = "commands"
            root = "PATH"
            deploy = {tell}
            needs.secrets = ["THEIRS"]
        """)
        self.call("deploy", app="api", MINE="a", THEIRS="b")
        self.assertIn("mine=a theirs= smcp=\n", self.log)
        self.fails("secret_missing", "deploy", "--version", "2", app="api", part="smcp secrets set MINE")

    def test_an_interruption_is_known_afterwards(self):
        self.apps('[apps.api.environments.production]\nstrategy = "commands"\nroot = "ROOT"\ndeploy = [["sh", "-c", "echo begun; [ {version} = 1 ] || sleep 60"]]')
        self.call("deploy", "--version", "1", app="api")
        process = self.start("deploy", "--app-name", "api", "--version", "2")
        while "begun" not in (line := process.stderr.readline()) or "sh -c" in line:
            self.assertTrue(line)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        status = self.call("status", app="api")
        self.assertEqual(("1", 1), (status["version"], len(status["unfinished"])))
        self.assertTrue(self.call("deploy", "--version", "1", app="api")["changed"])


class Old(unittest.TestCase):
    def test_the_command_line_names_its_commands(self):
        done = subprocess.run([sys.executable, CLI, "--help"], capture_output=True, encoding="utf-8", check=True)
        for command in ("deploy", "rollback", "status", "releases", "verify"):
            self.assertIn(f"\n  {command}", done.stdout)
        done = subprocess.run([sys.executable, CLI, "deploy"], capture_output=True, encoding="utf-8", check=False)
        self.assertEqual("invalid_arguments", json.loads(done.stdout)["code"])


if __name__ == "__main__":
    unittest.main()
