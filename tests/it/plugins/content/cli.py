#!/usr/bin/env python3
"""Answers of every kind: whole MCP tool results, JSON documents, and text of any length."""

import json
import sys

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SILENCE = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="

BLOCKS = {
    "text": {"type": "text", "text": "words", "annotations": {"audience": ["user"], "priority": 0.5}},
    "image": {"type": "image", "data": PIXEL, "mimeType": "image/png"},
    "audio": {"type": "audio", "data": SILENCE, "mimeType": "audio/wav"},
    "embedded": {
        "type": "resource",
        "resource": {"uri": "test://embedded", "mimeType": "text/plain", "text": "embedded words"},
    },
    "binary": {"type": "resource", "resource": {"uri": "test://binary", "blob": PIXEL, "mimeType": "image/png"}},
    "link": {"type": "resource_link", "uri": "test://linked", "name": "linked", "mimeType": "text/plain", "size": 7},
}

WORDS = {
    "type": "object",
    "properties": {"words": {"$ref": "#/$defs/count"}},
    "required": ["words"],
    "additionalProperties": False,
    "$defs": {"count": {"type": "integer", "minimum": 0}},
}

KINDS = {"name": "kinds", "type": "array", "items": {"type": "string", "enum": list(BLOCKS)}}
PRINTED = {"name": "printed", "type": "string", "required": True, "description": "What it prints"}
BYTES = {"name": "bytes", "type": "integer", "required": True, "minimum": 0}


def command(name, *parameters, **more):
    return {"name": name, "description": f"Content: {name}.", "effect": "read_only", "parameters": parameters} | more


CONTRACT = {
    "contract_version": "1.0",
    "plugin": {"name": "content", "version": "1.0.0"},
    "commands": [
        command("blocks", KINDS, output="mcp"),
        command("as-mcp", PRINTED, output="mcp"),
        command("as-json", PRINTED, output="json"),
        command("counted", PRINTED, output_schema=WORDS),
        command("counted-mcp", PRINTED, output="mcp", output_schema=WORDS),
        command("fails", output_schema=WORDS),
        command("useless-schema", PRINTED, output_schema={"type": "object", "properties": {"a": {"type": "words"}}}),
        command("long-text", BYTES),
        command("long-json", BYTES, output="json"),
        command("long-words", BYTES, output_schema=WORDS),
        command("long-bytes"),
    ],
}


def fails(_):
    print(json.dumps({"error": "no words"}))
    sys.exit(1)


def long_text(options):
    """Numbered lines of 16 bytes, one character of which takes two."""
    lines = "".join(f"é{line:013d}\n" for line in range(int(options["bytes"][0]) // 16))
    sys.stdout.buffer.write(lines.encode())


def long_json(options):
    print(json.dumps("x" * (int(options["bytes"][0]) - 2)), end="")


COMMANDS = {
    "blocks": lambda options: print(json.dumps({"content": [BLOCKS[kind] for kind in options.get("kinds", BLOCKS)]})),
    "fails": fails,
    "long-text": long_text,
    "long-json": long_json,
    "long-words": long_json,
    "long-bytes": lambda _: sys.stdout.buffer.write(b"\xff\xfe\x00" * 40_000),
}


def main():
    if sys.argv[1:] == ["--describe"]:
        print(json.dumps(CONTRACT))
        return
    options = {}
    for name, value in zip(sys.argv[2::2], sys.argv[3::2], strict=True):
        options.setdefault(name.removeprefix("--"), []).append(value)
    said = COMMANDS.get(sys.argv[1], lambda options: print(options["printed"][0]))
    said(options)


if __name__ == "__main__":
    main()
