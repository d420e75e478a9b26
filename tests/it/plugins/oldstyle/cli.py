#!/usr/bin/env python3
"""A plugin from before `--describe`: its commands can be learned from its help only."""

import argparse
import json

COMMANDS = """\
Available commands:
  greet       Say hello
  status      Tell how it goes

Examples:
  cli.py greet
"""


def main():
    parser = argparse.ArgumentParser(
        description="An old plugin", epilog=COMMANDS, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("greet").add_argument("--name", default="world")
    commands.add_parser("status")
    call = parser.parse_args()
    print(json.dumps({"result": f"Hello, {call.name}" if call.command == "greet" else "well"}))


if __name__ == "__main__":
    main()
