#!/usr/bin/env python3
"""Deployments of which nothing comes: what rules decide about."""

import argparse
import json
import sys

APP = {"name": "app", "type": "string", "required": True}
CONTRACT = {
    "contract_version": "1.0",
    "plugin": {"name": "devops", "version": "1.0.0", "description": "Deploys nothing."},
    "commands": [
        {
            "name": "deploy",
            "description": "Deploys an application.",
            "parameters": [
                APP,
                {"name": "environment", "type": "string", "enum": ["staging", "production"], "default": "staging"},
                {"name": "count", "type": "integer"},
            ],
        },
        {
            "name": "rollback",
            "description": "Goes back to the version before.",
            "annotations": {"destructiveHint": True},
            "parameters": [APP],
        },
        {"name": "status", "description": "Tells how things are.", "effect": "read_only"},
    ],
}


def main():
    if sys.argv[1:] == ["--describe"]:
        print(json.dumps(CONTRACT))
        return
    parser = argparse.ArgumentParser(prog="devops")
    commands = parser.add_subparsers(dest="command", required=True)
    deploy = commands.add_parser("deploy")
    deploy.add_argument("--app", required=True)
    deploy.add_argument("--environment", default="staging")
    deploy.add_argument("--count", type=int)
    commands.add_parser("rollback").add_argument("--app", required=True)
    commands.add_parser("status")
    call = parser.parse_args()
    print(json.dumps(vars(call)))


if __name__ == "__main__":
    main()
