"""The bundled demonstration plugins, run as the worker runs them."""

import json
import math
import os
import subprocess
import sys
import unittest
from pathlib import Path

PLUGINS = Path(__file__).resolve().parents[1]


def run(plugin, *words):
    program = PLUGINS / plugin / "cli.py"
    return subprocess.run([sys.executable, program, *words], capture_output=True, encoding="utf-8", timeout=30, check=False)


class Demo(unittest.TestCase):
    def succeeds(self, plugin, words, expected):
        with self.subTest(words=words):
            done = run(plugin, *words)
            self.assertEqual((0, ""), (done.returncode, done.stderr), done.stdout)
            self.assertEqual({"ok": True, **expected}, json.loads(done.stdout))
            self.assertTrue(done.stdout.startswith('{\n  "ok": true'), "the JSON is indented")

    def fails(self, plugin, words, code, part=""):
        with self.subTest(words=words):
            done = run(plugin, *words)
            self.assertEqual((1, ""), (done.returncode, done.stderr), done.stdout)
            answer = json.loads(done.stdout)
            self.assertEqual((False, code), (answer["ok"], answer["code"]))
            self.assertTrue(answer["error"].startswith(f"{code}: "), answer["error"])
            self.assertIn(part, answer["error"])


class Math(Demo):
    def test_two_numbers(self):
        for name, symbol, a, b, result in [
            ("add", "+", "2", "3", 5),
            ("subtract", "-", "2", "-3.5", 5.5),
            ("multiply", "*", "-1e3", "2", -2000),
            ("divide", "/", "7", "2", 3.5),
        ]:
            expected = {"operation": name, "a": float(a), "b": float(b), "result": result}
            for spelling in (name, symbol, name.upper()):
                words = ["calculate", "--operation", spelling, "--a", a, "--b", b]
                self.succeeds("demo_math", words, expected)

    def test_expressions(self):
        for expression, result in [
            ("2+2", 4),
            ("-2 + 3", 1),
            ("2 * (3 + 4) ** 2", 98),
            ("7 // 2 + 7 % 4", 6),
            ("1 / 4", 0.25),
            ("--3", 3),
            ("2 ** -1", 0.5),
            ("2 ** 1000", 2**1000),
        ]:
            words = ["calculate", "--expression", expression]
            self.succeeds("demo_math", words, {"expression": expression, "result": result})

    def test_refused_expressions(self):
        for expression, code in [
            ("", "invalid_expression"),
            ("2 +", "invalid_expression"),
            ("x", "invalid_expression"),
            ("abs(-1)", "invalid_expression"),
            ("(1).real", "invalid_expression"),
            ("'a' * 9", "invalid_expression"),
            ("True + 1", "invalid_expression"),
            ("1j", "invalid_expression"),
            ("1 < 2", "invalid_expression"),
            ("1+" * 100 + "1", "invalid_expression"),
            ("(" * 200, "invalid_expression"),
            ("1 / 0", "division_by_zero"),
            ("1 % 0", "division_by_zero"),
            ("0 ** -1", "division_by_zero"),
            ("9 ** 9 ** 9", "out_of_range"),
            ("(2 ** 900) ** 900", "out_of_range"),
            ("*".join(["9 ** 999"] * 8), "out_of_range"),
            ("10.0 ** 999", "out_of_range"),
            ("1e999", "out_of_range"),
            ("(-8) ** 0.5", "out_of_range"),
        ]:
            self.fails("demo_math", ["calculate", "--expression", expression], code)

    def test_refused_calculations(self):
        pair = ["--a", "1", "--b", "0"]
        self.fails("demo_math", ["calculate", "--operation", "divide", *pair], "division_by_zero")
        self.fails("demo_math", ["calculate", "--operation", "root", *pair], "invalid_operation", "'root'")
        self.fails("demo_math", ["calculate", *pair], "invalid_arguments", "--operation")
        self.fails("demo_math", ["calculate"], "invalid_arguments", "--expression")
        self.fails("demo_math", ["calculate", "--expression", "1", *pair], "invalid_arguments", "either")
        self.fails("demo_math", ["calculate", "--a", "one"], "invalid_arguments", "--a is 'one'")
        self.fails("demo_math", ["calculate", "--a", "nan"], "invalid_arguments", "--a is 'nan'")
        self.fails("demo_math", ["calculate", "--operation", "*", "--a", "1e300", "--b", "1e300"], "out_of_range")

    def test_bytes(self):
        for value, human in [
            ("0", "0 B"),
            ("1023", "1023 B"),
            ("1024", "1.00 KiB"),
            ("1536", "1.50 KiB"),
            ("1048575", "1.00 MiB"),
            ("1e12", "931.32 GiB"),
        ]:
            words = ["format_bytes", "--value", value]
            self.succeeds("demo_math", words, {"bytes": math.floor(float(value)), "human": human})
        self.fails("demo_math", ["format_bytes", "--value", "-1"], "invalid_arguments", "0 or more")
        self.fails("demo_math", ["format_bytes"], "invalid_arguments", "--value is required")

    def test_coin(self):
        sides = {json.loads(run("demo_math", "coin_flip").stdout)["result"] for _ in range(4)}
        self.assertLessEqual(sides, {"heads", "tails"})


