#!/usr/bin/env python3
"""A plugin that hands secrets over to be stored, and then cannot keep them to itself."""

import base64
import json
import os
import sys

CONTRACT = {
    "contract_version": "1.0",
    "plugin": {"name": "maker", "secrets": ["MADE_TOKEN"]},
    "commands": [
        {
            "name": "make",
            "effect": "once",
            "secrets": [],
            "stores": ["MADE_TOKEN", "MADE_FOR_*"],
            "parameters": [
                {"name": "name", "required": True},
                # So that the secret itself is in no argument.
                {"name": "reversed", "required": True},
            ],
        },
        {"name": "made", "effect": "read_only"},
    ],
}


def make(name, value):
    events = int(os.environ["SMCP_EVENTS_FD"])
    line = json.dumps({"secret": {"name": name, "value": value}}) + "\n"
    if name == "CUT":
        line = line[:-3]
    # In pieces, as a program may write it.
    for start in range(0, len(line), 5):
        os.write(events, line[start : start + 5].encode())
    encoded = base64.b64encode(value.encode()).decode()
    for _ in range(100):
        os.write(1, f"out {value} {encoded}\n".encode())
    os.write(2, f"log {value} {encoded}\n".encode())
    os.write(events, b"\n" + json.dumps({"progress": 1, "message": f"event {value}"}).encode() + b"\n")


if __name__ == "__main__":
    if "--describe" in sys.argv:
        print(json.dumps(CONTRACT))
    elif sys.argv[1] == "make":
        make(sys.argv[3], sys.argv[5][::-1])
    else:
        print(os.environ["MADE_TOKEN"][::-1])
