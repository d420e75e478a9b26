#!/usr/bin/env python3
"""demo_text: small operations on text, to try a server with.

The commands and their parameters are declared once, in CONTRACT, which serves `--describe`, `--help` and the reading of
the command line. argparse would take a text such as `--loud` for an option, and costs 2 ms at each start.
"""

import hashlib
import json
import sys
import unicodedata

READ_ONLY = {"annotations": {"readOnlyHint": True, "idempotentHint": True}, "effect": "read_only"}

CONTRACT = {
    "contract_version": "1.0",
    "plugin": {
        "name": "demo_text",
        "version": "1.0.0",
        "description": "Demonstration: echo, word counts, slugs and short hashes.",
    },
    "commands": [
        {
            "name": "echo",
            "description": "Give a message back, after a prefix if there is one.",
            **READ_ONLY,
            "parameters": [
                {"name": "message", "type": "string", "description": "The message", "required": True},
                {"name": "prefix", "type": "string", "description": "A label before the message", "default": ""},
            ],
        },
        {
            "name": "word_count",
            "description": "Count the words and the characters of a text.",
            **READ_ONLY,
            "parameters": [{"name": "text", "type": "string", "description": "The text", "required": True}],
        },
        {
            "name": "slugify",
            "description": "Turn a title into a slug of lower-case letters, digits and hyphens.",
            **READ_ONLY,
            "parameters": [{"name": "title", "type": "string", "description": "The title", "required": True}],
        },
        {
            "name": "hash_preview",
            "description": "Give the first 16 hexadecimal digits of a text's SHA-256.",
            **READ_ONLY,
            "parameters": [{"name": "text", "type": "string", "description": "The text", "required": True}],
        },
    ],
}


class Failure(Exception):
    """An answer with `ok` false; the code leads the message, so that it reaches callers who see only the message."""

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code = code


def echo(message, prefix=""):
    label = prefix.strip()
    return {"output": f"{label}: {message}" if label else message}


def word_count(text):
    return {"words": len(text.split()), "characters": len(text)}


def slugify(title):
    # Decomposed, an accented letter is its base letter and a mark; the mark goes, the letter stays.
    letters = (mark for mark in unicodedata.normalize("NFKD", title) if not unicodedata.combining(mark))
    kept = "".join(letter if letter.isascii() and letter.isalnum() else " " for letter in letters)
    return {"slug": "-".join(kept.lower().split()) or "untitled"}


def hash_preview(text):
    # An argument that is not UTF-8 arrives with its bytes escaped; the hash is of the bytes that were given.
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    return {"sha256_preview": digest[:16], "algorithm": "sha256"}


COMMANDS = {"echo": echo, "word_count": word_count, "slugify": slugify, "hash_preview": hash_preview}


def main(words):
    if words == ["--describe"]:
        return show(CONTRACT)
    if words and ("--help" in words[:2] or "-h" in words[:2]):
        return print(help_text())
    try:
        command = named(words)
        answer = COMMANDS[command["name"]](**arguments(command["parameters"], words[1:]))
    except Failure as failure:
        show({"ok": False, "error": str(failure), "code": failure.code})
        sys.exit(1)
    show({"ok": True, **answer})


def named(words):
    for command in CONTRACT["commands"]:
        if words and command["name"] == words[0]:
            return command
    given = f"'{words[0]}' is not a command" if words else "no command is given"
    raise Failure("invalid_arguments", f"{given}; the commands are {', '.join(COMMANDS)}")


def arguments(parameters, words):
    """The values given as `--name value` or `--name=value`. A value may begin with a hyphen."""
    options = {"--" + parameter["name"].replace("_", "-"): parameter for parameter in parameters}
    values = {}
    words = iter(words)
    for word in words:
        option, joined, value = word.partition("=")
        if option not in options:
            raise Failure("invalid_arguments", f"unknown option '{option}'")
        if not joined and (value := next(words, None)) is None:
            raise Failure("invalid_arguments", f"{option} needs a value")
        values[options[option]["name"]] = value
    for option, parameter in options.items():
        if parameter.get("required") and parameter["name"] not in values:
            raise Failure("invalid_arguments", f"{option} is required")
    return values


def help_text():
    plugin, commands = CONTRACT["plugin"], CONTRACT["commands"]
    lines = [f"usage: {plugin['name']} COMMAND [--OPTION VALUE ...]", "", plugin["description"], "", "Available commands:"]
    lines += [f"  {command['name']:<14}{command['description']}" for command in commands]
    for command in commands:
        lines += ["", f"Options of {command['name']}:"]
        lines += [f"  --{option['name']:<12}{option['description']}" for option in command["parameters"]]
    return "\n".join(lines)


def show(answer):
    print(json.dumps(answer, indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
