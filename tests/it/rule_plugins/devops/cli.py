#!/usr/bin/env python3
"""A plugin whose tools somebody would want rules for."""

import json
import sys

CONTRACT = {
    "contract_version": "1.0",
    "plugin": {"name": "devops"},
    "commands": [
        {
            "name": "deploy",
            "parallel": True,
            "parameters": [
                {"name": "app", "required": True},
                {"name": "environment", "enum": ["staging", "production"], "default": "staging"},
                {"name": "instances", "type": "integer"},
                {"name": "ratio", "type": "number"},
                {"name": "regions", "type": "array", "items": {"type": "string"}},
                {"name": "token", "secret": True},
            ],
        },
        {"name": "status", "effect": "read_only"},
        {
            "name": "drop",
            "annotations": {"destructiveHint": True},
            "parameters": [{"name": "table", "required": True}],
        },
        {"name": "count", "parameters": [{"name": "n", "type": "integer", "required": True}]},
    ],
}

if __name__ == "__main__":
    if sys.argv[1:] == ["--describe"]:
        print(json.dumps(CONTRACT))
    else:
        print("done: " + sys.argv[1])
