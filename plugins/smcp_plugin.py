"""Plugins for SMCP as plain Python functions: one file, nothing but the standard library, Python 3.9 or later.

    from typing import Annotated
    from smcp_plugin import Plugin

    plugin = Plugin("greeter", version="1.0.0", description="Greets people.")

    @plugin.command(effect="read_only")
    def greet(full_name: Annotated[str, "Whom"], times: int = 1) -> str:
        "Say hello to somebody."
        return f"Hello, {full_name}! " * times

    if __name__ == "__main__":
        plugin.main()

Names, types, defaults and descriptions of the parameters become those of the tool. Types are str, int, float, bool, dict, list, list[...]
of these, Literal[...] for a choice, and Optional[...] for what may be left out. A function that says `-> dict` answers with structured
content. What else the contract knows of a plugin or a command (`sandbox`, `secrets`, `lane`, `timeout_seconds`, `retry` ...) is given as
a keyword. A mistake in any of this is a TypeError that names the function and the parameter.
"""

import json
import os
import sys
from typing import Annotated, Any, Callable, Dict, List, Literal, Optional, Sequence, Union, get_args, get_origin, get_type_hints

TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", dict: "object", list: "array"}
# What a shell calls EX_TEMPFAIL: not now.
NOT_NOW = 75
# What the contract knows besides the keywords that are written out below.
PLUGIN_KEYS = {"files", "problems", "runtime", "sandbox", "secrets"}
COMMAND_KEYS = {"annotations", "input_schema", "on_disconnect", "output_schema", "parallel", "parameters", "sandbox", "stores"}
OPTION_KEYS = {"format", "items"}
VARIADIC = 0x04 | 0x08  # of a function's code: it takes *args or **kwargs


class Failure(Exception):
    """Why a command has failed: a stable code, and a sentence that says what to do.

    `retryable` says whether another attempt could end otherwise, `retry_after` in how many seconds one may be made. Further
    keywords are answered beside them.
    """

    def __init__(self, code: str, message: str, **details: Any):
        super().__init__(message)
        self.code = code
        self.answer = {"ok": False, "error": message, "code": code, **details}


class Snooze(Exception):
    """Not now: the call is made again after so many seconds, and no attempt is counted."""

    def __init__(self, seconds: float, message: str = "not now"):
        super().__init__(message)
        self.answer = {"ok": False, "error": message, "code": "snoozed", "snooze": seconds}


class Option:
    """What a parameter's type does not say, for `Annotated[str, Option("Which branch", pattern="^[a-z]+$")]`.

    Of a list, `minimum`, `maximum`, `pattern` and `enum` belong to its elements: `list[Annotated[int, Option(minimum=1)]]`.
    """

    def __init__(
        self,
        description: str = "",
        *,
        minimum: Optional[float] = None,
        maximum: Optional[float] = None,
        pattern: Optional[str] = None,
        enum: Optional[Sequence[Any]] = None,
        secret: Optional[bool] = None,
        **contract: Any,
    ):
        check_keywords("Option", contract, OPTION_KEYS, "description minimum maximum pattern enum secret")
        said = {"description": description or None, "minimum": minimum, "maximum": maximum, "pattern": pattern, "enum": enum, "secret": secret}
        self.contract = {**given(said), **contract}


