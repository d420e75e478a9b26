#!/usr/bin/env python3
"""Commands that an operator has listed in a TOML file, each a tool with typed parameters. No shell is ever involved."""

import os
import sys

import listed
import running
from smcp_plugin import Command, Failure, Plugin, answer

SETTING = "SMCP_SHELL_COMMANDS"
DESCRIPTION = "Commands that the operator of this machine has listed."
# A command gets what its own table asks for, and nothing else of what is granted for another one.
NOTHING = {
    "filesystem": {"read": [], "write": []},
    "network": {"mode": "none"},
    "env": {"allow": [SETTING]},
}
ANSWER = {
    "type": "object",
    "required": ["ok", "exit_status", "stdout", "stderr"],
    "properties": {
        "ok": {"type": "boolean"},
        "exit_status": {"type": "integer"},
        "stdout": {"type": "string", "description": "Its beginning, where stdout_truncated is true."},
        "stderr": {"type": "string", "description": "Its end."},
        "stdout_truncated": {"type": "boolean"},
    },
}


class Listed(Command):
    """A listed command in the place of a function."""

    def __init__(self, entry, path):
        self.entry, self.path = entry, path
        self.name, self.description = entry.name, entry.description
        program = entry.template.elements[0].text
        if running.found(program) is None:
            self.description += f" (Not available now: there is no program {program}, or the plugin is not granted to read it.)"
        self.parameters = [parameter.describe() for parameter in entry.parameters]
        self.contract = {key: value for key, value in entry.contract.items() if value is not None}
        self.contract.update(output="json", output_schema=ANSWER, secrets=entry.secrets)
        if entry.sandbox:
            self.contract["sandbox"] = sandbox(entry.sandbox)

    def function(self, **values):
        argv = self.entry.argv(values)
        return running.run(argv, self.entry.cwd, self.entry.env, f"commands.{self.name} in {self.path}")


def sandbox(asked):
    """What a command asks for, and nothing of what it does not speak of but limits."""
    terms = {section: {**NOTHING.get(section, {}), **asked.get(section, {})} for section in [*NOTHING, "limits"]}
    terms["env"]["allow"] = [*asked.get("env", {}).get("allow", []), SETTING]
    return terms


def plugin():
    """The plugin, and why it has no commands, where that is not meant so."""
    path = os.environ.get(SETTING)
    contract = {"sandbox": NOTHING}
    if not path:
        text = f"{DESCRIPTION} There are none: {SETTING} names the file that lists them."
        return Plugin("shell", description=text, **contract), None
    if os.path.isabs(path) and ".." not in path.split("/"):
        contract["files"] = [path]
    try:
        entries, problems = listed.read(path)
    except listed.Unreadable as unreadable:
        why = str(unreadable)
        return Plugin("shell", description=f"{DESCRIPTION} There are none: {why}.", problems=[why], **contract), why
    described = Plugin("shell", description=DESCRIPTION, problems=problems, **contract)
    described.contract["secrets"] = sorted({secret for entry in entries.values() for secret in entry.secrets})
    for entry in entries.values():
        described.commands[entry.name] = Listed(entry, path)
    return described, None


def main():
    described, why = plugin()
    asks = sys.argv[1:2] in ([], ["--describe"], ["--help"], ["-h"])
    if why is not None and not asks:
        answer(Failure("commands_unreadable", why, retryable=False).answer)
        sys.exit(1)
    described.main()


if __name__ == "__main__":
    main()
