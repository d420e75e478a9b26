"""Plugins for SMCP as plain Python functions: one file, nothing but the standard library, Python 3.9 or later.

    from typing import Annotated
    from smcp_plugin import Plugin

    plugin = Plugin("greeter", version="1.0.0", description="Greets people.")

    @plugin.command(effect="read_only")
    def greet(full_name: Annotated[str, "Whom"], times: int = 1):
        "Say hello to somebody."
        return {"greeting": f"Hello, {full_name}! " * times}

    if __name__ == "__main__":
        plugin.main()

Names, types, defaults and descriptions of the parameters become those of the tool. Types are str, int, float, bool, dict, list, list[...]
of these, Literal[...] for a choice, and Optional[...] for what may be left out. What else the contract knows of a plugin or a command
(`sandbox`, `secrets`, `lane`, `timeout_seconds`, `retry` ...) is given as a keyword and passed on as it is.
"""

import json
import os
import sys
import traceback
from typing import Annotated, Literal, Union, get_args, get_origin, get_type_hints

TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", dict: "object", list: "array"}
# What a shell calls EX_TEMPFAIL: not now.
NOT_NOW = 75


class Failure(Exception):
    """Why a command has failed: a stable code, and a sentence that says what to do.

    `retryable` says whether another attempt could end otherwise, `retry_after` in how many seconds one may be made. Further
    keywords are answered beside them.
    """

    def __init__(self, code, message, **details):
        super().__init__(message)
        self.answer = {"ok": False, "error": message, "code": code, **details}


class Snooze(Exception):
    """Not now: the call is made again after so many seconds, and no attempt is counted."""

    def __init__(self, seconds, message="not now"):
        super().__init__(message)
        self.answer = {"ok": False, "error": message, "code": "snoozed", "snooze": seconds}


class Option:
    """What a parameter's type does not say, for `Annotated[str, Option("Which branch", pattern="^[a-z]+$")]`.

    Keywords are those of the contract: `enum`, `minimum`, `maximum`, `pattern`, `format`, `secret`.
    """

    def __init__(self, description="", **contract):
        self.contract = {"description": description, **contract} if description else contract


class Plugin:
    """A plugin and its commands. Keywords are those of `plugin` in the contract."""

    def __init__(self, name, *, version="1.0.0", description="", **contract):
        self.contract = {"name": name, "version": version, "description": description, **contract}
        self.commands = {}

    def command(self, function=None, *, name=None, **contract):
        """Makes a function a command; its docstring's first paragraph is the description.

        Keywords are those of a command in the contract. What the function returns is the answer: a text as it is, anything else as
        JSON. It fails by raising `Failure`.
        """

        def register(function):
            command = Command(function, name or function.__name__, contract)
            self.commands[command.name] = command
            return function

        return register(function) if function else register

    def describe(self):
        """The answer to `--describe`."""
        return {
            "contract_version": "1.0",
            "plugin": self.contract,
            "commands": [command.describe() for command in self.commands.values()],
        }

    def secret(self, name):
        """The value of a secret that the plugin declares, however it is handed over; `Failure` where it is not set."""
        for wish in self.contract.get("secrets", ()):
            wish = {"name": wish} if isinstance(wish, str) else wish
            value = os.environ.get(wish.get("variable", wish["name"])) if wish["name"] == name else None
            if value is not None and wish.get("as") == "file":
                with open(value, encoding="utf-8") as file:
                    return file.read()
            if value is not None:
                return value
        raise Failure("secret_missing", f"the secret {name} is not set; an operator sets it with: smcp secrets set {name}")

    def main(self, words=None):
        """Does what the command line asks for, and ends the process where that has failed."""
        words = sys.argv[1:] if words is None else words
        if words == ["--describe"]:
            return answer(self.describe())
        if words[:1] in (["--help"], ["-h"]) or words[1:2] in (["--help"], ["-h"]):
            return answer(self.help())
        try:
            command = self.named(words)
            answer(command.function(**command.arguments(words[1:])))
        except Failure as failure:
            answer(failure.answer)
            sys.exit(1)
        except Snooze as snooze:
            answer(snooze.answer)
            sys.exit(NOT_NOW)
        except Exception as error:
            traceback.print_exc()
            answer({"ok": False, "error": f"{type(error).__name__}: {error}", "code": "internal_error"})
            sys.exit(1)

    def named(self, words):
        if words and words[0] in self.commands:
            return self.commands[words[0]]
        given = f"'{words[0]}' is not a command" if words else "no command is given"
        raise Failure("invalid_arguments", f"{given}; the commands are {', '.join(self.commands)}")

    def help(self):
        name, description = self.contract["name"], self.contract["description"]
        lines = [f"usage: {name} COMMAND [--OPTION VALUE ...]", "", description, "", "Available commands:"]
        lines += [f"  {command.name:<18}{command.description}" for command in self.commands.values()]
        for command in self.commands.values():
            if command.parameters:
                lines += ["", f"Options of {command.name}:"]
            lines += [f"  {option:<18}{given.get('description', '')}" for option, given in command.options().items()]
        return "\n".join(lines)


