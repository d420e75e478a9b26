"""GitHub Actions of the plugin `ci`, against a server that answers as the public API documents."""

import io
import time
import unittest
import zipfile

from ci_service import TOKEN, Case, Reply

ACTIONS = "/repos/octo/app/actions"
RUN = f"GET {ACTIONS}/runs/7"
JOBS = f"GET {ACTIONS}/runs/7/jobs"
DISPATCHES = f"POST {ACTIONS}/workflows/deploy.yml/dispatches"


def run_of(number, status="completed", conclusion="success", began=None):
    return {
        "id": number,
        "name": "Deploy",
        "display_title": "Deploy to production",
        "path": ".github/workflows/deploy.yml",
        "head_branch": "main",
        "head_sha": "acb5820ced9479c074f688cc328bf03f341a511d",
        "event": "workflow_dispatch",
        "status": status,
        "conclusion": conclusion,
        "run_attempt": 1,
        "html_url": f"https://github.com/octo/app/actions/runs/{number}",
        "created_at": "2026-01-22T19:33:08Z",
        "run_started_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began)),
    }


def job_of(number, name, status="completed", conclusion="success", steps=()):
    steps = [{"name": step, "status": "completed", "conclusion": end, "number": 1} for step, end in steps]
    return {"id": number, "run_id": 7, "name": name, "status": status, "conclusion": conclusion, "steps": steps}


def jobs_of(*jobs):
    return Reply(200, {"total_count": len(jobs), "jobs": list(jobs)})


BUILT = job_of(1, "build")
BROKEN = job_of(2, "test / unit", conclusion="failure", steps=[("Check out", "success"), ("Run tests", "failure")])


class GitHub(Case):
    def ask(self, command, **options):
        return self.succeeds(f"github-{command}", repository="octo/app", **options)

    def refused(self, code, command, **options):
        return self.fails(code, f"github-{command}", repository="octo/app", **options)


