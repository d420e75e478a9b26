#!/usr/bin/env python3
"""conformance: the tools that the official MCP conformance suite calls. ../../smcp.toml gives them the suite's names."""

import argparse
import base64
import json
import os
import sys
import time

# One red pixel, and a tenth of a millisecond of silence.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
WAV = base64.b64encode(
    b"RIFF" + (37).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    + b"\x01\x00\x01\x00" + (8000).to_bytes(4, "little") * 2 + b"\x01\x00\x08\x00data\x01\x00\x00\x00\x80"
).decode()


def simple_text(_):
    return [text("This is a simple text response for testing.")]


def image_content(_):
    return [image()]


def audio_content(_):
    return [{"type": "audio", "data": WAV, "mimeType": "audio/wav"}]


def embedded_resource(_):
    return [resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")]


def multiple_content_types(_):
    mixed = resource("test://mixed-content-resource", "application/json", '{"test":"data","value":123}')
    return [text("Multiple content types test:"), image(), mixed]


def error_handling(_):
    print(json.dumps({"ok": False, "error": "This tool intentionally returns an error for testing"}))
    sys.exit(1)


def tool_with_progress(_):
    for progress in (0, 50, 100):
        report({"progress": progress, "total": 100})
        time.sleep(0.05)
    return [text("Three reports of progress were made.")]


def tool_with_logging(_):
    for line in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        print(line, file=sys.stderr)
        time.sleep(0.05)
    return [text("Three lines were logged.")]


def reconnection(_):
    time.sleep(1)
    return [text("The call went on while its stream was closed.")]


def greet(call):
    return [text(f"Hello, {call.name}!")]


def slow_compute(call):
    time.sleep(call.seconds)
    return [text(f"Computed {call.label} for {call.seconds} s.")]


def failing_job(_):
    time.sleep(1)
    error_handling(_)


def greet_contact(call):
    return [text(f"Hello, {call.name}!")]


def in_region(call):
    return [text(f"In {call.region}.")]


def text(words):
    return {"type": "text", "text": words}


def image():
    return {"type": "image", "data": PNG, "mimeType": "image/png"}


def resource(uri, kind, words):
    return {"type": "resource", "resource": {"uri": uri, "mimeType": kind, "text": words}}


def report(event):
    if descriptor := os.environ.get("SMCP_EVENTS_FD"):
        os.write(int(descriptor), json.dumps(event).encode() + b"\n")


def number(description):
    return {"type": "number", "description": description, "minimum": 0, "maximum": 60}


def takes(properties, *required, **more):
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False, **more}


def words(description, **more):
    return {"type": "string", "description": description, **more}


NOTHING = takes({})
CONTACT = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    **takes(
        {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        }
    ),
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
}

COMMANDS = {
    "test_simple_text": (simple_text, "Answers with a text.", NOTHING),
    "test_image_content": (image_content, "Answers with an image.", NOTHING),
    "test_audio_content": (audio_content, "Answers with a sound.", NOTHING),
    "test_embedded_resource": (embedded_resource, "Answers with a resource.", NOTHING),
    "test_multiple_content_types": (multiple_content_types, "Answers with a text, an image and a resource.", NOTHING),
    "test_error_handling": (error_handling, "Fails.", NOTHING),
    "test_tool_with_progress": (tool_with_progress, "Reports progress three times.", NOTHING),
    "test_tool_with_logging": (tool_with_logging, "Logs three lines.", NOTHING),
    "test_reconnection": (reconnection, "Takes a second.", NOTHING),
    "json_schema_2020_12_tool": (greet_contact, "Greets a contact.", CONTACT),
    "region": (in_region, "Says where.", takes({"region": words("Where", **{"x-mcp-header": "Region"})}, "region")),
    "greet": (greet, "Greets somebody.", takes({"name": words("Whom")}, "name")),
    "slow_compute": (
        slow_compute,
        "Takes as long as it is told.",
        takes({"seconds": number("How long"), "label": words("What to call it", default="it")}, "seconds"),
    ),
    "failing_job": (failing_job, "Fails after a second.", NOTHING),
}


def describe():
    commands = [
        {"name": name, "description": description, "input_schema": schema, "output": "mcp", "parallel": True,
         "effect": "read_only"}
        for name, (_, description, schema) in COMMANDS.items()
    ]
    return {"contract_version": "1.0", "plugin": {"name": "conformance", "version": "1.0.0"}, "commands": commands}


def main():
    if sys.argv[1:] == ["--describe"]:
        return print(json.dumps(describe()))
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (_, description, schema) in COMMANDS.items():
        command = commands.add_parser(name, help=description)
        for parameter, property in schema["properties"].items():
            command.add_argument(f"--{parameter}", type=float if property.get("type") == "number" else str)
    call = parser.parse_args()
    print(json.dumps({"content": COMMANDS[call.command][0](call)}))


if __name__ == "__main__":
    main()
