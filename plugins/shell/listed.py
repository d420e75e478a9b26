"""The commands that an operator has listed in a TOML file, and everything that is wrong with them."""

import os
import re

try:
    import tomllib
except ImportError:  # Python before 3.11
    tomllib = None

from parameters import Parameter
from tables import Table, sandbox_problems
from template import NAME, Template

KEYS = ["description", "argv", "parameters", "effect", "annotations", "lane", "parallel", "timeout_seconds", "retry"]
KEYS += ["sandbox", "cwd", "env", "secrets"]
EFFECTS = ["read_only", "idempotent", "once"]
HINTS = {"title": str, **dict.fromkeys(["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"], bool)}
RETRY = {"max_attempts": int, "initial_ms": int, "factor": (int, float), "max_ms": int, "retry_on": list}
# With shell__ in front no longer than a tool's name may be; connect and disconnect are dropped by the server.
COMMAND = re.compile(r"(?!(?:dis)?connect\Z)[A-Za-z0-9][A-Za-z0-9_-]{0,56}")
SECRET = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


class Unreadable(Exception):
    """Why there are no commands at all."""


class Entry:
    """A command as it is listed."""

    def __init__(self, name, table):
        self.name = name
        self.description = table.text("description", required=True)
        self.template = Template(argv(table))
        self.parameters = [Parameter(name, below) for name, below in table.tables("parameters")]
        self.cwd = table.text("cwd")
        self.env = table.mapping("env", dict.fromkeys(table.get("env") or {}, str)) or {}
        self.secrets = table.texts("secrets") or []
        # Handed on to the server.
        self.contract = {
            "effect": table.choice("effect", EFFECTS),
            "annotations": table.mapping("annotations", HINTS),
            "lane": table.text("lane"),
            "parallel": table.value("parallel", bool, "true or false"),
            "timeout_seconds": table.value("timeout_seconds", (int, float), "a number of seconds"),
            "retry": table.mapping("retry", RETRY),
        }
        self.sandbox = table.value("sandbox", dict, "a table")
        table.problems += sandbox_problems(f"{table.path}.sandbox", self.sandbox or {})
        self.check(table)

    def check(self, table):
        """Notes what does not fit together."""
        known = {parameter.name for parameter in self.parameters}
        for name in sorted(self.template.names - known):
            table.wrong("argv", f"names {{{name}}}, which is none of its parameters ({{{{{name}}}}} stands for {{{name}}} itself)")
        for parameter in self.parameters:
            elements = [element for element in self.template.elements if parameter.name in element.names]
            if not elements:
                table.wrong(f"parameters.{parameter.name}", "is not used in argv")
            if parameter.flag is not None and any(element.only is None for element in elements):
                table.wrong(f"parameters.{parameter.name}", "is a flag, and so can only be a whole element of argv")
        canonical = [name.replace("-", "_") for name in known]
        for name in sorted({name for name in canonical if canonical.count(name) > 1}):
            table.wrong("parameters", f"has {name} twice: - and _ are the same")
        first = self.template.elements[0] if self.template.elements else None
        if first is not None and first.names:
            table.wrong("argv", "must begin with the name or the path of a program, without a placeholder")
        if first is not None and "/" in first.text and not os.path.isabs(first.text):
            table.wrong("argv", "must begin with the name of a program or its absolute path")
        flags = {parameter.name: parameter.flag for parameter in self.parameters if parameter.flag is not None}
        if (script := self.template.script(flags)) is not None:
            why = "would let its caller write a part of a program: pass the value as an argument of a fixed one"
            table.wrong("argv", f"has {script!r} as the text of a program, which {why}")
        if self.cwd is not None and not os.path.isabs(self.cwd):
            table.wrong("cwd", "must be an absolute path")
        for name in self.env:
            if not SECRET.fullmatch(name) or name.startswith("SMCP_"):
                table.wrong("env", f"has {name}, which cannot be set")
        for name in self.secrets:
            if not SECRET.fullmatch(name):
                table.wrong("secrets", f"has {name!r}, which cannot be the name of a secret")

    def argv(self, values):
        """The command line of a call with these arguments; a `Failure` names what is wrong with one."""
        leading = {element.leader for element in self.template.elements}
        texts = {}
        for parameter in self.parameters:
            value = values.get(parameter.name, parameter.default)
            text = None if value is None else parameter.text(value, leads=parameter.name in leading)
            if text is not None:
                texts[parameter.name] = text
        return self.template.filled(texts)


def argv(table):
    """The elements and groups of elements of a command line."""
    items = table.value("argv", list, 'a list such as ["systemctl", "restart", "{service}"]', required=True) or []
    if not items and "argv" in table.values:
        table.wrong("argv", "must not be empty")
    kept = []
    for i, item in enumerate(items):
        group = item if isinstance(item, list) and i > 0 else [item]
        if not group or not all(isinstance(text, str) and "\0" not in text for text in group):
            table.wrong(f"argv[{i}]", "must be a text" + (", or a list of texts that are left out together" if i else ""))
        else:
            kept.append(item)
    return kept


def read(path):
    """The commands in the file of that path that are as they should be, and what is wrong with the others."""
    if tomllib is None:
        raise Unreadable("the commands can be read by Python 3.11 or later alone: name such a one by SMCP_PYTHON, or make a .venv of it")
    if not os.path.isabs(path) or ".." in path.split("/"):
        raise Unreadable(f"SMCP_SHELL_COMMANDS is {path!r}, but must be an absolute path without ..")
    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except (FileNotFoundError, PermissionError):
        grant = f'filesystem.read = ["{path}"] under [sandbox.plugins.shell] in smcp.toml'
        raise Unreadable(f"{path} is not there, or the plugin may not read it, which an operator grants by {grant}") from None
    except (OSError, ValueError) as error:
        raise Unreadable(f"{path} cannot be read: {error}") from None
    root = Table("", document, [])
    root.only(["commands"])
    entries = {}
    for name, table in root.tables("commands"):
        table.only(KEYS)
        if not COMMAND.fullmatch(name):
            table.problems.append(f"{table.path}: a command's name is letters, digits, - and _, at most 57, and not connect or disconnect")
        entry = Entry(name, table)
        root.problems += table.problems
        if not table.problems:
            entries[name] = entry
    return entries, root.problems