class Plugin:
    """A plugin and its commands. Further keywords are those of `plugin` in the contract: `sandbox`, `secrets`, `runtime`."""

    def __init__(self, name: str, *, version: str = "1.0.0", description: str = "", **contract: Any):
        check_keywords(f"Plugin({name!r})", contract, PLUGIN_KEYS, "name version description")
        self.contract: Dict[str, Any] = {"name": name, "version": version, "description": description, **contract}
        self.commands: Dict[str, "Command"] = {}

    def command(
        self,
        function: Optional[Callable] = None,
        *,
        name: Optional[str] = None,
        description: Optional[str] = None,
        effect: Optional[Literal["read_only", "idempotent", "once"]] = None,
        output: Optional[Literal["text", "json", "mcp"]] = None,
        timeout_seconds: Optional[float] = None,
        lane: Optional[str] = None,
        retry: Optional[Dict[str, Any]] = None,
        secrets: Optional[List[str]] = None,
        **contract: Any,
    ) -> Callable:
        """Makes a function a command. Its docstring's first paragraph is the description.

        What it returns is the answer: a text as it is, nothing as nothing, anything else as JSON. It fails by raising `Failure`.
        Further keywords are those of a command in the contract.
        """
        written = {"description": description, "effect": effect, "output": output, "timeout_seconds": timeout_seconds}
        written.update(lane=lane, retry=retry, secrets=secrets)

        def register(function: Callable) -> Callable:
            check_keywords(f"command {function.__name__}", contract, COMMAND_KEYS, "name " + " ".join(written))
            command = Command(function, name or function.__name__, {**given(written), **contract})
            if command.name in self.commands:
                raise TypeError(f"command {function.__name__}: the name '{command.name}' is taken by another command")
            self.commands[command.name] = command
            return function

        return register(function) if function else register

    def describe(self) -> Dict[str, Any]:
        """The answer to `--describe`."""
        return {
            "contract_version": "1.0",
            "plugin": self.contract,
            "commands": [command.describe() for command in self.commands.values()],
        }

    def secret(self, name: str) -> str:
        """The value of a secret that the plugin declares, however it is handed over; `Failure` where it is not set."""
        wishes = [{"name": wish} if isinstance(wish, str) else wish for wish in self.contract.get("secrets", ())]
        wish = next((wish for wish in wishes if wish["name"] == name), None)
        if wish is None:
            raise LookupError(f"the plugin declares no secret {name}: Plugin(..., secrets=[{name!r}])")
        value = os.environ.get(wish.get("variable", name))
        if value is None:
            raise Failure("secret_missing", f"the secret {name} is not set; an operator sets it with: smcp secrets set {name}")
        if wish.get("as") == "file":
            with open(value, encoding="utf-8") as file:
                return file.read()
        return value

    def main(self, words: Optional[Sequence[str]] = None) -> None:
        """Does what the command line asks for, and ends the process where that has failed."""
        words = sys.argv[1:] if words is None else list(words)
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
            # Seldom needed, and it would cost every call milliseconds.
            import traceback

            traceback.print_exc()
            answer({"ok": False, "error": f"{type(error).__name__}: {error}", "code": "internal_error"})
            sys.exit(1)

    def named(self, words):
        if words and words[0] in self.commands:
            return self.commands[words[0]]
        said = f"'{words[0]}' is not a command" if words else "no command is given"
        raise Failure("invalid_arguments", f"{said}; the commands are {', '.join(self.commands)}")

    def help(self) -> str:
        name, description = self.contract["name"], self.contract["description"]
        lines = [f"usage: {name} COMMAND [--OPTION VALUE ...]", "", description, "", "Available commands:"]
        lines += [f"  {command.name:<18} {command.description}".rstrip() for command in self.commands.values()]
        for command in self.commands.values():
            if command.parameters:
                lines += ["", f"Options of {command.name}:"]
            lines += [f"  {option:<18} {said.get('description', '')}".rstrip() for option, said in command.options().items()]
        return "\n".join(lines)


class Command:
    """A function that can be called from the command line."""

    def __init__(self, function, name, contract):
        self.function, self.name, self.contract = function, name, contract
        paragraph = (function.__doc__ or "").strip().split("\n\n")[0]
        self.description = " ".join(paragraph.split())
        # Of a decorated function, what it is in the end.
        inner = function
        while hasattr(inner, "__wrapped__"):
            inner = inner.__wrapped__
        self.parameters = [parameter(f"command {inner.__name__}", *each) for each in signature(inner)]
        returned = get_type_hints(inner).get("return")
        if "output" not in contract and dict in (returned, get_origin(returned)):
            self.contract["output"] = "json"

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
        needed = [parameter for parameter in self.parameters if parameter.get("required") and parameter["name"] not in values]
        # An empty list has no words.
        values.update({parameter["name"]: [] for parameter in needed if parameter["type"] == "array"})
        missing = [option for option, parameter in options.items() if parameter in needed and parameter["type"] != "array"]
        if missing:
            raise Failure("invalid_arguments", f"{self.name} needs {' and '.join(missing)}")
        return values


