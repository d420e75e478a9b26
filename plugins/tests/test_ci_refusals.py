"""What the plugin `ci` makes of services that refuse, fail, lie or fall silent: one table for both providers."""

import time
import unittest
from email.utils import formatdate

from ci_service import Case, Reply

LOOKS = [
    ("github-runs", {"repository": "octo/app"}, "GET /repos/octo/app/actions/runs"),
    ("gitlab-runs", {"project": "octo/app"}, "GET /api/v4/projects/octo%2Fapp/pipelines"),
]
STARTS = [
    (
        "github-dispatch",
        {"repository": "octo/app", "workflow": "ci.yml", "ref": "main"},
        "POST /repos/octo/app/actions/workflows/ci.yml/dispatches",
    ),
    ("gitlab-dispatch", {"project": "octo/app", "ref": "main"}, "POST /api/v4/projects/octo%2Fapp/pipeline"),
    ("github-rerun", {"repository": "octo/app", "run": 7}, "POST /repos/octo/app/actions/runs/7/rerun"),
    ("gitlab-rerun", {"project": "octo/app", "run": 7}, "POST /api/v4/projects/octo%2Fapp/pipelines/7/retry"),
]


def raw(content, then_wait_s=0):
    """Bytes on the connection, which is closed after them."""

    def write(handler):
        handler.wfile.write(content)
        handler.wfile.flush()
        time.sleep(then_wait_s)
        handler.close_connection = True

    return Reply(body=write)


