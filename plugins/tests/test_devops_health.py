"""Health checks against real HTTP servers, straight and by a proxy, and by commands."""

import base64
import socket
import threading
import time
import unittest

from devops_world import Service, World


class Health(World):
    def setUp(self):
        super().setUp()
        self.version("1.0")

    def healthy(self, health):
        self.shop(f"health = {{ {health} }}")
        self.deploy("1.0")

    def test_status_and_text_are_compared(self):
        service = Service(self, (200, {}, "all is well"))
        rows = [
            ("", (200, {}, "all is well"), None),
            ("", (204, {}, ""), "has answered 204; 200 is expected"),
            ("", (500, {}, "all is well"), "has answered 500"),
            (", status = [200, 204]", (204, {}, ""), None),
            (', body = "is well"', (200, {}, "all is well"), None),
            (', body = "is well"', (200, {}, "all is lost"), "its text does not contain 'is well'"),
            ("", (302, {"Location": "http://127.0.0.1:1/login"}, ""), "has answered 302 to http://127.0.0.1:1/login, which is not followed"),
        ]
        for more, answer, problem in rows:
            with self.subTest(more=more, answer=answer):
                service.answer = answer
                self.healthy(f'url = "{service.url}/up?v={{version}}", retries = 0{more}')
                status = self.call("status")
                word = "unhealthy" if problem else "healthy"
                self.assertEqual((f"Status for shop: {word}", problem is None), (status["result"], status["healthy"]))
                if problem:
                    failed = self.fails("unhealthy", "verify", part=problem)
                    self.assertEqual(("1.0", False, 1), (failed["version"], failed["healthy"], failed["checks"]))
                else:
                    self.assertEqual("Verified shop in production: healthy", self.call("verify")["result"])
        self.assertEqual({"/up?v=1.0"}, set(service.asked))

    def test_a_check_is_tried_again_and_succeeds_once_it_can(self):
        def soon(handler):
            handler.send_response(200 if len(service.asked) > 2 else 503)
            handler.end_headers()

        service = Service(self, soon)
        self.healthy(f'url = "{service.url}", retries = 5, interval = 0.05')
        self.assertEqual(3, self.call("verify")["checks"])
        self.assertIn("check 2 of at most 6", self.log)

    def test_nobody_who_answers(self):
        silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(silent.close)
        port = silent.getsockname()[1]
        self.healthy(f'url = "http://127.0.0.1:{port}/", retries = 1, interval = 0, timeout = 0.3')
        begun = time.monotonic()
        self.fails("unhealthy", "verify", part="has not answered within 0.3 s (2 checks)")
        self.assertLess(time.monotonic() - begun, 10)
        silent.close()
        self.fails("unhealthy", "verify", part="cannot be reached: ")

    def test_a_server_that_answers_byte_by_byte_is_not_waited_for(self):
        def drip(handler):
            for _ in range(200):
                handler.wfile.write(b"H")
                time.sleep(0.1)

        service = Service(self, drip)
        self.healthy(f'url = "{service.url}", retries = 0, timeout = 0.5')
        begun = time.monotonic()
        self.fails("unhealthy", "verify", part="has not answered within 0.5 s")
        self.assertLess(time.monotonic() - begun, 10)

    def test_a_server_that_answers_garbage_is_unhealthy(self):
        service = Service(self, lambda handler: handler.wfile.write(b"\x00\x01 what?\r\n\r\n"))
        self.healthy(f'url = "{service.url}", retries = 0')
        self.fails("unhealthy", "verify", part="cannot be reached")

    def test_a_proxy_of_the_environment_is_used_by_a_tunnel(self):
        service = Service(self, (200, {}, "well"))
        asked = []

        def tunnel(handler):
            asked.append((handler.command, handler.path, handler.headers["Proxy-Authorization"]))
            server = socket.create_connection(("127.0.0.1", service.port))
            handler.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            handler.wfile.flush()
            there = threading.Thread(target=pump, args=(handler.connection, server), daemon=True)
            there.start()
            pump(server, handler.connection)
            there.join()
            server.close()
            handler.close_connection = True

        def pump(here, there):
            while data := here.recv(1000):
                there.sendall(data)
            there.shutdown(socket.SHUT_WR)

        proxy = Service(self, tunnel)
        # A name that only the proxy knows.
        self.healthy('url = "http://shop.internal:8080/up", retries = 0')
        self.call("verify", HTTP_PROXY=f"http://smcp:se%40cret@127.0.0.1:{proxy.port}")
        shown = "Basic " + base64.b64encode(b"smcp:se@cret").decode()
        self.assertEqual([("CONNECT", "shop.internal:8080", shown)], asked)
        self.assertEqual(["/up"], service.asked)

    def test_what_the_proxy_of_smcp_refuses_is_told_as_a_missing_grant(self):
        def refuse(handler):
            handler.wfile.write(b"HTTP/1.1 403 Forbidden: network.allow must list shop.internal:8080\r\n\r\n")
            handler.close_connection = True

        proxy = Service(self, refuse)
        self.healthy('url = "http://shop.internal:8080/up"')
        self.fails("not_permitted", "verify", part="network.allow must list shop.internal:8080", HTTP_PROXY=proxy.url)

    def test_a_command_tells_by_its_exit_status(self):
        self.healthy('command = ["sh", "-c", "echo is {version}; test -e PATH/up"], retries = 0')
        self.fails("unhealthy", "verify", part="sh has ended with exit status 1: is 1.0")
        (self.path / "up").touch()
        self.assertEqual("sh has ended with exit status 0: is 1.0", self.call("verify")["detail"])
        self.healthy('command = ["sleep", "60"], retries = 0, timeout = 0.3')
        self.fails("unhealthy", "verify", part="no end after 0.3 s")
        self.healthy('command = ["no-such-program"]')
        self.fails("command_missing", "verify", part="no-such-program of apps.shop.environments.production.health.command")

    def test_what_cannot_be_verified_is_told(self):
        self.shop()
        self.fails("no_health_check", "verify", part="apps.shop.environments.production.health is missing")
        self.shop('health = { command = ["true"] }')
        self.fails("not_deployed", "verify", part="deploy a version first")


if __name__ == "__main__":
    unittest.main()
