"""A machine for the tests of the devops plugin: directories, an apps file, and the plugin run as the worker runs it."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CLI = Path(__file__).resolve().parents[1] / "devops" / "cli.py"


class World(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name)
        self.root, self.builds, self.file = self.path / "root", self.path / "builds", self.path / "apps.toml"
        self.root.mkdir()
        self.builds.mkdir()

    def apps(self, text):
        """Writes the apps file; of `ROOT`, `BUILDS` and `PATH` stand the directories of this test."""
        for name, path in {"ROOT": self.root, "BUILDS": self.builds, "PATH": self.path}.items():
            text = text.replace(name, str(path))
        self.file.write_text(text)

    def shop(self, more="", source='directory = "BUILDS/{version}"'):
        """An apps file with one app, `shop`; `more` goes into its environment."""
        self.apps(f'[apps.shop]\nsource = {{ {source} }}\n\n[apps.shop.environments.production]\nroot = "ROOT"\n{more}\n')

    def version(self, name, files=None):
        """Builds a version of the shop."""
        for path, text in {"page": name, **(files or {})}.items():
            file = self.builds / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def start(self, *words, runner=(), **environment):
        settings = {"PATH": os.environ["PATH"], "SMCP_DEVOPS_APPS": str(self.file), "HOME": str(self.path), **environment}
        return subprocess.Popen([*runner, sys.executable, str(CLI), *words], env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")

    def run_it(self, *words, **how):
        process = self.start(*words, **how)
        out, self.log = process.communicate(timeout=60)
        return process.returncode, json.loads(out)

    def call(self, command, *words, app="shop", **how):
        """Calls a command, which must succeed."""
        status, answer = self.run_it(command, "--app-name", app, *words, **how)
        self.assertEqual(0, status, (answer, self.log))
        return answer

    def fails(self, code, command, *words, app="shop", part="", **how):
        """Calls a command, which must fail with that code."""
        status, answer = self.run_it(command, "--app-name", app, *words, **how)
        self.assertEqual((1, code), (status, answer.get("code")), (answer, self.log))
        self.assertFalse(answer["ok"])
        self.assertIn(part, answer["error"])
        self.assertNotIn("Traceback", self.log)
        return answer

    def deploy(self, version, **how):
        return self.call("deploy", "--version", version, **how)

    def page(self):
        """What the current release serves."""
        return (self.root / "current" / "page").read_text()

    def left(self):
        """What is in the root, and the releases by their versions."""
        releases = self.root / "releases"
        names = [name.split("-", 2)[-1] for name in sorted(os.listdir(releases))] if releases.exists() else []
        return sorted(set(os.listdir(self.root)) - {"releases", "current"}), names


class Service:
    """A real HTTP server that answers what it is told: a status, or a function of the request's handler."""

    def __init__(self, test, answer):
        service = self
        self.answer, self.asked = answer, []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                service.asked.append(self.path)
                if callable(service.answer):
                    return service.answer(self)
                status, headers, text = service.answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text.encode())

            def do_CONNECT(self):
                service.answer(self)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        # Clients that give up are a part of the tests.
        self.server.handle_error = lambda *_: None
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        test.addCleanup(self.server.server_close)
        test.addCleanup(self.server.shutdown)
