"""GitLab pipelines of the plugin `ci`, against a server that answers as the public API documents."""

import time
import unittest

from ci_service import TOKEN, Case, Reply

PROJECT = "/api/v4/projects/octo%2Fapp"
PIPELINE = f"GET {PROJECT}/pipelines/47"
JOBS = f"{PIPELINE}/jobs"


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S.080Z", time.gmtime(seconds))


def pipeline_of(number, status="success", created=None):
    return {
        "id": number,
        "iid": 12,
        "project_id": 1,
        "name": "Build pipeline",
        "status": status,
        "source": "api",
        "ref": "main",
        "sha": "a91957a858320c0e17f3a0eca7cfacbff50ea29a",
        "created_at": stamp(created),
        "web_url": f"https://gitlab.com/octo/app/-/pipelines/{number}",
    }


def job_of(number, name, status="success", created=None, **more):
    return {"id": number, "name": name, "stage": "test", "status": status, "created_at": stamp(created), "allow_failure": False, **more}


class GitLab(Case):
    def ask(self, command, **options):
        return self.succeeds(f"gitlab-{command}", project="octo/app", **options)

    def refused(self, code, command, **options):
        return self.fails(code, f"gitlab-{command}", project="octo/app", **options)


class Dispatch(GitLab):
    def test_dispatch_then_wait(self):
        self.server.on(f"POST {PROJECT}/pipeline", Reply(201, pipeline_of(47, "created")))
        began = self.server.now - 200
        states = ("created", "waiting_for_resource", "running", "manual", "success")
        self.server.on(PIPELINE, *(Reply(200, pipeline_of(47, status, began)) for status in states))
        self.server.on(JOBS, Reply(200, [job_of(1, "build", created=began), job_of(2, "test", "running", began)]))
        started = self.ask("dispatch", ref="main", inputs={"environment": "staging", "level": 3}, variables={"DEPLOY": True})
        self.assertEqual((47, "waiting", True), (started["run"], started["state"], started["certain"]))
        asked = self.server.requests[0]
        expected = {"ref": "main", "inputs": {"environment": "staging", "level": 3}, "variables": [{"key": "DEPLOY", "value": "true"}]}
        self.assertEqual(expected, asked["body"])
        self.assertEqual(TOKEN, asked["headers"]["Private-Token"])
        for _ in states[:-1]:
            waits = self.snoozes("gitlab-wait", project="octo/app", run=47)
            self.assertIn("1 of 2 jobs done; now: test", waits["error"])
            self.assertIn(waits["snooze"], (9, 10), "a twentieth of the 200 s since it began")
        self.assertEqual("succeeded", self.ask("wait", run=47)["state"])

    def test_a_project_by_its_number_and_a_refused_pipeline(self):
        self.server.on("POST /api/v4/projects/1/pipeline", Reply(400, {"message": {"base": ["Reference not found"]}}))
        refused = self.fails("rejected", "gitlab-dispatch", project="1", ref="nowhere")
        self.assertIn("Reference not found", refused["error"])


class Look(GitLab):
    def test_pipelines_come_in_pages(self):
        url = f"{self.server.url}{PROJECT}/pipelines"
        more = f'<{url}/first>; rel="first", <{self.server.url}/api/v4/next?page=2>; rel="next"'
        self.server.on(f"GET {PROJECT}/pipelines", Reply(200, [pipeline_of(48, "failed")], Link=more))
        self.server.on("GET /api/v4/next", Reply(200, [pipeline_of(47, "canceled")]))
        found = self.ask("runs", ref="main")
        self.assertEqual([(48, "failed"), (47, "cancelled")], [(run["run"], run["state"]) for run in found["runs"]])
        self.assertEqual({"ref": "main", "per_page": "20"}, self.server.requests[0]["query"])
        self.assertFalse(found["more"])

    def test_a_wait_that_ends_badly_names_the_job(self):
        self.server.on(PIPELINE, Reply(200, pipeline_of(47, "failed")))
        may_fail = job_of(3, "lint", "failed", allow_failure=True)
        self.server.on(JOBS, Reply(200, [job_of(1, "build"), job_of(2, "test", "failed", failure_reason="script_failure"), may_fail]))
        ended = self.refused("run_failed", "wait", run=47)
        self.assertTrue(ended["error"].endswith("failed (failed); job 2 'test' failed"), ended["error"])
        found = self.ask("status", run=47)
        self.assertEqual([None, "script_failure", None], [job["reason"] for job in found["jobs"]])

    def test_a_pipeline_that_was_begun_again_has_its_time_anew(self):
        now = self.server.now
        self.server.on(PIPELINE, Reply(200, pipeline_of(47, "running", now - 90000)))
        self.server.on(JOBS, Reply(200, [job_of(1, "build", "success", now - 90000), job_of(2, "test", "running", now - 60)]))
        self.assertEqual(5, self.snoozes("gitlab-wait", project="octo/app", run=47)["snooze"])


class Logs(GitLab):
    def test_traces_of_failed_jobs_or_of_all_with_failed_ones_first(self):
        self.server.on(JOBS, Reply(200, [job_of(1, "build"), job_of(2, "test", "failed"), job_of(3, "deploy", "created")]))
        trace = (
            b"section_start:1560896352:step\r\x1b[0KHeader\r\n 10%\r 100%\r\n"
            b"\x1b[32;1m$ make test\x1b[0;m\r\nFAIL\r\nsection_end:1560896353:step\r\x1b[0K"
        )
        self.server.on(f"GET {PROJECT}/jobs/2/trace", Reply(200, trace, Content_Type="text/plain"))
        self.server.on(f"GET {PROJECT}/jobs/1/trace", Reply(200, b"compiled\n", Content_Type="text/plain"))
        found = self.ask("logs", run=47)
        self.assertEqual(["Header\n 100%\n$ make test\nFAIL"], [log["text"] for log in found["logs"]])
        found = self.ask("logs", run=47, which="all")
        expected = [("test", "failed"), ("deploy", "waiting"), ("build", "succeeded")]
        self.assertEqual(expected, [(log["name"], log["state"]) for log in found["logs"]])
        self.assertIn("knows no log of job 3", found["logs"][1]["note"])

    def test_so_many_logs_are_bounded(self):
        self.server.on(JOBS, Reply(200, [job_of(number, f"job {number}", "failed") for number in range(30)]))
        for number in range(30):
            self.server.on(f"GET {PROJECT}/jobs/{number}/trace", Reply(200, b"line\n" * 20000, Content_Type="text/plain"))
        found = self.ask("logs", run=47, lines=5000)
        self.assertEqual((20, 10), (len(found["logs"]), len(found["left_out"])))
        self.assertLess(sum(len(log["text"]) for log in found["logs"]), 512 << 10)


class Change(GitLab):
    def test_failed_jobs_are_begun_again_and_a_pipeline_is_cancelled(self):
        self.server.on(f"POST {PROJECT}/pipelines/47/retry", Reply(201, pipeline_of(47, "running")))
        self.assertEqual("running", self.ask("rerun", run=47)["state"])
        self.server.on(PIPELINE, Reply(200, pipeline_of(47, "running")), Reply(200, pipeline_of(47, "canceled")))
        self.server.on(f"POST {PROJECT}/pipelines/47/cancel", Reply(200, pipeline_of(47, "canceled")))
        for expected in [(True, "cancelled"), (False, "cancelled")]:
            answer = self.ask("cancel", run=47)
            self.assertEqual(expected, (answer["cancelled"], answer["state"]))


if __name__ == "__main__":
    unittest.main()
