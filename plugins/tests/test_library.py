"""The library for plugins: what it makes of functions, and what a call sees of them, each in a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
import textwrap
import unittest
from pathlib import Path
from typing import Annotated, Dict, List, Literal, Optional

PLUGINS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PLUGINS))

from smcp_plugin import Failure, Option, Plugin  # noqa: E402

HEAD = "from typing import Annotated, Dict, List, Literal, Optional\nfrom smcp_plugin import Failure, Option, Plugin, Snooze, log, progress\n"
TAIL = '\nif __name__ == "__main__":\n    plugin.main()\n'


class Calls(unittest.TestCase):
    """A plugin that is written by a test and run as a worker runs it."""

    def write(self, text):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        os.symlink(PLUGINS / "smcp_plugin.py", Path(directory.name, "smcp_plugin.py"))
        self.program = Path(directory.name, "cli.py")
        self.program.write_text(HEAD + textwrap.dedent(text) + TAIL, encoding="utf-8")
        self.directory = directory.name

    def run_it(self, *words, **options):
        words = [sys.executable, "-B", self.program, *words]
        return subprocess.run(words, capture_output=True, encoding="utf-8", timeout=30, check=False, **options)

    def succeeds(self, *words, **options):
        done = self.run_it(*words, **options)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        return done.stdout

    def fails(self, *words, status=1, **options):
        done = self.run_it(*words, **options)
        self.assertEqual(status, done.returncode, done.stdout + done.stderr)
        answer = json.loads(done.stdout)
        self.assertIs(answer["ok"], False)
        return answer, done.stderr


class Describing(unittest.TestCase):
    def setUp(self):
        self.plugin = Plugin("one", version="2.0.0", description="Does things.", secrets=["TOKEN"], sandbox={"limits": {"memory_mb": 64}})

    def described(self, function, **contract):
        self.plugin.command(function, **contract) if not contract else self.plugin.command(**contract)(function)
        document = self.plugin.describe()
        self.assert_kept(document)
        return document["commands"][-1]

    def assert_kept(self, document):
        """The contract's own schema has no complaints."""
        from jsonschema import Draft202012Validator

        schema = json.loads((PLUGINS / "contract" / "v1.json").read_text(encoding="utf-8"))
        problems = [error.message for error in Draft202012Validator(schema).iter_errors(document)]
        self.assertEqual([], problems)

    def test_types_defaults_and_descriptions(self):
        def deploy(
            app: Annotated[str, "Which"],
            count: int,
            ratio: float = 1,
            dry: bool = False,
            environment: Literal["staging", "production"] = "staging",
            level: Literal[1, 2] = 1,
            tags: List[str] = [],
            ports: Optional[List[Annotated[int, Option(minimum=1)]]] = None,
            labels: Dict[str, str] = {},
            anything: dict = {},
            several: list = [],
            note: Optional[str] = None,
            token: Annotated[Optional[str], Option("A token", secret=True)] = None,
            branch: Annotated[str, Option("Its branch", pattern="^[a-z]+$")] = "main",
            *,
            keyword: int = 3,
            untyped="x",
        ):
            """Deploy an
            app.

            More that nobody is told.
            """

        command = self.described(deploy)
        self.assertEqual(("deploy", "Deploy an app."), (command["name"], command["description"]))
        self.assertEqual(
            [
                {"name": "app", "type": "string", "description": "Which", "required": True},
                {"name": "count", "type": "integer", "required": True},
                {"name": "ratio", "type": "number", "default": 1},
                {"name": "dry", "type": "boolean", "default": False},
                {"name": "environment", "type": "string", "enum": ["staging", "production"], "default": "staging"},
                {"name": "level", "type": "integer", "enum": [1, 2], "default": 1},
                {"name": "tags", "type": "array", "items": {"type": "string"}, "default": []},
                {"name": "ports", "type": "array", "items": {"type": "integer", "minimum": 1}},
                {"name": "labels", "type": "object", "default": {}},
                {"name": "anything", "type": "object", "default": {}},
                {"name": "several", "type": "array", "default": []},
                {"name": "note", "type": "string"},
                {"name": "token", "type": "string", "description": "A token", "secret": True},
                {"name": "branch", "type": "string", "description": "Its branch", "pattern": "^[a-z]+$", "default": "main"},
                {"name": "keyword", "type": "integer", "default": 3},
                {"name": "untyped", "type": "string", "default": "x"},
            ],
            command["parameters"],
        )

    def test_what_else_the_contract_knows_is_passed_on(self):
        def look() -> dict:
            "Look."

        command = self.described(look, name="look-at", effect="read_only", lane="x:{y}", retry={"max_attempts": 2}, timeout_seconds=5)
        expected = {"name": "look-at", "description": "Look.", "effect": "read_only", "lane": "x:{y}", "retry": {"max_attempts": 2}}
        self.assertEqual({**expected, "timeout_seconds": 5, "output": "json", "parameters": []}, command)
        self.assertEqual("text", self.described(look, name="b", output="text", description="Other.")["output"])
        document = self.plugin.describe()
        self.assertEqual({"memory_mb": 64}, document["plugin"]["sandbox"]["limits"])
        self.assertEqual(["TOKEN"], document["plugin"]["secrets"])

    def test_a_mistake_is_told_with_the_function_and_the_parameter(self):
        def odd_type(when: complex): ...
        def odd_union(what: "int | str"): ...
        def mixed(what: Literal["a", 1]): ...
        def odd_default(count: int = "three"): ...
        def truth(count: int = True): ...
        def no_choice(colour: Literal["red", "blue"] = "green"): ...
        def unnamed(*words): ...
        def unknown_name(what: "Unknown"): ...  # noqa: F821

        # Before Python 3.10 there is no such union at all.
        union = "odd_union: parameter 'what' has the type" if sys.version_info >= (3, 10) else "odd_union: its types cannot be read"
        for function, told in [
            (odd_type, "command odd_type: parameter 'when' has the type complex, which no tool can have: str, int"),
            (odd_union, union),
            (mixed, "mixed: parameter 'what' has the type"),
            (odd_default, "odd_default: parameter 'count' has the default 'three', which is no integer"),
            (truth, "truth: parameter 'count' has the default True, which is no integer"),
            (no_choice, "no_choice: parameter 'colour' has the default 'green', which is none of red, blue"),
            (unnamed, "unnamed: each parameter needs a name of its own"),
            (unknown_name, "unknown_name: its types cannot be read: name 'Unknown' is not defined"),
        ]:
            with self.subTest(told), self.assertRaisesRegex(TypeError, told):
                self.plugin.command(function)
        for attempt, told in [
            (lambda: self.plugin.command(efect="once")(lambda: None), "the contract has no 'efect'; is 'effect' meant?"),
            (lambda: Plugin("one", secret=[]), r"Plugin\('one'\): the contract has no 'secret'; is 'secrets' meant\?"),
            (lambda: Option(maxmum=3), "Option: the contract has no 'maxmum'; is 'maximum' meant?"),
        ]:
            with self.subTest(told), self.assertRaisesRegex(TypeError, told):
                attempt()
        self.plugin.command(name="a")(lambda: None)
        with self.assertRaisesRegex(TypeError, "the name 'a' is taken"):
            self.plugin.command(name="a")(lambda: None)

    def test_a_decorated_function_is_seen_through(self):
        import functools

        def twice(function):
            @functools.wraps(function)
            def both(**values):
                return function(**values) * 2

            return both

        @twice
        def say(word: str):
            "Say it."
            return word

        command = self.described(say)
        self.assertEqual(["word"], [parameter["name"] for parameter in command["parameters"]])
        self.assertEqual("hoho", self.plugin.commands["say"].function(word="ho"))


