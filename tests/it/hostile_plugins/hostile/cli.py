#!/usr/bin/env python3
"""Attacks on the sandbox that this runs in. Each command tries what a hostile plugin would, by the plan that a test gives
it, and prints what it has achieved: "done", or the name of the error, or what it has read."""

import argparse
import json
import sys

from attacks import files, isolation, kernel, lasting, load, network

COMMANDS = {
    **files.COMMANDS,
    **isolation.COMMANDS,
    **kernel.COMMANDS,
    **lasting.COMMANDS,
    **load.COMMANDS,
    **network.COMMANDS,
}
# Those that do not end by themselves.
TIMEOUTS = {"linger": 1, "mute": 1}


def describe():
    plan = {"name": "plan", "type": "object", "required": True}
    return {
        "contract_version": "1.0",
        "plugin": {"name": "hostile", "version": "1.0.0"},
        "commands": [
            {"name": name, "effect": "once", "parameters": [plan], "timeout_seconds": TIMEOUTS.get(name, 45)}
            for name in COMMANDS
        ],
    }


def main():
    if sys.argv[1:] == ["--describe"]:
        print(json.dumps(describe()))
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--plan", type=json.loads, required=True)
    call = parser.parse_args()
    achieved = COMMANDS[call.command](call.plan)
    if achieved is not None:
        print(json.dumps(achieved))


if __name__ == "__main__":
    main()