def endless(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n[")
    try:
        while True:
            handler.wfile.write(b'{"id": 1}, ' * 10000)
    except OSError:
        handler.close_connection = True


class Refusals(Case):
    def each(self, commands, reply, code, *parts, retry_after=None):
        for command, options, asked in commands:
            with self.subTest(command):
                self.server.on(asked, reply)
                answer = self.fails(code, command, **options)
                for part in parts:
                    self.assertIn(part, answer["error"])
                if retry_after is None:
                    self.assertIs(False, answer["retryable"])
                self.assertEqual(retry_after, answer.get("retry_after"))

    def test_what_will_not_pass_by_itself(self):
        message = {"message": "Nothing for you"}
        for status, body, code, parts in [
            (401, {"message": "Bad"}, "unauthorised", ["127.0.0.1 did not accept the token in secret GIT", "smcp secrets set"]),
            (401, b"<html>", "unauthorised", []),
            (403, message, "forbidden", ["it needs the ", "Nothing for you"]),
            (404, message, "not_found", ["knows no ", "octo/app", "may not see it"]),
            (409, message, "conflict", ["Nothing for you"]),
            (400, {"error": "ref is missing"}, "rejected", ["400", "ref is missing"]),
            (418, b"", "rejected", ["418"]),
        ]:
            self.each(LOOKS + STARTS, Reply(status, body), code, *parts)
        self.each([STARTS[0]], Reply(401, {}), "unauthorised", "actions:write")
        self.each(LOOKS + STARTS[1:], Reply(422, {"message": "no"}), "rejected", "no")

    def test_a_rate_limit_is_waited_for_by_the_queue(self):
        reset = {"X_RateLimit_Remaining": 0, "X_RateLimit_Reset": int(self.server.now) + 90}
        moment = formatdate(self.server.now + 30, usegmt=True)
        for status, headers, seconds in [
            (429, {"Retry_After": 17}, 17),
            (429, {"Retry_After": moment}, 31),
            (429, {"RateLimit_Remaining": 0, "RateLimit_Reset": int(self.server.now) + 45}, 46),
            (429, {}, 60),
            (429, {"Retry_After": "soon"}, 60),
            (403, {"Retry_After": 20}, 20),
            (403, reset, 91),
            (429, {"Retry_After": 10**9}, 24 * 60 * 60),
            (429, {"Retry_After": 0}, 1),
        ]:
            # It was not done, so that even what must not be done twice may be tried again.
            self.each(LOOKS + STARTS, Reply(status, {"message": "slow down"}, **headers), "rate_limited", retry_after=seconds)
        secondary = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}
        self.each(LOOKS, Reply(403, secondary), "rate_limited", "secondary rate limit", retry_after=60)

    def test_the_clock_of_the_service_counts(self):
        self.server.now += 5000
        spent = Reply(403, {}, X_RateLimit_Remaining=0, X_RateLimit_Reset=int(self.server.now) + 9)
        self.each(LOOKS[:1], spent, "rate_limited", retry_after=10)

    def test_a_failure_of_the_service_is_tried_again_only_where_nothing_changes(self):
        for status in (500, 502, 503):
            self.each(LOOKS, Reply(status, b"<html>oops"), "server_error", f"answered {status}", retry_after=5)
            self.each(STARTS, Reply(status, {"message": "oops"}), "outcome_unknown", f"answered {status}", "look at the runs")
        self.each(LOOKS, Reply(503, {}, Retry_After=33), "server_error", retry_after=33)
        self.environment["SMCP_ATTEMPT"] = "3"
        self.each(LOOKS, Reply(500, {}), "server_error", retry_after=20)
        self.environment["SMCP_ATTEMPT"] = "300"
        self.each(LOOKS, Reply(500, {}), "server_error", retry_after=300)

    def test_a_failure_then_success(self):
        command, options, asked = LOOKS[0]
        self.server.on(asked, Reply(500, {}), Reply(200, {"workflow_runs": []}))
        self.assertEqual(5, self.fails("server_error", command, **options)["retry_after"])
        self.assertEqual([], self.succeeds(command, **options)["runs"])

    def test_answers_that_are_none(self):
        for reply in [
            Reply(200, b"<html>Please sign in</html>"),
            Reply(200, b""),
            Reply(200, b"[" * 100000),
            Reply(200, b"\xff\xfe"),
            raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
            raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70000 + b"\r\n\r\n"),
        ]:
            self.each(LOOKS, reply, "invalid_answer", "does not answer as Git", "_URL is its API")
            self.each(STARTS, reply, "outcome_unknown", "look at the runs")
        for body in ({"message": "no list"}, 7, [1], {"workflow_runs": [{}]}, {"workflow_runs": [{"id": "x"}]}):
            self.each(LOOKS, Reply(200, body), "invalid_answer")
        self.each(STARTS[1:2] + STARTS[3:], Reply(201, []), "outcome_unknown", "lacks an id")

    def test_answers_that_end_too_early(self):
        for reply in [
            raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[]"),
            raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[{}"),
        ]:
            self.each(LOOKS, reply, "truncated", "cut off", retry_after=5)
            self.each(STARTS, reply, "outcome_unknown")
        self.each(LOOKS, raw(b""), "unreachable", retry_after=5)
        self.each(STARTS, raw(b""), "outcome_unknown")

    def test_an_answer_without_end(self):
        self.each(LOOKS, Reply(body=endless), "too_large", "more than 8 MiB")

    def test_redirects_to_elsewhere_and_in_circles(self):
        away = Reply(302, b"", Location="https://login.example.com/?token=x")
        self.each(LOOKS + STARTS, away, "redirected", "to login.example.com, which", "_URL")
        self.each(LOOKS, Reply(302, b"", Location="http://[bad/"), "redirected", "cannot be read")
        for command, options, asked in LOOKS:
            self.each([(command, options, asked)], Reply(302, b"", Location=asked.removeprefix("GET ")), "invalid_answer", "in circles")

    def test_nobody_there(self):
        self.server.shutdown()
        self.server.server_close()
        for command, options, _ in LOOKS + STARTS:
            with self.subTest(command):
                answer = self.fails("unreachable", command, **options)
                self.assertEqual(5, answer["retry_after"], "no request was sent")
                self.assertIn("smcp plugins list", answer["error"])

    def test_arguments_that_would_ask_for_something_else(self):
        for command, options in [
            ("github-runs", {"repository": "octo/.."}),
            ("github-runs", {"repository": "octo/app/../.."}),
            ("github-runs", {"repository": "octo"}),
            ("github-runs", {"repository": "octo/app", "workflow": ".."}),
            ("github-runs", {"repository": "octo/app", "workflow": "a/"}),
            ("gitlab-runs", {"project": "../users"}),
            ("gitlab-runs", {"project": "a//b"}),
            ("gitlab-runs", {"project": "a b"}),
        ]:
            with self.subTest(options=options):
                self.fails("invalid_arguments", command, **options)
        self.assertEqual([], self.server.requests)


if __name__ == "__main__":
    unittest.main()