class Arguments(Calls):
    def setUp(self):
        self.write(
            """
            plugin = Plugin("one", description="Does things.")

            @plugin.command
            def show(number: int = 0, ratio: float = 0, flag: bool = False, words: List[str] = [], counts: List[int] = [],
                     points: List[dict] = [], options: Dict[str, int] = {}, choice: Literal[1, 2] = 1, full_name: Optional[str] = None):
                "Show what has come."
                return dict(locals())

            @plugin.command(name="a-command-with-a-long-name")
            def needs(what: str, words: List[str]):
                "Need something."
                return what + ",".join(words)
            """
        )

    def shown(self, *words):
        return json.loads(self.succeeds("show", *words))

    def test_values_come_as_the_types_say(self):
        defaults = {"number": 0, "ratio": 0, "flag": False, "words": [], "counts": [], "points": [], "options": {}, "choice": 1, "full_name": None}
        self.assertEqual(defaults, self.shown())
        for words, values in [
            (["--number", "7"], {"number": 7}),
            (["--number", "9007199254740993"], {"number": 9007199254740993}),
            (["--number=-3"], {"number": -3}),
            (["--number", "3e2"], {"number": 300}),
            (["--ratio", "2.5"], {"ratio": 2.5}),
            (["--flag", "true"], {"flag": True}),
            (["--words", "a", "--words", "b c", "--words=--d=e"], {"words": ["a", "b c", "--d=e"]}),
            (["--counts", "1", "--counts", "2"], {"counts": [1, 2]}),
            (["--points", '[{"x":1},{"x":2}]'], {"points": [{"x": 1}, {"x": 2}]}),
            (["--options", '{"a":1}'], {"options": {"a": 1}}),
            (["--choice", "2"], {"choice": 2}),
            (["--full-name", ""], {"full_name": ""}),
        ]:
            with self.subTest(words):
                self.assertEqual({**defaults, **values}, self.shown(*words))
        self.assertEqual("x\n", self.succeeds("a-command-with-a-long-name", "--what", "x"), "an empty list has no words")

    def test_what_is_wrong_is_told(self):
        for words, told in [
            ([], "no command is given; the commands are show, a-command-with-a-long-name"),
            (["shw"], "'shw' is not a command; the commands are show"),
            (["show", "--x", "1"], "show has no option '--x'; it has --number"),
            (["show", "--number"], "--number needs a value"),
            (["show", "--number", "1.5"], "--number is '1.5': a whole number is expected"),
            (["show", "--ratio", "much"], "--ratio is 'much': a number is expected"),
            (["show", "--flag", "yes"], "--flag is 'yes': true or false is expected"),
            (["show", "--choice", "3"], "--choice is '3', which is none of 1, 2"),
            (["show", "--options", "[1]"], "--options must be a JSON object"),
            (["a-command-with-a-long-name"], "a-command-with-a-long-name needs --what"),
        ]:
            with self.subTest(words):
                answer, _ = self.fails(*words)
                self.assertEqual("invalid_arguments", answer["code"])
                self.assertIn(told, answer["error"])

    def test_the_help_is_what_a_server_reads_commands_from(self):
        for words in (["--help"], ["-h"], ["show", "--help"]):
            lines = self.succeeds(*words).split("\n")
            block = lines[lines.index("Available commands:") + 1 :]
            block = block[: block.index("")]
            self.assertEqual(["show", "a-command-with-a-long-name"], [line.split()[0] for line in block])
            self.assertTrue(all(line.startswith("  ") and line[2] != " " for line in block))


