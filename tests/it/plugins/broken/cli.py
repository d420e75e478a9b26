#!/usr/bin/env python3
"""Describes itself with three wrong fields: a command name, a parameter's type and a `required` that is no boolean."""

import json
import sys

CONTRACT = {
    "contract_version": "1.0",
    "commands": [
        {"name": "fine", "parameters": [{"name": "a", "type": "str"}, {"name": "b", "type": "string", "required": "yes"}]},
        {"name": "not a name", "parameters": []},
    ],
}

if sys.argv[1:] == ["--describe"]:
    print(json.dumps(CONTRACT))
