#!/usr/bin/env python3
"""Everything that a plugin should not do to the worker that runs it, one command each, and `argv` and `environment`,
which show what the worker gave it.

What lives on ends by itself after LIFETIME_S, so that a failing test leaves nothing behind for long.
"""

import json
import os
import signal
import sys
import time

LIFETIME_S = 120

PIDFILE = {"name": "pidfile", "type": "string", "description": "File that gets the process id"}

ARGV = [
    {"name": "text", "type": "string", "description": "Any text"},
    {"name": "count", "type": "integer", "minimum": 0, "maximum": 100},
    {"name": "ratio", "type": "number"},
    {"name": "spoken", "type": "boolean", "description": "Rendered as a value"},
    {"name": "flag", "type": "boolean", "action": "store_true", "description": "Rendered as a flag"},
    {"name": "flag_style", "type": "boolean", "arg_style": "flag"},
    {"name": "valueless", "type": "boolean", "takes_value": False},
    {"name": "tags", "type": "array", "items": {"type": "string"}},
    {
        "name": "people",
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
            "required": ["name"],
            "additionalProperties": False,
        },
    },
    {"name": "settings", "type": "object"},
    {"name": "dry-run-id", "type": "string", "description": "Its name has hyphens"},
    {"name": "style", "type": "string", "default": "plain"},
    {"name": "level", "type": "string", "enum": ["low", "high"]},
    {"name": "untyped", "description": "Declares no type"},
]


def command(name, *parameters, effect="read_only"):
    return {"name": name, "description": f"Awkward: {name}.", "effect": effect, "parameters": list(parameters)}


CONTRACT = {
    "contract_version": "1.0",
    "plugin": {"name": "awkward", "version": "1.0.0", "description": "Misbehaves on request."},
    "commands": [
        command("gigabyte"),
        command("large", {"name": "bytes", "type": "integer", "required": True, "minimum": 0}),
        command("binary"),
        command("suicide", {"name": "signal", "type": "integer", "required": True}),
        command("hang", PIDFILE),
        command("mute", PIDFILE),
        command(
            "daemon",
            PIDFILE | {"required": True},
            {"name": "quiet", "type": "boolean", "action": "store_true", "description": "Let go of the output first"},
        ),
        command("stubborn", PIDFILE | {"required": True}),
        command("stderr-only"),
        command("json-error"),
        command("ok-error"),
        command("silent-fail"),
        command("environment"),
        command("argv", *ARGV),
        command("echo-json", {"name": "value", "type": "object", "required": True}),
        command("echo-mcp", {"name": "value", "type": "object", "required": True}) | {"output": "mcp"},
    ],
}


def gigabyte(_):
    block = b"0123456789abcdef" * 65536
    for _ in range(1024):
        sys.stdout.buffer.write(block)


def large(options):
    """Numbered lines of 16 bytes, cut to the length asked for; no white space at the end that a reader may strip."""
    size = int(options["bytes"])
    text = "".join(f"{line:015d}\n" for line in range(size // 16 + 1))
    sys.stdout.write(text[: size - 1] + "$" if size else "")


def binary(_):
    sys.stdout.buffer.write(b"caf\xe9 \xff\xfe and \xf0\x9f\x98 end")


def suicide(options):
    number = int(options["signal"])
    if number != signal.SIGKILL:  # whose action cannot be set; Python ignores or catches some of the others
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    time.sleep(LIFETIME_S)


def hang(options):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    write_pid(options)
    print("hanging", file=sys.stderr, flush=True)
    time.sleep(LIFETIME_S)


def mute(options):
    print("the last words", flush=True)
    os.close(1)
    os.close(2)
    write_pid(options)
    time.sleep(LIFETIME_S)


def daemon(options):
    """Leave the process group and the session, as daemons do, and hold the output open unless told to be quiet."""
    ready, started = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            if "quiet" in options:
                os.close(1)
                os.close(2)
            write_pid(options)
            os.write(started, b".")
            os.close(started)
            time.sleep(LIFETIME_S)
        os._exit(0)
    os.read(ready, 1)
    print(json.dumps({"ok": True}), flush=True)


def stubborn(options):
    """Ignore the request to stop, in two processes of which the second has left the session. Writes both ids."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = os.fork()
    if child == 0:
        os.setsid()
        time.sleep(LIFETIME_S)
    write_pid(options, os.getpid(), child)
    time.sleep(LIFETIME_S)


def stderr_only(_):
    print("the reason is on stderr", file=sys.stderr)
    sys.exit(3)


def json_error(_):
    print(json.dumps({"error": "the reason is in the JSON", "code": "too_awkward"}))
    sys.exit(1)


def ok_error(_):
    print(json.dumps({"error": "an error that exits with 0"}))


def silent_fail(_):
    sys.exit(4)


def environment(_):
    print(json.dumps({"environment": dict(os.environ), "cwd": os.getcwd(), "entries": os.listdir(".")}))


def echo_json(options):
    print(json.dumps(json.loads(options["value"])))


def echo_mcp(options):
    echo_json(options)


def write_pid(options, *pids):
    """All at once, since the test may look at any moment."""
    if "pidfile" not in options:
        return
    draft = options["pidfile"] + ".part"
    with open(draft, "w", encoding="ascii") as file:
        file.write(" ".join(map(str, pids or [os.getpid()])))
    os.rename(draft, options["pidfile"])


def main(words):
    if words == ["--describe"]:
        print(json.dumps(CONTRACT))
    elif words[0] == "argv":
        print(json.dumps(words[1:]))
    else:
        globals()[words[0].replace("-", "_")](read(words[1:]))


def read(words):
    """`--name value` pairs, and flags, which get no value."""
    options = {}
    while words:
        name = words.pop(0).removeprefix("--")
        options[name] = words.pop(0) if words and not words[0].startswith("--") else None
    return options


if __name__ == "__main__":
    main(sys.argv[1:])