class Command:
    """A function that can be called from the command line."""

    def __init__(self, function, name, contract):
        self.function, self.name, self.contract = function, name, contract
        paragraph = (function.__doc__ or "").strip().split("\n\n")[0]
        self.description = " ".join(paragraph.split())
        hints = get_type_hints(function, include_extras=True)
        code = function.__code__
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        defaults = dict(function.__kwdefaults__ or {})
        positional = code.co_varnames[: code.co_argcount]
        defaults.update(zip(reversed(positional), reversed(function.__defaults__ or ())))
        self.parameters = [parameter(name, hints.get(name, str), defaults) for name in names]

    def describe(self):
        described = {"name": self.name, "description": self.description, **self.contract}
        described.setdefault("parameters", self.parameters)
        return described

    def options(self):
        return {"--" + parameter["name"].replace("_", "-"): parameter for parameter in self.parameters}

    def arguments(self, words):
        """The values given as `--name value` or `--name=value`; a value may begin with a hyphen."""
        options, values = self.options(), {}
        words = iter(words)
        for word in words:
            option, joined, text = word.partition("=")
            if option not in options:
                known = ", ".join(options) or "none"
                raise Failure("invalid_arguments", f"{self.name} has no option '{option}'; it has {known}")
            parameter = options[option]
            if not joined and (text := next(words, None)) is None:
                raise Failure("invalid_arguments", f"{option} needs a value")
            value = read(option, parameter, text)
            if parameter["type"] == "array":
                values.setdefault(parameter["name"], []).extend(value)
            else:
                values[parameter["name"]] = value
        missing = [option for option, given in options.items() if given.get("required") and given["name"] not in values]
        if missing:
            raise Failure("invalid_arguments", f"{self.name} needs {' and '.join(missing)}")
        return values


def parameter(name, hint, defaults):
    """A parameter as the contract describes it."""
    described = {"name": name}
    if get_origin(hint) is Annotated:
        hint, *notes = get_args(hint)
        for note in notes:
            described.update({"description": note} if isinstance(note, str) else note.contract)
    described.update(shape(name, hint))
    if name not in defaults:
        described["required"] = True
    elif defaults[name] is not None:
        described["default"] = defaults[name]
    return described


def shape(name, hint):
    """A type, as JSON Schema says it."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint in TYPES:
        return {"type": TYPES[hint]}
    if origin is Literal:
        return {"type": TYPES[type(inner[0])], "enum": list(inner)}
    if origin is list:
        return {"type": "array", "items": shape(name, inner[0])}
    if origin is dict:
        return {"type": "object"}
    some = [kind for kind in inner if kind is not type(None)]
    # `str | None` is a union of another kind, which Python before 3.10 does not have.
    if len(some) == 1 and (origin is Union or type(hint).__name__ == "UnionType"):
        return shape(name, some[0])
    raise TypeError(f"parameter '{name}' has the type {hint}, which no tool can have")


def read(option, parameter, text):
    """The value that a word of the command line stands for; of an array, its elements."""
    kind = parameter["type"]
    if kind == "array":
        items = parameter.get("items", {"type": "string"})
        # Where elements are not plain, all of them come as one document.
        return parsed(option, text, list) if items["type"] in ("object", "array") else [read(option, items, text)]
    value = text
    if kind == "object":
        value = parsed(option, text, dict)
    elif kind in ("integer", "number"):
        value = number(option, kind, text)
    elif kind == "boolean":
        if text not in ("true", "false"):
            raise Failure("invalid_arguments", f"{option} is '{text}': true or false is expected")
        value = text == "true"
    choices = parameter.get("enum")
    if choices and value not in choices:
        raise Failure("invalid_arguments", f"{option} is '{text}', which is none of {', '.join(map(str, choices))}")
    return value


def number(option, kind, text):
    try:
        return float(text) if kind == "number" else whole(text)
    except (ValueError, OverflowError):
        expected = "a whole number" if kind == "integer" else "a number"
        raise Failure("invalid_arguments", f"{option} is '{text}': {expected} is expected") from None


def whole(text):
    # In JSON, 3.0 and 3e2 are whole as well. The others do not go by way of a float, which has 53 bits.
    if not any(mark in text for mark in ".eE"):
        return int(text)
    value = float(text)
    if not value.is_integer():
        raise ValueError(text)
    return int(value)


def parsed(option, text, kind):
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, kind):
        raise Failure("invalid_arguments", f"{option} must be a JSON {TYPES[kind]}")
    return value


def answer(value):
    """Prints an answer: a text as it is, anything else as JSON."""
    print(value if isinstance(value, str) else json.dumps(value, indent=2))


def progress(done, total=None, message=None):
    """Tells whoever follows the call how far it is: `done`, which grows, of `total`."""
    descriptor = os.environ.get("SMCP_EVENTS_FD")
    if descriptor is None:
        return
    said = {"progress": done, "total": total, "message": message}
    line = json.dumps({key: value for key, value in said.items() if value is not None}) + "\n"
    os.write(int(descriptor), line.encode())


def store_secret(name, value):
    """Hands a secret over to SMCP's store, for the calls of the same agent; what the call prints from then on does not show it.

    The command declares it: `stores=["NAME", "PREFIX_*"]`. Where SMCP cannot store it, the whole call fails.
    """
    descriptor = os.environ.get("SMCP_EVENTS_FD")
    if descriptor is None:
        raise Failure("secret_not_stored", f"{name} cannot be stored: the plugin is not run by SMCP")
    rest = (json.dumps({"secret": {"name": name, "value": value}}) + "\n").encode()
    while rest:
        rest = rest[os.write(int(descriptor), rest) :]


def log(message):
    """Writes a line to the log of the call, which is streamed to whoever watches its job."""
    print(message, file=sys.stderr, flush=True)
