"""The plugin of listed commands: how a file is read, what a call may fill in, and what is run, by real processes."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SHELL = Path(__file__).resolve().parents[1] / "shell"
MINIMAL = {"description": "does", "argv": ["echo"]}


def written(value):
    """A value as TOML writes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {written(below)}" for key, below in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return json.dumps(value)


class Listing(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.file = self.directory / "commands.toml"

    def lists(self, **commands):
        self.file.write_text(f"commands = {written(commands)}\n")

    def run_plugin(self, *words, **env):
        surroundings = {"PATH": os.environ["PATH"], "SMCP_SHELL_COMMANDS": str(self.file), **env}
        pipes = {"capture_output": True, "encoding": "utf-8", "errors": "strict", "timeout": 30, "check": False}
        return subprocess.run([sys.executable, SHELL / "cli.py", *words], env=surroundings, **pipes)

    def described(self, **env):
        done = self.run_plugin("--describe", **env)
        self.assertEqual((0, ""), (done.returncode, done.stderr), done.stdout)
        return json.loads(done.stdout)

    def problems(self, **command):
        """What is wrong with a command, which is not offered then."""
        self.lists(one={**MINIMAL, **command}, other=MINIMAL)
        document = self.described()
        problems = document["plugin"]["problems"]
        self.assertEqual(["other"] if problems else ["one", "other"], [command["name"] for command in document["commands"]])
        return problems

    def calls(self, *words, **env):
        done = self.run_plugin(*words, **env)
        self.assertEqual(0, done.returncode, done.stdout)
        return json.loads(done.stdout)

    def refused(self, *words, code="invalid_arguments", **env):
        done = self.run_plugin(*words, **env)
        self.assertEqual(1, done.returncode, done.stdout)
        answer = json.loads(done.stdout)
        self.assertEqual((False, code), (answer["ok"], answer["code"]), answer)
        return answer


class Described(Listing):
    def test_a_command_is_a_typed_tool_with_what_is_said_of_it(self):
        parameters = {
            "service": {"description": "Which", "enum": ["web", "worker"]},
            "lines": {"type": "integer", "minimum": 1, "maximum": 500, "required": False},
            "since": {"pattern": "^[0-9]+h$", "default": "1h"},
            "all": {"type": "boolean", "flag": "--all"},
        }
        contract = {
            "effect": "idempotent",
            "lane": "service:{service}",
            "timeout_seconds": 30,
            "annotations": {"destructiveHint": True},
            "retry": {"max_attempts": 2},
        }
        argv = ["echo", "{service}", ["-n", "{lines}"], "--since={since}", "{all}"]
        self.lists(logs={"description": "Show the log", "argv": argv, "parameters": parameters, **contract})
        document = self.described()
        self.assertEqual([str(self.file)], document["plugin"]["files"])
        self.assertEqual([], document["plugin"]["problems"])
        [command] = document["commands"]
        self.assertEqual({**command, "name": "logs", "description": "Show the log", "output": "json", **contract}, command)
        self.assertEqual(
            [
                {"name": "service", "type": "string", "description": "Which", "required": True, "enum": ["web", "worker"]},
                {"name": "lines", "type": "integer", "required": False, "minimum": 1, "maximum": 500},
                {"name": "since", "type": "string", "required": False, "default": "1h", "pattern": "^[0-9]+h$"},
                {"name": "all", "type": "boolean", "required": False},
            ],
            command["parameters"],
        )
        self.assertNotIn("sandbox", command)

    def test_what_is_shown_as_an_example_is_as_it_should_be(self):
        root = SHELL.parents[1]
        page = (root / "docs/plugins/shell.md").read_text().split("```toml\n")[1].split("```")[0]
        example = (root / "deploy/examples/shell-commands.toml").read_text()
        for text, names in [(page, ["read-log"]), (example, ["disk-usage", "read-log", "restart-shop", "report-incident"])]:
            self.file.write_text(text)
            document = self.described()
            self.assertEqual([], document["plugin"]["problems"])
            self.assertEqual(names, [command["name"] for command in document["commands"]])

    def test_a_command_asks_for_what_its_table_says_and_nothing_else(self):
        asked = {"network": {"mode": "proxy", "allow": ["a:1"]}, "limits": {"memory_mb": 64}, "env": {"allow": ["TERM"]}}
        self.lists(one=MINIMAL, other={**MINIMAL, "sandbox": asked})
        document = self.described()
        nothing = {"filesystem": {"read": [], "write": []}, "network": {"mode": "none"}}
        self.assertEqual({**nothing, "env": {"allow": ["SMCP_SHELL_COMMANDS"]}}, document["plugin"]["sandbox"])
        expected = {**nothing, **asked, "env": {"allow": ["TERM", "SMCP_SHELL_COMMANDS"]}}
        self.assertEqual(expected, document["commands"][1]["sandbox"])

    def test_only_the_commands_that_name_a_secret_get_it(self):
        self.lists(one={**MINIMAL, "secrets": ["TOKEN"]}, other=MINIMAL)
        document = self.described()
        self.assertEqual(["TOKEN"], document["plugin"]["secrets"])
        self.assertEqual([["TOKEN"], []], [command["secrets"] for command in document["commands"]])

    def test_without_a_file_there_are_no_commands_and_nothing_is_wrong(self):
        document = self.described(SMCP_SHELL_COMMANDS="")
        self.assertEqual([], document["commands"])
        self.assertNotIn("problems", document["plugin"])
        self.assertIn("SMCP_SHELL_COMMANDS", document["plugin"]["description"])

    def test_a_file_that_cannot_be_read_is_a_problem_and_the_error_of_a_call(self):
        self.file.write_text("[commands.one\n")
        rows = [(str(self.file), "line 1"), ("/nowhere/c.toml", "is not there"), ("c.toml", "absolute"), ("/a/../c", "without ..")]
        for path, why in rows:
            with self.subTest(path=path):
                document = self.described(SMCP_SHELL_COMMANDS=path)
                self.assertEqual([], document["commands"])
                self.assertIn(why, document["plugin"]["problems"][0])
                self.assertIn(why, self.refused("one", code="commands_unreadable", SMCP_SHELL_COMMANDS=path)["error"])
        self.assertIn("[sandbox.plugins.shell]", self.described(SMCP_SHELL_COMMANDS="/nowhere/c.toml")["plugin"]["description"])

    def test_a_program_that_is_missing_is_told_before_and_at_the_call(self):
        self.lists(one={**MINIMAL, "argv": ["no-such-program"]})
        [command] = self.described()["commands"]
        self.assertIn("Not available now: there is no program no-such-program", command["description"])
        error = self.refused("one", code="command_missing")["error"]
        self.assertIn(f"correct commands.one in {self.file}", error)
        directory = self.directory / "tool"
        directory.mkdir()
        for argv, cwd, code in [([str(directory)], None, "command_missing"), (["echo"], "/nowhere", "directory_missing")]:
            self.lists(one={**MINIMAL, "argv": argv, **({"cwd": cwd} if cwd else {})})
            self.refused("one", code=code)
        broken = self.directory / "broken"
        broken.write_text("#!/nowhere/interpreter\n")
        broken.chmod(0o755)
        self.lists(one={**MINIMAL, "argv": [str(broken)]})
        self.refused("one", code="command_not_started")


class Refused(Listing):
    """Entries that are not offered; the others are."""

    def test_what_is_missing_or_unknown_is_named_by_table_and_key(self):
        self.lists(one={"argv": ["echo"], "shell": True}, other={"description": "x"}, **{"a b": MINIMAL, "connect": MINIMAL})
        document = self.described()
        self.assertEqual([], document["commands"])
        problems = "\n".join(document["plugin"]["problems"])
        for part in ["commands.one.shell is not known", "commands.one.description is missing", "commands.other.argv is missing",
                     "commands.a b: a command's name", "commands.connect: a command's name"]:
            self.assertIn(part, problems)

    def test_values_of_other_types(self):
        rows = [
            ({"argv": "echo"}, "one.argv must be a list"),
            ({"argv": []}, "one.argv must not be empty"),
            ({"argv": ["echo", 5]}, "one.argv[1] must be a text"),
            ({"argv": ["echo", []]}, "one.argv[1] must be a text"),
            ({"argv": [["echo"]]}, "one.argv[0] must be a text"),
            ({"effect": "twice"}, "one.effect must be one of read_only, idempotent, once"),
            ({"timeout_seconds": "30"}, "one.timeout_seconds must be a number"),
            ({"timeout_seconds": True}, "one.timeout_seconds must be a number"),
            ({"parallel": 1}, "one.parallel must be true or false"),
            ({"annotations": {"destructive": True}}, "one.annotations.destructive is not known"),
            ({"annotations": {"destructiveHint": "yes"}}, "one.annotations.destructiveHint is not of the type"),
            ({"parameters": []}, "one.parameters must be a table"),
            ({"parameters": {"x": 1}}, "one.parameters.x must be a table"),
            ({"cwd": "here"}, "one.cwd must be an absolute path"),
            ({"env": {"A B": "1"}}, "one.env has A B"),
            ({"env": {"A": 1}}, "one.env.A is not of the type"),
            ({"env": {"SMCP_DATA_DIR": "/x"}}, "one.env has SMCP_DATA_DIR"),
            ({"secrets": ["a-b"]}, "one.secrets has 'a-b'"),
            ({"sandbox": {"net": {}}}, "one.sandbox.net is not known"),
            ({"sandbox": {"limits": {"memory": 1}}}, "one.sandbox.limits.memory is not known"),
            ({"sandbox": {"limits": {"memory_mb": -1}}}, "one.sandbox.limits.memory_mb must be a whole number"),
            ({"sandbox": {"network": {"mode": "all"}}}, "one.sandbox.network.mode must be one of"),
            ({"sandbox": {"network": {"mode": "proxy"}}}, "one.sandbox.network.allow is missing"),
            ({"sandbox": {"filesystem": {"read": ["data"]}}}, "one.sandbox.filesystem.read has 'data'"),
        ]
        for command, problem in rows:
            with self.subTest(command=command):
                self.assertIn(problem, "\n".join(self.problems(**command)))

    def test_parameters(self):
        pattern = {"pattern": "^[a-z]+$"}
        flag = {"type": "boolean", "flag": "--x"}
        rows = [
            (["echo", "{x}"], {}, "one.argv names {x}, which is none of its parameters"),
            (["echo"], {"x": pattern}, "one.parameters.x is not used in argv"),
            (["echo", "{x}"], {"x": {}}, "one.parameters.x needs an enum or a pattern"),
            (["echo", "{x}"], {"x": {"pattern": "[a-z]+"}}, "x.pattern must begin with ^ and end with $"),
            (["echo", "{x}"], {"x": {"pattern": "^[a-z+$"}}, "x.pattern is no regular expression"),
            (["echo", "{x}"], {"x": {"enum": []}}, "x.enum must be a list of values"),
            (["echo", "{x}"], {"x": {"enum": ["a", 1]}}, "x.enum must be a list of values"),
            (["echo", "{x}"], {"x": {"type": "text"}}, "x.type must be one of string, integer, boolean"),
            (["echo", "{x}"], {"x": {"type": "integer", "pattern": "^1$"}}, "x.pattern is not for the type integer"),
            (["echo", "{x}"], {"x": {"type": "integer", "minimum": 2, "maximum": 1}}, "x.minimum is more than the maximum"),
            (["echo", "{x}"], {"x": {"type": "boolean"}}, "x.flag is missing"),
            (["echo", "a{x}"], {"x": flag}, "x is a flag, and so can only be a whole element"),
            (["echo", "{x}"], {"x": {**pattern, "default": "A"}}, "x.default cannot be used"),
            (["echo", "{x}"], {"x": {**pattern, "default": 1}}, "x.default cannot be used"),
            (["echo", "{x}"], {"x": {**pattern, "secret": True}}, "x.secret is not known"),
            (["echo", "{help}"], {"help": pattern}, "a parameter's name is"),
            (["echo", "{a-b}", "{a_b}"], {"a-b": pattern, "a_b": pattern}, "has a_b twice"),
            (["{x}"], {"x": pattern}, "must begin with the name or the path of a program"),
            (["bin/echo"], {}, "the name of a program or its absolute path"),
        ]
        for argv, parameters, problem in rows:
            with self.subTest(argv=argv, parameters=parameters):
                self.assertIn(problem, "\n".join(self.problems(argv=argv, parameters=parameters)))

    def test_no_caller_writes_a_part_of_a_program(self):
        parameters = {"x": {"pattern": "^.*$"}, "c": {"type": "boolean", "flag": "-c"}}
        programs = [
            ["bash", "-c", "echo {x}"],
            ["/bin/sh", "-c", "{x}"],
            ["env", "A=1", "bash", "-lc", "echo {x}"],
            ["bash", "-o", "pipefail", "-c", "echo {x}"],
            ["bash", ["-c", "echo {x}"]],
            ["sh", "{c}", "{x}"],
            ["sh", "-{x}", "true"],
            ["python3", "-c", "print({x})"],
            ["python3.11", "-Ic", "print({x})"],
            ["perl", "-pe", "s/{x}/y/"],
            ["perl", "-es/{x}/y/"],
            ["node", "--eval", "{x}"],
        ]
        for argv in programs:
            with self.subTest(argv=argv):
                used = {name: given for name, given in parameters.items() if f"{{{name}}}" in json.dumps(argv)}
                self.assertIn("as the text of a program", "\n".join(self.problems(argv=argv, parameters=used)))
        arguments = [
            ["bash", "-c", "echo \"$1\"", "bash", "{x}"],
            ["bash", "/srv/restart.sh", "{x}"],
            ["python3", "/srv/report.py", "-n{x}"],
            ["grep", "-c", "{x}", "/srv/log"],
        ]
        for argv in arguments:
            with self.subTest(argv=argv):
                self.assertEqual([], self.problems(argv=argv, parameters={"x": parameters["x"]}))


class Called(Listing):
    def echoes(self, argv, **parameters):
        """Lists a command that prints its arguments as they are."""
        program = self.directory / "arguments"
        program.write_text("#!/bin/sh\nfor argument; do printf '[%s]' \"$argument\"; done\n")
        program.chmod(0o755)
        self.lists(one={"description": "x", "argv": [str(program), *argv], "parameters": parameters})

    def printed(self, *words):
        return self.calls("one", *words)["stdout"]

    def test_each_element_stays_one_whatever_it_is_filled_with(self):
        self.echoes(["{x}", "a={x}b", "{{x}}", "{{.Names}}", "{}", "$HOME", "*"], x={"pattern": "^[^-].*$"})
        value = "a; rm -rf / $(id) `id` 'b' \"c\" * {x}"
        self.assertEqual(f"[{value}][a={value}b][{{x}}][{{{{.Names}}}}][{{}}][$HOME][*]", self.printed("--x", value))

    def test_what_has_no_value_is_left_out_with_its_element_or_group(self):
        optional = {"type": "integer", "required": False}
        self.echoes(
            ["start", "{n}", ["-n", "{n}"], "--m={n}:{m}", "{f}", "{d}", "end"],
            n=optional, m=optional, f={"type": "boolean", "flag": "--force"}, d={"enum": ["x", "y"], "default": "x"},
        )
        self.assertEqual("[start][x][end]", self.printed())
        self.assertEqual("[start][5][-n][5][x][end]", self.printed("--n", "5"))
        self.assertEqual("[start][5][-n][5][--m=5:6][--force][y][end]", self.printed("--n=5", "--m=6", "--f=true", "--d=y"))
        self.assertEqual("[start][x][end]", self.printed("--f", "false"))

    def test_values_are_checked_again(self):
        self.echoes(
            ["{e}", "{p}", "-n{n}"],
            e={"enum": ["web", "-a"]}, p={"pattern": "^[a-z-]*$"}, n={"type": "integer", "minimum": 1, "maximum": 9},
        )
        good = {"e": "web", "p": "abc", "n": "5"}

        def words(given):
            return [f"--{name}={value}" for name, value in given.items()]

        self.assertEqual("[web][abc][-n5]", self.printed(*words(good)))
        self.assertEqual("[-a][abc][-n5]", self.printed(*words({**good, "e": "-a"})), "an operator has listed it")
        rows = [("e", "other", "none of web, -a"), ("e", "web\n", "none of"), ("p", "ABC", "does not match"),
                ("p", "abc\n", "does not match"), ("p", "-abc", "begins with a hyphen"), ("p", "a" * 4097, "4096 characters"),
                ("n", "0", "less than 1"), ("n", "10", "more than 9"), ("n", "x", "whole number")]
        for name, value, why in rows:
            with self.subTest(name=name, value=value[:20]):
                self.assertIn(why, self.refused("one", *words({**good, name: value}))["error"])
        missing = self.refused("one", *words({"e": "web", "p": "abc"}))
        self.assertIn("needs --n", missing["error"])

    def test_hyphens(self):
        rows = [
            (["{x}"], {"pattern": "^-?[a-z]+$"}, "-a", False),
            (["{x}"], {"pattern": "^-?[a-z]+$", "may_begin_with_hyphen": True}, "-a", True),
            (["--name={x}"], {"pattern": "^-?[a-z]+$"}, "-a", True),
            (["--name={x}", "{x}"], {"pattern": "^-?[a-z]+$"}, "-a", False),
            (["{x}"], {"type": "integer"}, "-1", False),
            (["{x}"], {"type": "integer", "minimum": -5}, "-1", True),
        ]
        for argv, parameter, value, passes in rows:
            with self.subTest(argv=argv, parameter=parameter):
                self.echoes(argv, x=parameter)
                if passes:
                    self.assertIn(value, self.printed(f"--x={value}"))
                else:
                    self.assertIn("begins with a hyphen", self.refused("one", f"--x={value}")["error"])

    def test_a_failure_tells_the_status_and_the_end_of_what_was_said(self):
        self.lists(
            fails={**MINIMAL, "argv": ["sh", "-c", "echo out; echo first >&2; echo last >&2; exit 3"]},
            dies={**MINIMAL, "argv": ["sh", "-c", "kill -9 $$"]},
        )
        answer = self.refused("fails", code="command_failed")
        self.assertEqual((3, "out\n", "first\nlast\n"), (answer["exit_status"], answer["stdout"], answer["stderr"]))
        self.assertEqual("sh exited with status 3: first\nlast", answer["error"])
        self.assertEqual("first\nlast\n", self.run_plugin("fails").stderr, "each line is logged")
        answer = self.refused("dies", code="command_failed")
        self.assertEqual((137, "sh was ended by signal 9"), (answer["exit_status"], answer["error"]))

    def test_what_is_printed_is_bounded_and_may_be_anything(self):
        script = "head -c 600000 /dev/zero | tr '\\0' a; head -c 50000 /dev/zero | tr '\\0' b >&2; printf '\\377' >&2; sleep 0"
        self.lists(one={**MINIMAL, "argv": ["sh", "-c", script]})
        done = subprocess.run(
            [sys.executable, SHELL / "cli.py", "one"], capture_output=True, timeout=30, check=True,
            env={"PATH": os.environ["PATH"], "SMCP_SHELL_COMMANDS": str(self.file)},
        )
        answer = json.loads(done.stdout)
        self.assertEqual(("a" * 128 * 1024, True), (answer["stdout"], answer["stdout_truncated"]))
        self.assertEqual("b" * (8 * 1024 - 1) + "\ufffd", answer["stderr"])
        self.assertEqual(50001, len(done.stderr))

    def test_the_surroundings_are_those_that_are_listed(self):
        self.lists(one={**MINIMAL, "argv": ["sh", "-c", "pwd; env; cat"], "cwd": str(self.directory), "env": {"A": "{x}", "B": "2"}})
        answer = self.calls("one", TOKEN="t", PYTHONUNBUFFERED="1", SMCP_JOB_ID="j")
        lines = answer["stdout"].splitlines()
        self.assertEqual(os.path.realpath(self.directory), lines[0])
        self.assertLessEqual({"A={x}", "B=2", "TOKEN=t"}, set(lines))
        self.assertFalse([line for line in lines if line.startswith(("SMCP_", "PYTHON"))])

    def test_a_command_that_has_gone_from_the_file_is_not_run(self):
        self.lists(one=MINIMAL)
        self.assertIn("'two' is not a command; the commands are one", self.refused("two")["error"])


if __name__ == "__main__":
    unittest.main()