class Dispatch(GitHub):
    def test_dispatch_then_wait_then_logs(self):
        address = "https://github.com/octo/app/actions/runs/7"
        details = {"workflow_run_id": 7, "run_url": f"https://api.github.com{ACTIONS}/runs/7", "html_url": address}
        self.server.on(DISPATCHES, Reply(200, details))
        began = self.server.now - 100
        queued, running = (Reply(200, run_of(7, status, None, began)) for status in ("queued", "in_progress"))
        self.server.on(RUN, queued, running, Reply(200, run_of(7)))
        self.server.on(JOBS, jobs_of(), jobs_of(BUILT, job_of(2, "test", "in_progress", None)), jobs_of(BUILT, job_of(2, "test")))
        inputs = {"environment": "production", "dry_run": False, "replicas": 3}
        started = self.ask("dispatch", workflow="deploy.yml", ref="main", inputs=inputs)
        self.assertEqual((7, True, address), (started["run"], started["certain"], started["url"]))
        asked = self.server.requests[0]
        self.assertEqual({"environment": "production", "dry_run": "false", "replicas": "3"}, asked["body"]["inputs"])
        self.assertEqual(("main", True), (asked["body"]["ref"], asked["body"]["return_run_details"]))
        self.assertEqual(f"Bearer {TOKEN}", asked["headers"]["Authorization"])
        self.assertEqual("2022-11-28", asked["headers"]["X-Github-Api-Version"])
        waits = [self.snoozes("github-wait", repository="octo/app", run=7) for _ in range(2)]
        self.assertEqual([5, 5], [wait["snooze"] for wait in waits])
        self.assertIn("1 of 2 jobs done; now: test", waits[1]["error"])
        ended = self.ask("wait", run=7)
        self.assertEqual(("succeeded", True, "deploy.yml", "main"), (ended["state"], ended["done"], ended["workflow"], ended["ref"]))
        self.assertEqual(["build", "test"], [job["name"] for job in ended["jobs"]])

    def test_a_server_that_names_no_run_is_searched_for_it(self):
        refusal = Reply(422, {"message": 'Invalid request.\n\n"return_run_details" is not a permitted key.'})
        self.server.on(DISPATCHES, refusal, Reply(204))
        none = {"total_count": 0, "workflow_runs": []}
        one = {"total_count": 1, "workflow_runs": [run_of(9)]}
        self.server.on(f"GET {ACTIONS}/workflows/deploy.yml/runs", Reply(200, none), Reply(200, one))
        started = self.ask("dispatch", workflow=".github/workflows/deploy.yml", ref="refs/heads/main")
        self.assertEqual((9, False), (started["run"], started["certain"]))
        query = self.server.requests[-1]["query"]
        self.assertEqual(("workflow_dispatch", "main"), (query["event"], query["branch"]))
        self.assertRegex(query["created"], r"^>=20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertNotIn("return_run_details", self.server.requests[1]["body"])

    def test_of_several_runs_none_is_chosen(self):
        self.server.on(DISPATCHES, Reply(204))
        self.server.on(f"GET {ACTIONS}/workflows/deploy.yml/runs", Reply(200, {"workflow_runs": [run_of(9), run_of(8)]}))
        started = self.ask("dispatch", workflow="deploy.yml", ref="main")
        self.assertEqual((None, [9, 8]), (started["run"], [run["run"] for run in started["candidates"]]))

    def test_a_dispatch_that_was_done_never_fails_for_want_of_its_run(self):
        self.server.on(DISPATCHES, Reply(204))
        self.server.on(f"GET {ACTIONS}/workflows/deploy.yml/runs", Reply(500, {"message": "Server Error"}))
        started = self.ask("dispatch", workflow="deploy.yml", ref="main")
        self.assertIsNone(started["run"])
        self.assertIn("github-runs", started["note"])

    def test_a_refused_dispatch_says_why(self):
        self.server.on(DISPATCHES, Reply(422, {"message": "Workflow does not have 'workflow_dispatch' trigger"}))
        self.assertIn("'workflow_dispatch' trigger", self.refused("rejected", "dispatch", workflow="deploy.yml", ref="main")["error"])
        self.assertEqual([DISPATCHES], self.server.asked())
        refused = self.refused("invalid_arguments", "dispatch", workflow="deploy.yml", ref="main", inputs={"list": []})
        self.assertIn("the input 'list'", refused["error"])


class Look(GitHub):
    def test_runs_come_in_pages(self):
        more = f'<{self.server.url}/next?page=2>; rel="next", <{self.server.url}/last>; rel="last"'
        first = {"total_count": 3, "workflow_runs": [run_of(3), run_of(2, conclusion="timed_out")]}
        self.server.on(f"GET {ACTIONS}/runs", Reply(200, first, Link=more))
        self.server.on("GET /next", Reply(200, {"total_count": 3, "workflow_runs": [run_of(1, "waiting", None)]}))
        found = self.ask("runs", ref="main")
        states = [(run["run"], run["state"], run["reported"]) for run in found["runs"]]
        self.assertEqual([(3, "succeeded", "success"), (2, "failed", "timed_out"), (1, "blocked", "waiting")], states)
        self.assertEqual({"branch": "main", "per_page": "20"}, self.server.requests[0]["query"])
        found = self.ask("runs", limit=1)
        self.assertEqual(([3], True), ([run["run"] for run in found["runs"]], found["more"]))

    def test_a_next_page_elsewhere_does_not_get_the_token(self):
        other = type(self.server)()
        self.addCleanup(other.server_close)
        self.addCleanup(other.shutdown)
        self.server.on(f"GET {ACTIONS}/runs", Reply(200, {"workflow_runs": [run_of(3)]}, Link=f'<{other.url}/runs>; rel="next"'))
        self.refused("redirected", "runs")
        self.assertEqual([], other.requests)

    def test_status_tells_the_steps_that_failed(self):
        self.server.on(RUN, Reply(200, run_of(7, conclusion="failure")))
        self.server.on(JOBS, jobs_of(BUILT, BROKEN))
        found = self.ask("status", run=7)
        self.assertEqual(("Run 7 of octo/app: failed", "failed"), (found["result"], found["state"]))
        self.assertEqual([[], ["Run tests"]], [job["failed_steps"] for job in found["jobs"]])

    def test_a_renamed_repository_is_followed_where_nothing_changes(self):
        self.server.on(RUN, Reply(301, {"message": "Moved Permanently"}, Location=f"{self.server.url}/repositories/1/actions/runs/7"))
        self.server.on("GET /repositories/1/actions/runs/7", Reply(200, run_of(7)))
        self.server.on(JOBS, jobs_of())
        self.assertEqual("succeeded", self.ask("status", run=7)["state"])
        self.server.on(f"POST {ACTIONS}/runs/7/rerun", Reply(307, {}, Location=f"{self.server.url}/repositories/1/x"))
        self.assertIn("has moved; nothing was changed", self.refused("redirected", "rerun", run=7)["error"])

    def test_a_wait_ends_with_the_run_or_its_time(self):
        self.server.on(JOBS, jobs_of(BUILT, BROKEN))
        self.server.on(RUN, Reply(200, run_of(7, conclusion="failure")))
        ended = self.refused("run_failed", "wait", run=7)
        self.assertIn("job 2 'test / unit' failed in step 'Run tests'", ended["error"])
        self.assertEqual((False, "failed"), (ended["retryable"], ended["run"]["state"]))
        self.server.on(RUN, Reply(200, run_of(7, "in_progress", None, self.server.now - 500)))
        self.assertIn("has not ended 500 s after it began", self.refused("deadline", "wait", run=7, within_seconds=500)["error"])
        self.assertEqual(25, self.snoozes("github-wait", repository="octo/app", run=7)["snooze"])
        self.assertEqual(2, self.snoozes("github-wait", repository="octo/app", run=7, within_seconds=502)["snooze"])


class Logs(GitHub):
    def setUp(self):
        super().setUp()
        self.store = type(self.server)()
        self.addCleanup(self.store.server_close)
        self.addCleanup(self.store.shutdown)
        self.server.on(JOBS, jobs_of(BUILT, BROKEN, job_of(3, "lint", conclusion="failure")))

    def test_the_ends_of_the_failed_jobs_logs(self):
        lines = "".join(f"2026-01-20T17:42:18.{number:07}Z line {number}\r\n" for number in range(20000))
        self.server.on(f"GET {ACTIONS}/jobs/2/logs", Reply(302, Location="/blob/2?sig=secret"))
        content = f"\ufeff{lines}\x1b[31mError: 1 failed\x1b[0m\r\n".encode()
        self.server.on("GET /blob/2", Reply(200, content, Content_Type="text/plain"))
        self.server.on(f"GET {ACTIONS}/jobs/3/logs", Reply(410, {"message": "Gone"}))
        found = self.ask("logs", run=7, lines=3)
        self.assertEqual([("test / unit", 2), ("lint", 3)], [(log["name"], log["job"]) for log in found["logs"]])
        text = found["logs"][0]["text"].split("\n")
        self.assertEqual((3, "Error: 1 failed", True), (len(text), text[-1], found["logs"][0]["cut"]))
        self.assertIn("no longer has", found["logs"][1]["note"])
        self.assertLess(len(self.ask("logs", run=7, lines=5000)["logs"][0]["text"]), 65536)

    def test_the_logs_of_all_jobs_are_one_archive(self):
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("0_build.txt", "compiled\n")
            archive.writestr("1_test  unit.txt", "1 failed\n")
            archive.writestr("2_lint.txt", "untidy\n")
            archive.writestr("build/1_Set up job.txt", "not this one\n")
        self.server.on(f"GET {ACTIONS}/runs/7/logs", Reply(302, Location="/blob/7"))
        self.server.on("GET /blob/7", Reply(200, content.getvalue(), Content_Type="application/zip"))
        found = self.ask("logs", run=7, which="all")
        told = [(log["job"], log["state"], log["text"]) for log in found["logs"]]
        self.assertEqual([(2, "failed", "1 failed"), (3, "failed", "untidy"), (1, "succeeded", "compiled")], told)
        self.server.on("GET /blob/7", Reply(200, content.getvalue()[:200]))
        self.assertIn("archive", self.refused("invalid_answer", "logs", run=7, which="all")["error"])

    def test_the_token_does_not_go_where_the_log_is(self):
        self.server.on(JOBS, jobs_of(BROKEN))
        self.server.on(f"GET {ACTIONS}/jobs/2/logs", Reply(302, Location=f"{self.store.url}/blob?sig=signature"))
        refused = self.refused("redirected", "logs", run=7)
        self.assertIn("without encryption", refused["error"])
        self.assertNotIn("signature", str(refused))
        self.environment["SMCP_CI_LOG_HOSTS"] = f"127.0.0.1:{self.store.server_port}"
        self.store.on("GET /blob", Reply(200, b"1 failed\n"))
        self.assertEqual("1 failed", self.ask("logs", run=7)["logs"][0]["text"])
        self.assertNotIn("Authorization", self.store.requests[0]["headers"])
        self.store.on("GET /blob", Reply(403, b"<Error>Signature not valid</Error>"))
        self.assertIn("answered 403", self.ask("logs", run=7)["logs"][0]["note"])

    def test_nothing_has_failed(self):
        self.server.on(JOBS, jobs_of(BUILT))
        self.assertEqual([], self.ask("logs", run=7)["logs"])


class Change(GitHub):
    def test_all_or_the_failed_jobs_are_begun_again(self):
        for path, options in [("rerun", {}), ("rerun-failed-jobs", {"only_failed": True})]:
            self.server.on(f"POST {ACTIONS}/runs/7/{path}", Reply(201, {}))
            self.assertEqual(7, self.ask("rerun", run=7, **options)["run"])
        self.server.on(f"POST {ACTIONS}/runs/7/rerun", Reply(403, {"message": "This workflow is already running"}))
        self.assertIn("already running", self.refused("forbidden", "rerun", run=7)["error"])

    def test_cancelling_what_has_ended_changes_nothing(self):
        cancel = f"POST {ACTIONS}/runs/7/cancel"
        running, cancelled = Reply(200, run_of(7, "in_progress", None)), Reply(200, run_of(7, conclusion="cancelled"))
        self.server.on(RUN, running, running, cancelled)
        self.server.on(cancel, Reply(202, {}), Reply(409, {"message": "Cannot cancel a workflow run that is completed."}))
        for expected in [(True, "running"), (False, "cancelled")]:
            answer = self.ask("cancel", run=7)
            self.assertEqual(expected, (answer["cancelled"], answer["state"]))
        self.server.on(RUN, running, cancelled)
        self.assertFalse(self.ask("cancel", run=7)["cancelled"], "it ended in between")
        self.assertEqual(2, self.server.asked().count(cancel))


if __name__ == "__main__":
    unittest.main()
