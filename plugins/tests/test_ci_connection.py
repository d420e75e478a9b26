"""How the plugin `ci` reaches its services: certificates, proxies, patience, and what it asks its sandbox for."""

import base64
import importlib
import json
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

from ci_service import CLI, TOKEN, Case, Reply, Server, run_cli



def of_plugin(*names):
    """Modules of the plugin, which are not left to other tests: another plugin may have some of the same name."""
    before = set(sys.modules)
    sys.path.insert(0, str(CLI.parent))
    try:
        return [importlib.import_module(name) for name in names]
    finally:
        sys.path.remove(str(CLI.parent))
        for name in set(sys.modules) - before:
            if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == CLI.parent:
                del sys.modules[name]


service, settings = of_plugin("service", "settings")
RUNS = "GET /repos/octo/app/actions/runs"


class Proxy(threading.Thread):
    """A proxy as a sandbox has it: CONNECT alone, for whoever shows the password, to one port."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.listener, self.port, self.heads = socket.create_server(("127.0.0.1", 0)), port, []
        self.url = f"http://smcp:password@127.0.0.1:{self.listener.getsockname()[1]}"
        self.start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with client:
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            self.heads.append(head.decode())
            target = head.split()[1].decode()
            if target != f"localhost:{self.port}":
                client.sendall(f"HTTP/1.1 403 Forbidden: network.allow must list {target}\r\nContent-Length: 0\r\n\r\n".encode())
                return
            with socket.create_connection(("127.0.0.1", self.port)) as server:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=self.pass_on, args=(server, client), daemon=True)
                back.start()
                self.pass_on(client, server)
                back.join()

    @staticmethod
    def pass_on(source, target):
        try:
            while chunk := source.recv(1 << 16):
                target.sendall(chunk)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Encrypted(Case):
    """The server has a certificate of its own making, and is reached by a proxy."""

    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.certificate, cls.key = Path(directory.name, "certificate.pem"), Path(directory.name, "key.pem")
        words = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
        subprocess.run([*words.split(), "-out", cls.certificate, "-keyout", cls.key], check=True, capture_output=True)

    def setUp(self):
        super().setUp()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.proxy = Proxy(self.server.server_port)
        self.addCleanup(self.proxy.listener.close)
        self.environment |= {
            "SMCP_CI_GITHUB_URL": f"https://localhost:{self.server.server_port}",
            "HTTPS_PROXY": self.proxy.url,
            "SSL_CERT_FILE": str(self.certificate),
        }
        self.server.on(RUNS, Reply(200, {"workflow_runs": []}))

    def test_a_service_behind_a_proxy(self):
        self.succeeds("github-runs", repository="octo/app")
        head = self.proxy.heads[0]
        self.assertTrue(head.startswith(f"CONNECT localhost:{self.server.server_port} "), head)
        self.assertIn("Basic " + base64.b64encode(b"smcp:password").decode(), head)
        self.assertNotIn(TOKEN, head)

    def test_a_certificate_that_nobody_vouches_for(self):
        del self.environment["SSL_CERT_FILE"]
        refused = self.fails("certificate_invalid", "github-runs", repository="octo/app")
        self.assertIn("SSL_CERT_FILE", refused["error"])
        self.assertEqual([], self.server.requests)

    def test_a_destination_that_is_not_granted(self):
        self.environment["SMCP_CI_GITHUB_URL"] = "https://github.example.com/api/v3"
        refused = self.fails("network_denied", "github-runs", repository="octo/app")
        self.assertIn("an operator grants github.example.com:443 to it in smcp.toml", refused["error"])
        self.assertNotIn("SMCP_CI_LOG_HOSTS", refused["error"])

    def test_a_host_of_logs_that_is_not_granted(self):
        job = {"id": 2, "name": "test", "status": "completed", "conclusion": "failure"}
        self.server.on("GET /repos/octo/app/actions/runs/7/jobs", Reply(200, {"jobs": [job]}))
        self.server.on("GET /repos/octo/app/actions/jobs/2/logs", Reply(302, Location="https://sa7.blob.example.net/log?sig=signature"))
        refused = self.fails("network_denied", "github-logs", repository="octo/app", run=7)
        self.assertIn("grants sa7.blob.example.net:443 to it in smcp.toml", refused["error"])
        self.assertIn("sa7.blob.example.net must be in SMCP_CI_LOG_HOSTS, too", refused["error"])
        self.assertNotIn("signature", json.dumps(refused))


class Patience(unittest.TestCase):
    """The same with less patience than the plugin has."""

    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        for name, seconds in [("SILENCE_S", 0.3), ("ANSWER_S", 0.6)]:
            self.addCleanup(setattr, service, name, getattr(service, name))
            setattr(service, name, seconds)
        address = settings.Address("SMCP_CI_GITHUB_URL", self.server.url)
        self.service = service.Service("GitHub", address, "GITHUB_TOKEN", TOKEN, {"Authorization": "Bearer {token}"}, "it")

    def fails(self, asking):
        with self.assertRaises(service.Failure) as raised:
            asking()
        return raised.exception.answer

    def test_a_service_that_falls_silent(self):
        for head in (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[]"):

            def silent(handler, head=head):
                handler.wfile.write(head)
                time.sleep(1.0)
                handler.close_connection = True

            self.server.on("GET /x", Reply(body=silent))
            self.server.on("POST /x", Reply(body=silent))
            answer = self.fails(lambda: self.service.get("/x", subject="x"))
            self.assertEqual(("timeout", 5), (answer["code"], answer["retry_after"]))
            answer = self.fails(lambda: self.service.post("/x", subject="x", once=True))
            self.assertEqual(("outcome_unknown", False), (answer["code"], answer["retryable"]))

    def test_an_answer_that_trickles_for_ever(self):
        def trickle(handler):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            try:
                for _ in range(100):
                    handler.wfile.write(b" ")
                    time.sleep(0.05)
            except OSError:
                pass
            handler.close_connection = True

        self.server.on("GET /x", Reply(body=trickle))
        began = time.monotonic()
        answer = self.fails(lambda: self.service.get("/x", subject="x"))
        self.assertEqual("timeout", answer["code"])
        self.assertLess(time.monotonic() - began, 2.0)


class Settings(Case):
    def described(self, **environment):
        environment = {"PATH": self.environment["PATH"], **environment}
        return json.loads(run_cli("--describe", environment=environment).stdout)

    def network(self, **environment):
        described = self.described(**environment)
        return described["plugin"]["sandbox"]["network"], described["plugin"]["problems"]

    def test_the_sandbox_is_asked_for_the_services_alone(self):
        network, problems = self.network()
        self.assertEqual({"mode": "proxy", "allow": ["api.github.com:443", "gitlab.com:443"]}, network)
        self.assertEqual([], problems)
        network, _ = self.network(SMCP_CI_GITHUB_URL="https://ghe.example.com:8443/api/v3/", SMCP_CI_LOG_HOSTS="store{8-10}.example.net")
        stores = [f"store{number}.example.net:443" for number in (8, 9, 10)]
        self.assertEqual(["ghe.example.com:8443", "gitlab.com:443", *stores], network["allow"])

    def test_a_private_authority_is_asked_for(self):
        for path, read in [("/srv/ca.pem", ["/srv/ca.pem"]), ("/etc/ssl/certs/ca.pem", []), ("ca.pem", []), ("", [])]:
            filesystem = self.described(SSL_CERT_FILE=path)["plugin"]["sandbox"]["filesystem"]
            self.assertEqual({"read": read, "write": []}, filesystem)

    def test_plain_http_is_for_this_machine(self):
        network, problems = self.network(SMCP_CI_GITLAB_URL="http://127.0.0.1:8929/api/v4")
        self.assertEqual({"mode": "loopback-ports", "allow": [8929]}, network)
        self.assertEqual(["api.github.com is out of reach, as SMCP_CI_GITLAB_URL names a server on this machine by http"], problems)

    def test_a_wrong_setting_hides_no_tool_and_fails_calls(self):
        for variable, value, part in [
            ("SMCP_CI_GITHUB_URL", "api.github.com", "must look like https://"),
            ("SMCP_CI_GITHUB_URL", "http://ghe.example.com", "unencrypted"),
            ("SMCP_CI_GITHUB_URL", "https://ghe.example.com:99999", "Port out of range"),
            ("SMCP_CI_GITHUB_URL", "https://user:word@ghe.example.com", "without a user"),
            ("SMCP_CI_LOG_HOSTS", "*.blob.core.windows.net", "not a host's name"),
            ("SMCP_CI_LOG_HOSTS", "a{0-999}.example.net", "more than 250"),
        ]:
            with self.subTest(value=value):
                described = self.described(**{variable: value})
                self.assertEqual(14, len(described["commands"]))
                problem = " ".join(described["plugin"]["problems"])
                self.assertTrue(problem.startswith(f"{variable} cannot be used: "), problem)
                self.assertIn(part, problem)
                if variable.endswith("URL"):
                    self.environment[variable] = value
                    self.assertIn(part, self.fails("invalid_setting", "github-runs", repository="octo/app")["error"])

    def test_both_providers_read_alike_and_are_honest(self):
        commands = {command["name"]: command for command in self.described()["commands"]}
        for verb, effect, destructive in [
            ("dispatch", "once", False),
            ("runs", "read_only", False),
            ("status", "read_only", False),
            ("logs", "read_only", False),
            ("rerun", "once", False),
            ("cancel", "idempotent", True),
            ("wait", "read_only", False),
        ]:
            for provider, secret in [("github", "GITHUB_TOKEN"), ("gitlab", "GITLAB_TOKEN")]:
                command = commands.pop(f"{provider}-{verb}")
                self.assertEqual((effect, [secret]), (command["effect"], command["secrets"]))
                self.assertEqual(destructive, command["annotations"]["destructiveHint"])
                self.assertEqual(effect == "read_only", "retry" in command, "what changes something has no policy of retries")
        self.assertEqual({}, commands)

    def test_a_secret_that_is_no_token_is_not_sent_nor_shown(self):
        for value in ("two\nlines", "with space", "schlüssel"):
            environment = {**self.environment, "GITHUB_TOKEN": value}
            done = run_cli("github-runs", "--repository", "octo/app", environment=environment)
            self.assertEqual("invalid_secret", json.loads(done.stdout)["code"])
            self.assertNotIn(value, done.stdout + done.stderr)
        self.assertEqual([], self.server.requests)


if __name__ == "__main__":
    unittest.main()
