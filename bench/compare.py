#!/usr/bin/env python3
"""Call two MCP servers in turn, through the official Python client, and say how much longer the second one takes.

What else the machine does hits both alike, so that differences far below the spread of the calls are seen: two servers
one after the other differ by more than a millisecond here without any reason.

Usage: compare.py FIRST_URL SECOND_URL [--tool TOOL] [--args JSON] [--calls N]
"""

import argparse
import asyncio
import json
import statistics
import time
from contextlib import AsyncExitStack

from mcp import ClientSession
from mcp.client.sse import sse_client

WARM_UP = 20


async def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("urls", nargs=2, metavar="URL", help="such as http://127.0.0.1:8000/sse")
    parser.add_argument("--tool", default="demo_math__calculate")
    parser.add_argument("--args", type=json.loads, default={"expression": "2+2"}, metavar="JSON")
    parser.add_argument("--calls", type=int, default=1000, help="of each server")
    given = parser.parse_args()

    async with AsyncExitStack() as stack:
        sessions = []
        for url in given.urls:
            read, write = await stack.enter_async_context(sse_client(url))
            session = await stack.enter_async_context(ClientSession(read, write))
            await session.initialize()
            for _ in range(WARM_UP):
                await call(session, given)
            sessions.append(session)

        times = [[], []]
        for turn in range(given.calls):
            # Neither is always the one that goes first.
            for which in ((0, 1), (1, 0))[turn % 2]:
                times[which].append(await call(sessions[which], given))

    for url, of_one in zip(given.urls, times):
        print(f"{url}: {quartiles(of_one)}")
    print(f"difference, call by call: {quartiles([b - a for a, b in zip(*times)])}")


async def call(session, given):
    started = time.perf_counter()
    result = await session.call_tool(given.tool, given.args)
    took_ms = (time.perf_counter() - started) * 1000
    if result.isError:
        raise SystemExit(f"{given.tool} failed: {result.content}")
    return took_ms


def quartiles(times_ms):
    p25, p50, p75 = statistics.quantiles(times_ms, n=4)
    return f"p25 {p25:.2f} ms, p50 {p50:.2f} ms, p75 {p75:.2f} ms"


if __name__ == "__main__":
    asyncio.run(main())
