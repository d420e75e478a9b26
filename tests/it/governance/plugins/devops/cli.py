#!/usr/bin/env python3
"""Deployments of which nothing comes: what rules decide about."""

import json
import sys

APP = {"name": "app_name", "type": "string", "required": True}
CONTRACT = {
    "contract_version": "1.0",
    "plugin": {"name": "devops", "version": "1.0.0", "description": "Deploys nothing."},
    "commands": [
        {
            "name": "deploy",
            "description": "Deploys an application.",
            "parallel": True,
            "parameters": [
                APP,
                {"name": "environment", "type": "string", "enum": ["staging", "production"], "default": "staging"},
                {"name": "count", "type": "integer"},
                {"name": "ratio", "type": "number"},
                {"name": "regions", "type": "array", "items": {"type": "string"}},
                {"name": "token", "secret": True},
            ],
        },
        {
            "name": "rollback",
            "description": "Goes back to the version before.",
            "annotations": {"destructiveHint": True},
            "parameters": [APP],
        },
        {"name": "status", "description": "Tells how things are.", "effect": "read_only"},
        {
            "name": "count",
            "description": "Counts.",
            "parameters": [{"name": "n", "type": "integer", "required": True}],
        },
    ],
}

if __name__ == "__main__":
    if sys.argv[1:] == ["--describe"]:
        print(json.dumps(CONTRACT))
    else:
        print("done: " + sys.argv[1])
