"""Drives a server with the second generation of the official Python client over Streamable HTTP; it negotiates the
newest revision. Steps as JSON on stdin, one JSON line for each on stdout, as `mcp_client.py` has them:

    mcp_client_2.py --url URL < STEPS

    {"list": true}                      -> {"tools": [...]}
    {"call": TOOL, "arguments": {...}}  -> {"is_error", "text", "structured", "meta", "progress": [...]}
        "timeout_s": 30                 longest wait for the answer (default 30)
        "progress": true                ask for progress
        "until": [PATH, VALUE]          call again until that part of the answer has the value

A PATH is a list of keys into an answer. An argument {"from": [N, KEY...]} stands for that part of the answer to step N,
the first being 0.

The first line is {"connected": {"protocolVersion", "serverInfo", "capabilities"}}. A protocol error is
{"error": {"code", "message"}}, and the next step follows.
"""

import argparse
import asyncio
import json
import sys
import time

from mcp import Client, MCPError, types

DEFAULT_TIMEOUT_S = 30
UNTIL_S = 60


async def main():
    parser = argparse.ArgumentParser(description="Drive an MCP server with the official Python client 2.")
    parser.add_argument("--url", required=True)
    options = parser.parse_args()
    steps = json.load(sys.stdin)
    async with Client(options.url) as client:
        show({"connected": {
            "protocolVersion": client.protocol_version,
            "serverInfo": dump(client.server_info),
            "capabilities": dump(client.server_capabilities),
        }})
        answers = []
        for step in steps:
            answers.append(await run(client, step, answers))
            show(answers[-1])


async def run(client, step, answers):
    try:
        if "list" in step:
            return {"tools": dump(await client.list_tools())["tools"]}
        arguments = {name: resolved(value, answers) for name, value in step.get("arguments", {}).items()}
        return await until(client, {**step, "arguments": arguments})
    except MCPError as error:
        return {"error": {"code": error.code, "message": error.message}}


def resolved(value, answers):
    if isinstance(value, dict) and list(value) == ["from"]:
        number, *path = value["from"]
        return part(answers[number], path)
    return value


def part(answer, path):
    for key in path:
        answer = answer[key]
    return answer


async def until(client, step):
    end = time.monotonic() + UNTIL_S
    while True:
        answer = await call(client, step)
        if "until" not in step or answer["is_error"]:
            return answer
        path, value = step["until"]
        if part(answer, path) == value:
            return answer
        if time.monotonic() > end:
            raise TimeoutError(f"{step} after {UNTIL_S} s: {answer}")
        await asyncio.sleep(0.02)


async def call(client, step):
    reports = []

    async def report(progress, total, message):
        reports.append({"progress": progress, "total": total, "message": message})

    result = await client.call_tool(
        step["call"],
        step.get("arguments", {}),
        read_timeout_seconds=step.get("timeout_s", DEFAULT_TIMEOUT_S),
        progress_callback=report if step.get("progress") else None,
    )
    return {
        "is_error": bool(result.is_error),
        "text": "".join(block.text for block in result.content if isinstance(block, types.TextContent)),
        "structured": result.structured_content,
        "meta": result.meta,
        "progress": reports,
    }


def dump(model):
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def show(line):
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
