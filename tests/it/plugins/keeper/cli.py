#!/usr/bin/env python3
"""A plugin that gets secrets, and cannot keep them to itself."""

import json
import os
import stat
import sys
import time

from shapes import shapes

CONTRACT = {
    "contract_version": "1.0",
    "plugin": {
        "name": "keeper",
        "secrets": [
            "KEEPER_TOKEN",
            {"name": "keeper_key", "as": "file", "variable": "KEEPER_KEY_FILE", "required": False},
            {"name": "KEEPER_OTHER"},
        ],
    },
    "commands": [
        {"name": "show", "effect": "read_only", "secrets": ["KEEPER_TOKEN", "keeper_key"]},
        {"name": "other", "effect": "read_only", "secrets": ["KEEPER_OTHER"]},
        {"name": "nothing", "effect": "read_only", "secrets": []},
        {
            "name": "leak",
            "effect": "read_only",
            "secrets": ["KEEPER_TOKEN", "keeper_key"],
            "parameters": [
                {"name": "pass-word", "secret": True, "required": True},
                {"name": "more", "type": "object", "secret": True},
                {"name": "how", "enum": ["text", "error", "killed"], "default": "text"},
            ],
        },
    ],
}


def reversed_of(text):
    """No encoding that anybody would look for."""
    return text and text[::-1]


def show():
    path = os.environ.get("KEEPER_KEY_FILE")
    key = {}
    if path:
        key = {
            "reversed": reversed_of(open(path).read()),
            "mode": oct(stat.S_IMODE(os.stat(path).st_mode)),
            "in_scratch": os.path.dirname(path) == os.getcwd(),
        }
    names = ["KEEPER_TOKEN", "KEEPER_OTHER"]
    print(json.dumps({"env": {name: reversed_of(os.environ.get(name)) for name in names}, "key": key}, ensure_ascii=False))


def in_pieces(fd, text):
    """Written so that every value is cut somewhere."""
    data = text.encode()
    for start in range(0, len(data), 7):
        os.write(fd, data[start : start + 7])
        if start % 70 == 0:
            time.sleep(0.001)


def leak(arguments):
    option = lambda name: arguments[arguments.index(name) + 1] if name in arguments else None
    values = [os.environ["KEEPER_TOKEN"], open(os.environ["KEEPER_KEY_FILE"]).read(), option("--pass-word")]
    values += [value for value in json.loads(option("--more") or "{}").values()]
    events = int(os.environ["SMCP_EVENTS_FD"])
    lines = [shape for value in values for shape in shapes(value)]
    for shape in lines:
        in_pieces(1, f"out {shape} end\n")
        in_pieces(2, f"log {shape} end\n")
        in_pieces(events, json.dumps({"progress": 1, "message": f"event {shape} end"}) + "\n")
    print(json.dumps(lines))
    sys.stdout.flush()
    how = option("--how")
    if how == "killed":
        os.kill(os.getpid(), 9)
    if how == "error":
        raise SystemExit("; ".join(lines))


if __name__ == "__main__":
    if "--describe" in sys.argv:
        if any(name.startswith("KEEPER_") for name in os.environ):
            raise SystemExit("a description run has secrets")
        print(json.dumps(CONTRACT))
    elif sys.argv[1] == "leak":
        leak(sys.argv[2:])
    else:
        show()