class Answering(Calls):
    def setUp(self):
        self.write(
            """
            plugin = Plugin("one", secrets=["TOKEN", {"name": "key", "as": "file", "variable": "KEY_FILE"}])

            @plugin.command
            def end(how: str):
                if how == "text":
                    return "grüße"
                if how == "json":
                    return {"said": "grüße"}
                if how == "failure":
                    raise Failure("app_unknown", "there is no app x; see the file", retryable=False, app="x")
                if how == "snooze":
                    raise Snooze(30, "busy")
                if how == "nan":
                    return float("nan")
                if how == "bug":
                    return {}["missing"]

            @plugin.command
            def secrets():
                return plugin.secret("TOKEN") + " " + plugin.secret("key")

            @plugin.command
            def undeclared():
                return plugin.secret("OTHER")

            @plugin.command
            def work():
                progress(1)
                progress(2, 3, "copying")
                log("a line")
            """
        )

    def test_answers(self):
        self.assertEqual("grüße\n", self.succeeds("end", "--how", "text"))
        self.assertEqual('{\n  "said": "grüße"\n}\n', self.succeeds("end", "--how", "json"))
        self.assertEqual("", self.succeeds("end", "--how", "nothing"))

    def test_failures(self):
        answer, said = self.fails("end", "--how", "failure")
        self.assertEqual({"ok": False, "error": "there is no app x; see the file", "code": "app_unknown", "retryable": False, "app": "x"}, answer)
        self.assertEqual("", said)
        answer, _ = self.fails("end", "--how", "snooze", status=75)
        self.assertEqual((30, "busy"), (answer["snooze"], answer["error"]))

    def test_an_unexpected_exception_is_told_with_its_traceback_in_the_log(self):
        answer, said = self.fails("end", "--how", "bug")
        self.assertEqual(("internal_error", "KeyError: 'missing'"), (answer["code"], answer["error"]))
        self.assertIn("Traceback", said)
        answer, _ = self.fails("end", "--how", "nan")
        self.assertIn("not JSON compliant", answer["error"])

    def test_secrets_by_environment_and_by_file(self):
        file = Path(self.directory, "key")
        file.write_text("from a file", encoding="utf-8")
        env = {**os.environ, "TOKEN": "t", "KEY_FILE": str(file)}
        self.assertEqual("t from a file\n", self.succeeds("secrets", env=env))
        answer, _ = self.fails("secrets", env={**os.environ, "TOKEN": "t"})
        self.assertEqual("secret_missing", answer["code"])
        self.assertIn("smcp secrets set key", answer["error"])
        answer, _ = self.fails("undeclared")
        self.assertIn("declares no secret OTHER", answer["error"])

    def test_progress_and_log(self):
        read, write = os.pipe()
        env = {**os.environ, "SMCP_EVENTS_FD": str(write)}
        done = self.run_it("work", env=env, pass_fds=[write])
        os.close(write)
        with os.fdopen(read, encoding="utf-8") as events:
            told = [json.loads(line) for line in events]
        self.assertEqual([{"progress": 1}, {"progress": 2, "total": 3, "message": "copying"}], told)
        self.assertEqual(("a line\n", ""), (done.stderr, done.stdout))
        self.assertEqual("", self.succeeds("work"), "without anybody who listens")


class InProcess(unittest.TestCase):
    def test_a_command_can_be_called_as_the_function_that_it_is(self):
        plugin = Plugin("one")

        @plugin.command
        def fail():
            raise Failure("no_luck", "not today")

        with self.assertRaises(Failure) as caught:
            fail()
        self.assertEqual(("no_luck", "not today"), (caught.exception.code, str(caught.exception)))


if __name__ == "__main__":
    unittest.main()
