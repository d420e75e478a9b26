#!/usr/bin/env python3
"""Naps that leave a journal, so that a test can tell which calls ran, how often, and whether two overlapped. Beside it
is a file for each run, whose lock the run holds: its process id says nothing outside of its sandbox.

`sleepy2` is a link to this directory: the same program as another plugin.
"""

import argparse
import fcntl
import json
import os
import sys
import time
import uuid

PLUGIN = os.path.basename(os.path.dirname(os.path.abspath(__file__)))

SECONDS = {"name": "seconds", "type": "number", "required": True, "minimum": 0}
GATE = {"name": "gate", "type": "string", "description": "File whose appearance ends the nap early"}
JOURNAL = {"name": "journal", "type": "string", "description": "File that gets a line at the start and at the end"}
LABEL = {"name": "label", "type": "string", "description": "Tells this call from others in the journal", "default": ""}

CONTRACT = {
    "contract_version": "1.0",
    "plugin": {"name": PLUGIN, "version": "1.0.0"},
    "commands": [
        {"name": "nap", "effect": "read_only", "parameters": [SECONDS, GATE, JOURNAL, LABEL]},
        {"name": "once-nap", "effect": "once", "parameters": [SECONDS, GATE, JOURNAL, LABEL]},
        {
            "name": "wipe",
            "effect": "once",
            "annotations": {"destructiveHint": True},
            "parameters": [SECONDS, GATE, JOURNAL, LABEL],
        },
        {
            "name": "held-nap",
            "effect": "read_only",
            "on_disconnect": "cancel",
            "output_schema": {"type": "object"},
            "parameters": [SECONDS, GATE, JOURNAL, LABEL],
        },
        {
            "name": "steps",
            "effect": "read_only",
            "parameters": [{"name": "count", "type": "integer", "required": True, "minimum": 0}, SECONDS, JOURNAL, LABEL],
        },
    ],
}


def main():
    if sys.argv[1:] == ["--describe"]:
        print(json.dumps(CONTRACT))
        return
    os.umask(0)  # the test may be another user, and so may be the next run
    call = parse()
    run = lock(call)
    record(call, run, "start")
    if call.command == "steps":
        steps(call)
    else:
        nap(call)
    record(call, run, "end")
    print(json.dumps({"ok": True, "plugin": PLUGIN, "command": call.command, "label": call.label, "run": run}))


def parse():
    parser = argparse.ArgumentParser(prog=PLUGIN)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("nap", "once-nap", "wipe", "held-nap", "steps"):
        command = commands.add_parser(name)
        command.add_argument("--seconds", type=float, required=True)
        command.add_argument("--journal")
        command.add_argument("--label", default="")
        if name == "steps":
            command.add_argument("--count", type=int, required=True)
        else:
            command.add_argument("--gate")
    return parser.parse_args()


def nap(call):
    """Sleep for `seconds`, or until the gate is open."""
    end = time.monotonic() + call.seconds
    while (left := end - time.monotonic()) > 0 and not (call.gate and os.path.exists(call.gate)):
        time.sleep(min(left, 0.005) if call.gate else left)


def steps(call):
    """Report each of `count` steps as progress and as a line of log; a step takes `seconds`."""
    events = os.environ.get("SMCP_EVENTS_FD")
    for step in range(1, call.count + 1):
        time.sleep(call.seconds)
        if events:
            line = json.dumps({"progress": step, "total": call.count, "message": f"step {step} of {call.count}"})
            os.write(int(events), line.encode() + b"\n")
        print(f"step {step} of {call.count} is done", file=sys.stderr, flush=True)


def lock(call):
    """A file of this run alone, which it holds the lock of to its end."""
    if not call.journal:
        return None
    path = f"{call.journal}.{uuid.uuid4()}"
    fcntl.flock(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), fcntl.LOCK_EX)
    return path


def record(call, run, event):
    """Append one line, whole and on disk, before going on. The monotonic clock is the same for all processes."""
    if not call.journal:
        return
    line = {
        "event": event,
        "plugin": PLUGIN,
        "command": call.command,
        "label": call.label,
        "run": run,
        "monotonic": time.monotonic(),
    }
    journal = os.open(call.journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(journal, json.dumps(line).encode() + b"\n")
    os.fsync(journal)
    os.close(journal)


if __name__ == "__main__":
    main()
