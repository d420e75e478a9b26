"""Drives a server with the official Python client: steps as JSON on stdin, one JSON line for each on stdout.

    mcp_client.py --url URL --transport sse|http [--api-key KEY] < STEPS
    mcp_client.py --url PROGRAM --transport stdio < STEPS

STEPS is a list of:

    {"list": true}                      -> {"tools": [...]}
    {"call": TOOL, "arguments": {...}}  -> {"is_error", "text", "structured", "meta", "progress": [...]}
        "timeout_s": 30                 longest wait for the answer (default 30)
        "progress": true                ask for progress
        "meta": {...}                   entries for the request's _meta
        "cancel_after_progress": 2      cancel after two progress notifications -> {"cancelled": true, "progress": [...]}

The first line is {"initialize": {...}}. A protocol error is {"error": {"code", "message"}} (408: no answer in time), and
the next step follows. If the session itself fails, the last line is {"failed": {"status", "message"}}, with the status
of the HTTP answer or null, and the exit status is 1.
"""

import argparse
import asyncio
import contextlib
import json
import os
import sys
from datetime import timedelta

import httpx
from mcp import ClientSession, McpError, types
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

DEFAULT_TIMEOUT_S = 30
CONNECT_TIMEOUT_S = 10
# How long a stream may say nothing: longer than any step takes.
SILENCE_TIMEOUT_S = 600


class Progress:
    """The progress notifications of the current step, in the order in which they came."""

    def __init__(self):
        self.reports = []
        self.token = None
        self.ended = set()
        self.changed = asyncio.Condition()

    def begin(self):
        """Start a step; what still comes for an earlier, cancelled one is not its progress."""
        self.reports = []
        self.ended.add(self.token)

    async def receive(self, message):
        if not isinstance(message, types.ServerNotification) or not isinstance(message.root, types.ProgressNotification):
            return
        params = message.root.params
        if params.progressToken in self.ended:
            return
        async with self.changed:
            self.token = params.progressToken
            self.reports.append({"progress": params.progress, "total": params.total, "message": params.message})
            self.changed.notify_all()

    async def wait_for(self, count):
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.reports) >= count)


async def main():
    options = parse()
    steps = json.load(sys.stdin)
    headers = {"Authorization": f"Bearer {options.api_key}"} if options.api_key else {}
    progress = Progress()
    try:
        async with (
            connect(options.transport, options.url, headers) as (read, write),
            ClientSession(read, write, message_handler=progress.receive) as session,
        ):
            show({"initialize": dump(await session.initialize())})
            for step in steps:
                progress.begin()
                show(await run(session, step, progress))
    except (Exception, BaseExceptionGroup) as error:
        show({"failed": failure(error)})
        sys.exit(1)


def parse():
    parser = argparse.ArgumentParser(description="Drive an MCP server with the official Python client.")
    parser.add_argument("--url", required=True)
    parser.add_argument("--transport", choices=["sse", "http", "stdio"], required=True)
    parser.add_argument("--api-key")
    return parser.parse_args()


@contextlib.asynccontextmanager
async def connect(transport, url, headers):
    if transport == "stdio":
        server = StdioServerParameters(command=url, args=["stdio"], env=dict(os.environ))
        async with stdio_client(server) as streams:
            yield streams
        return
    if transport == "sse":
        async with sse_client(url, headers, CONNECT_TIMEOUT_S, SILENCE_TIMEOUT_S) as streams:
            yield streams
        return
    timeout = httpx.Timeout(CONNECT_TIMEOUT_S, read=SILENCE_TIMEOUT_S)
    async with (
        httpx.AsyncClient(headers=headers, timeout=timeout) as client,
        streamable_http_client(url, http_client=client) as (read, write, _),
    ):
        yield read, write


async def run(session, step, progress):
    try:
        if "list" in step:
            return {"tools": dump(await session.list_tools())["tools"]}
        if "cancel_after_progress" in step:
            return await cancelled_call(session, step, progress)
        return answer(await call(session, step), progress)
    except McpError as error:
        return {"error": {"code": error.error.code, "message": error.error.message}, "progress": progress.reports}


async def call(session, step):
    asks = step.get("progress") or "cancel_after_progress" in step
    return await session.call_tool(
        step["call"],
        step.get("arguments", {}),
        read_timeout_seconds=timedelta(seconds=step.get("timeout_s", DEFAULT_TIMEOUT_S)),
        # Reports are taken from the message handler, which also sees their token; a callback makes the client ask.
        progress_callback=ignore if asks else None,
        meta=step.get("meta"),
    )


async def ignore(_progress, _total, _message):
    pass


async def cancelled_call(session, step, progress):
    """Start the call, cancel it after some progress, and do not wait for an answer, as the protocol has none then."""
    request = asyncio.create_task(call(session, step))
    enough = asyncio.create_task(progress.wait_for(step["cancel_after_progress"]))
    await asyncio.wait([request, enough], return_when=asyncio.FIRST_COMPLETED)
    if request.done():
        enough.cancel()
        return answer(request.result(), progress)
    # This client uses the id of a request as its progress token.
    params = types.CancelledNotificationParams(requestId=progress.token, reason="enough progress")
    await session.send_notification(types.ClientNotification(types.CancelledNotification(params=params)))
    request.cancel()
    await asyncio.wait([request])
    return {"cancelled": True, "progress": progress.reports}


def answer(result, progress):
    return {
        "is_error": bool(result.isError),
        "text": "".join(block.text for block in result.content if isinstance(block, types.TextContent)),
        "structured": result.structuredContent,
        "meta": result.meta,
        "progress": progress.reports,
    }


def failure(error):
    """The first plain error inside the groups in which the client's tasks wrap it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    status = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else None
    return {"status": status, "message": str(error) or type(error).__name__}


def dump(model):
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def show(line):
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