class Text(Demo):
    def test_echo(self):
        self.succeeds("demo_text", ["echo", "--message", "hi"], {"output": "hi"})
        self.succeeds("demo_text", ["echo", "--message", "", "--prefix", ""], {"output": ""})
        self.succeeds("demo_text", ["echo", "--message", "hi", "--prefix", " A "], {"output": "A: hi"})
        self.succeeds("demo_text", ["echo", "--message", "--prefix"], {"output": "--prefix"})
        self.succeeds("demo_text", ["echo", "--message=ünï=code"], {"output": "ünï=code"})
        self.fails("demo_text", ["echo", "--prefix", "A"], "invalid_arguments", "--message is required")

    def test_word_count(self):
        self.succeeds("demo_text", ["word_count", "--text", " one\ttwo\n three "], {"words": 3, "characters": 16})
        self.succeeds("demo_text", ["word_count", "--text", ""], {"words": 0, "characters": 0})

    def test_slugify(self):
        for title, slug in [
            ("Hello, World!", "hello-world"),
            ("  --A--b  ", "a-b"),
            ("Crème brûlée № 5", "creme-brulee-no-5"),
            ("日本", "untitled"),
        ]:
            self.succeeds("demo_text", ["slugify", "--title", title], {"slug": slug})

    def test_hash_preview(self):
        expected = {"sha256_preview": "2cf24dba5fb0a30e", "algorithm": "sha256"}
        self.succeeds("demo_text", ["hash_preview", "--text", "hello"], expected)


class Contract(Demo):
    COMMANDS = {
        "demo_math": ["calculate", "format_bytes", "coin_flip"],
        "demo_text": ["echo", "word_count", "slugify", "hash_preview"],
    }

    def test_describe(self):
        for plugin, names in self.COMMANDS.items():
            contract = json.loads(run(plugin, "--describe").stdout)
            self.assertEqual("1.0", contract["contract_version"])
            self.assertEqual(plugin, contract["plugin"]["name"])
            self.assertEqual(names, [command["name"] for command in contract["commands"]])
            for command in contract["commands"]:
                with self.subTest(command=command["name"]):
                    self.assertTrue(command["description"])
                    self.assertEqual("read_only", command["effect"])
                    self.assertEqual({"readOnlyHint": True, "idempotentHint": True}, command["annotations"])
                    for parameter in command["parameters"]:
                        self.assertIn(parameter["type"], ["string", "number"])
                        self.assertTrue(parameter["description"])

    def test_help_lists_the_commands(self):
        for plugin, names in self.COMMANDS.items():
            for words in (["--help"], ["-h"], [names[0], "--help"]):
                done = run(plugin, *words)
                self.assertEqual(0, done.returncode)
                listing = done.stdout.partition("Available commands:\n")[2].partition("\n\n")[0]
                self.assertEqual(names, [line.split()[0] for line in listing.splitlines()])

    def test_bad_command_lines(self):
        for plugin in self.COMMANDS:
            self.fails(plugin, [], "invalid_arguments", "no command is given")
            self.fails(plugin, ["dance"], "invalid_arguments", "'dance' is not a command")
        self.fails("demo_text", ["echo", "hi"], "invalid_arguments", "unknown option 'hi'")
        self.fails("demo_text", ["echo", "--message"], "invalid_arguments", "--message needs a value")
        self.fails("demo_math", ["coin_flip", "--side", "heads"], "invalid_arguments", "unknown option '--side'")

    def test_programs_can_be_executed(self):
        for plugin in self.COMMANDS:
            program = PLUGINS / plugin / "cli.py"
            self.assertTrue(os.access(program, os.X_OK))
            self.assertTrue(program.read_text(encoding="utf-8").startswith("#!/usr/bin/env python3\n"))


if __name__ == "__main__":
    unittest.main()
