"""A service of continuous integration on this machine, which answers what a test says, and the plugin that asks it."""

import json
import os
import subprocess
import sys
import threading
import time
import unittest
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

CLI = Path(__file__).resolve().parents[1] / "ci" / "cli.py"
TOKEN = "token-that-nobody-may-see"
# What the queue does with a call that ends so: it is made again later.
SNOOZED = 75


class Reply:
    """An answer. `body` is a document, bytes as they are, or a function that writes them to the connection."""

    def __init__(self, status=200, body=None, **headers):
        self.status, self.body = status, body
        self.headers = {name.replace("_", "-"): str(value) for name, value in headers.items()}


class Handler(BaseHTTPRequestHandler):
    def answer(self):
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        content = self.rfile.read(length)
        asked = f"{self.command} {parts.path}"
        body = json.loads(content) if content else None
        query, headers = dict(parse_qsl(parts.query)), dict(self.headers)
        self.server.requests.append({"asked": asked, "query": query, "headers": headers, "body": body})
        replies = self.server.replies.get(asked)
        if replies is None:
            reply = Reply(404, {"message": "Not Found"})
        else:
            reply = replies.pop(0) if len(replies) > 1 else replies[0]
        if callable(reply.body):
            return reply.body(self)
        content = reply.body if isinstance(reply.body, bytes) else b"" if reply.body is None else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        for name, value in {"Content-Length": len(content), "Content-Type": "application/json", **reply.headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = answer

    def date_time_string(self, timestamp=None):
        return formatdate(self.server.now if timestamp is None else timestamp, usegmt=True)

    def log_message(self, *words):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.replies, self.requests, self.now = {}, [], time.time()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def handle_error(self, request, client_address):
        # Who hangs up in the middle of an answer is what some tests are about.
        pass

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def on(self, asked, *replies):
        """Answers a request with these, one after the other; the last one for good."""
        self.replies[asked] = list(replies)

    def asked(self):
        return [request["asked"] for request in self.requests]


def run_cli(*words, environment):
    words = [sys.executable, CLI, *words]
    return subprocess.run(words, capture_output=True, encoding="utf-8", env=environment, timeout=60, check=False)


class Case(unittest.TestCase):
    """A test with a server of its own, for both providers."""

    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.environment = {
            "PATH": os.environ["PATH"],
            "SMCP_CI_GITHUB_URL": self.server.url,
            "SMCP_CI_GITLAB_URL": self.server.url + "/api/v4",
        }

    def run_plugin(self, command, *words, **options):
        secret = "GITLAB_TOKEN" if command.startswith("gitlab") else "GITHUB_TOKEN"
        for name, value in options.items():
            value = value if isinstance(value, str) else json.dumps(value)
            words += ("--" + name.replace("_", "-"), value)
        environment = {secret: TOKEN, **self.environment}
        done = run_cli(command, *words, environment=environment)
        self.assertNotIn(TOKEN, done.stdout + done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        return done.returncode, json.loads(done.stdout)

    def succeeds(self, command, **options):
        status, answer = self.run_plugin(command, **options)
        self.assertEqual(0, status, answer)
        return answer

    def fails(self, code, command, **options):
        status, answer = self.run_plugin(command, **options)
        self.assertEqual((1, False, code), (status, answer.get("ok"), answer.get("code")), answer)
        return answer

    def snoozes(self, command, **options):
        status, answer = self.run_plugin(command, **options)
        self.assertEqual((SNOOZED, "snoozed"), (status, answer.get("code")), answer)
        return answer
