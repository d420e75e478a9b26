#!/usr/bin/env python3
"""A shop that is deployed: its version is in the file that the variable SHOP_STATE names, and every deployment and every
look at its health is a line in the journal beside it.

A version that ends with `-broken` is never healthy; of one that ends with `-flaky`, every other look finds it so.
"""

import argparse
import json
import os
import sys

CONTRACT = {
    "contract_version": "1.0",
    "plugin": {"name": "shop", "version": "1.0.0", "description": "A shop that can be deployed."},
    "commands": [
        {"name": "version", "description": "Tells which version runs.", "effect": "read_only", "output": "json"},
        {"name": "health", "description": "Fails where the shop is not healthy.", "effect": "read_only"},
        {
            "name": "deploy",
            "description": "Deploys a version.",
            "effect": "once",
            "parameters": [
                {"name": "version", "type": "string", "required": True},
                {"name": "replicas", "type": "integer", "default": 1},
            ],
        },
    ],
}


def main():
    if sys.argv[1:] == ["--describe"]:
        print(json.dumps(CONTRACT))
        return
    parser = argparse.ArgumentParser(prog="shop")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("version")
    commands.add_parser("health")
    deploy = commands.add_parser("deploy")
    deploy.add_argument("--version", required=True)
    deploy.add_argument("--replicas", type=int, default=1)
    call = parser.parse_args()

    os.umask(0)  # the next call may be another user
    path = os.environ["SHOP_STATE"]
    if call.command == "deploy":
        with open(path, "w", encoding="utf-8") as state:
            state.write(call.version)
        note(path, f"deploy {call.version} {call.replicas}")
        print(json.dumps({"ok": True, "version": call.version}))
        return
    with open(path, encoding="utf-8") as state:
        version = state.read()
    if call.command == "version":
        print(json.dumps({"version": version, "versions": [version]}))
        return
    looks = note(path, f"health {version}")
    if version.endswith("-broken") or version.endswith("-flaky") and looks % 2 == 0:
        sys.exit(f"{version} is not healthy")
    print(json.dumps({"ok": True}))


def note(path, line):
    """Adds a line to the journal; answers how many like it there are."""
    with open(path + ".journal", "a+", encoding="utf-8") as journal:
        journal.write(line + "\n")
        journal.flush()
        journal.seek(0)
        return journal.read().splitlines().count(line)


if __name__ == "__main__":
    main()