def given(values):
    """Those that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def check_keywords(where, contract, known, written):
    """Refuses keywords that the contract does not know: a misspelt one would say nothing."""
    for keyword in contract:
        if keyword not in known:
            import difflib

            close = difflib.get_close_matches(keyword, [*known, *written.split()], 1)
            hint = f"; is '{close[0]}' meant?" if close else ""
            raise TypeError(f"{where}: the contract has no '{keyword}'{hint}")


def signature(function):
    """Name, type and defaults of each parameter: `(name, type)` or `(name, type, default)`."""
    code, where = function.__code__, f"command {function.__name__}"
    if code.co_flags & VARIADIC or code.co_posonlyargcount:
        raise TypeError(f"{where}: each parameter needs a name of its own, without *, ** and /")
    try:
        hints = get_type_hints(function, include_extras=True)
    except Exception as error:
        raise TypeError(f"{where}: its types cannot be read: {error}") from error
    positional = code.co_varnames[: code.co_argcount]
    defaults = dict(zip(reversed(positional), reversed(function.__defaults__ or ())), **(function.__kwdefaults__ or {}))
    for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
        hint = hints.get(name, str)
        yield (name, hint, defaults[name]) if name in defaults else (name, hint)


def parameter(where, name, hint, *default):
    """A parameter as the contract describes it."""
    try:
        described = {"name": name, **shape(hint)}
        if not default:
            described["required"] = True
        elif default[0] is not None:
            described["default"] = checked(default[0], described)
    except TypeError as error:
        raise TypeError(f"{where}: parameter '{name}' {error}") from None
    return described


def shape(hint):
    """A type, as JSON Schema says it."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        described = {}
        for note in inner[1:]:
            described.update({"description": note} if isinstance(note, str) else getattr(note, "contract", {}))
        return {**shape(inner[0]), **described}
    some = [kind for kind in inner if kind is not type(None)]
    # `str | None` is a union of another kind, which Python before 3.10 does not have.
    if len(some) == 1 and (origin is Union or type(hint).__name__ == "UnionType"):
        return shape(some[0])
    if origin is Literal:
        kinds = {TYPES.get(type(choice)) for choice in inner}
        if len(kinds) == 1 and None not in kinds:
            return {"type": kinds.pop(), "enum": list(inner)}
    elif origin is list:
        return {"type": "array", "items": shape(inner[0])}
    elif origin is dict:
        return {"type": "object"}
    elif isinstance(hint, type) and hint in TYPES:
        return {"type": TYPES[hint]}
    said = hint.__name__ if isinstance(hint, type) else hint
    raise TypeError(f"has the type {said}, which no tool can have: str, int, float, bool, dict, list[...], Literal[...] or Optional[...]")


def checked(default, described):
    """The default, where it is what the parameter takes."""
    expected = described["type"]
    kinds = {"number": (int, float)}.get(expected, tuple(kind for kind, name in TYPES.items() if name == expected))
    if not isinstance(default, kinds) or (isinstance(default, bool) and expected != "boolean"):
        raise TypeError(f"has the default {default!r}, which is no {expected}")
    if "enum" in described and default not in described["enum"]:
        raise TypeError(f"has the default {default!r}, which is none of {', '.join(map(str, described['enum']))}")
    return default


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


def answer(value: Any) -> None:
    """Prints an answer: a text as it is, nothing as nothing, anything else as JSON."""
    if value is not None:
        # JSON has no NaN, and whoever reads it would stumble over one.
        print(value if isinstance(value, str) else json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False))


def progress(done: float, total: Optional[float] = None, message: Optional[str] = None) -> None:
    """Tells whoever follows the call how far it is: `done`, which grows, of `total`."""
    descriptor = os.environ.get("SMCP_EVENTS_FD")
    if descriptor is None:
        return
    line = json.dumps(given({"progress": done, "total": total, "message": message})) + "\n"
    os.write(int(descriptor), line.encode())


def store_secret(name: str, value: str) -> None:
    """Hands a secret over to SMCP's store, for the calls of the same agent; what the call prints from then on does not show it.

    The command declares it: `stores=["NAME", "PREFIX_*"]`. Where SMCP cannot store it, the whole call fails.
    """
    descriptor = os.environ.get("SMCP_EVENTS_FD")
    if descriptor is None:
        raise Failure("secret_not_stored", f"{name} cannot be stored: the plugin is not run by SMCP")
    rest = (json.dumps({"secret": {"name": name, "value": value}}) + "\n").encode()
    while rest:
        rest = rest[os.write(int(descriptor), rest) :]


def log(message: object) -> None:
    """Writes a line to the log of the call, which is streamed to whoever watches its job."""
    print(message, file=sys.stderr, flush=True)
