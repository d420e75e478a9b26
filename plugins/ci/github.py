"""GitHub Actions, by version 2022-11-28 of its REST API."""

import re
import time
from urllib.parse import quote

import logs
import refusal
import settings
from provider import BLOCKED, CANCELLED, FAILED, MOST_JOBS, RUNNING, SKIPPED, SUCCEEDED, WAITING, Provider, branch, scalar, segment
from service import Service
from smcp_plugin import Failure, log

SECRET = "GITHUB_TOKEN"
STATUS = {"in_progress": RUNNING, "waiting": BLOCKED, "queued": WAITING, "requested": WAITING, "pending": WAITING}
CONCLUSION = {
    "success": SUCCEEDED,
    "neutral": SUCCEEDED,
    "skipped": SKIPPED,
    "cancelled": CANCELLED,
    "action_required": BLOCKED,
}
REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*/[A-Za-z0-9._-]+")
# Until a new run is listed, where the answer to the dispatch does not name it.
LISTED_AFTER_S = (1, 2, 3, 4, 5)
# The clock that dates runs is not quite the one that dates answers.
CLOCKS_S = 3


class GitHub(Provider):
    """The Actions of one repository, `owner/name`."""

    def __init__(self, token, repository):
        if not REPOSITORY.fullmatch(repository):
            raise Failure("invalid_arguments", f"'{repository}' is not a repository, which looks like owner/name", retryable=False)
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": "Bearer {token}",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        # Of a classic token `repo` stands for both.
        permissions = "the repository permission actions:write, or actions:read to look only"
        super().__init__(Service("GitHub", settings.github(), SECRET, token, headers, permissions), repository)
        self.path = f"/repos/{segment(repository, 'name of a repository')}/actions"

    def path_of(self, run):
        return f"{self.path}/runs/{run}"

    def dispatch(self, workflow, ref, inputs):
        path = f"{self.path}/workflows/{workflow_name(workflow)}"
        subject = f"workflow {workflow} of {self.project} that can be dispatched at {ref}"
        body = {"ref": ref, "inputs": {name: scalar("input", name, value) for name, value in (inputs or {}).items()}}
        asked = {**body, "return_run_details": True}
        answer = self.service.post(f"{path}/dispatches", asked, subject=subject, once=True, accept=(422,))
        if answer.status == 422:
            said = str(answer.value.get("message") if isinstance(answer.value, dict) else "")
            if "return_run_details" not in said:
                message = f"{self.service.address.host} refused to dispatch {workflow} at {ref}: {said[:300]}"
                raise Failure("rejected", message, retryable=False)
            # A server before 2026 knows no such wish, and has refused the whole.
            answer = self.service.post(f"{path}/dispatches", body, subject=subject, once=True)
        run = answer.value.get("workflow_run_id") if isinstance(answer.value, dict) else None
        result = {"result": f"Dispatched {workflow} of {self.project} at {ref}", "run": None, "certain": False}
        if isinstance(run, int):
            told = {"run": run, "certain": True, "url": answer.value.get("html_url")}
            return {**result, "result": f"{result['result']}: run {run}", **told}
        return {**result, **self.listed_since(path, ref, answer.headers)}

    def listed_since(self, path, ref, headers):
        """The run that a dispatch has most probably started: the only one that was dispatched there since."""
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(refusal.now(headers) - CLOCKS_S))
        query = {"event": "workflow_dispatch", "branch": branch(ref), "created": f">={since}"}
        subject = f"runs of {self.project}"
        for seconds in LISTED_AFTER_S:
            time.sleep(seconds)
            try:
                found, _ = self.service.listed(f"{path}/runs", query, 10, subject=subject, key="workflow_runs")
            except Failure as failure:
                # What was asked for has been done: that the run cannot be found must not look as if it had not.
                log(f"the new run was not found: {failure}")
                break
            if found:
                runs = [self.as_run(entry) for entry in found]
                if len(runs) == 1:
                    return {"run": runs[0]["run"], "url": runs[0]["url"]}
                return {"candidates": runs, "note": "several runs were dispatched at that time; compare them"}
        return {"note": "the API has not told which run that is; github-runs lists it soon"}

    def runs(self, workflow, ref, limit):
        path = f"{self.path}/workflows/{workflow_name(workflow)}/runs" if workflow else f"{self.path}/runs"
        subject = f"workflow {workflow} of {self.project}" if workflow else f"repository {self.project} with Actions"
        found = self.service.listed(path, {"branch": branch(ref)}, limit, subject=subject, key="workflow_runs")
        return self.runs_found(*found)

    def as_run(self, entry):
        entry = self.checked(entry)
        return {
            "run": entry["id"],
            **state(entry),
            "name": entry.get("display_title") or entry.get("name"),
            "workflow": (entry.get("path") or "").rpartition("/")[2].partition("@")[0] or entry.get("name"),
            "ref": entry.get("head_branch"),
            "commit": entry.get("head_sha"),
            "cause": entry.get("event"),
            "attempt": entry.get("run_attempt"),
            "began_at": entry.get("run_started_at") or entry.get("created_at"),
            "url": entry.get("html_url"),
        }

    def jobs(self, run):
        path, query = f"{self.path_of(run)}/jobs", {"filter": "latest"}
        entries, _ = self.service.listed(path, query, MOST_JOBS, subject=self.subject(run), key="jobs")
        return [self.as_job(entry) for entry in entries]

    def as_job(self, entry):
        entry = self.checked(entry)
        steps = [step for step in entry.get("steps") or () if isinstance(step, dict)]
        return {
            "job": entry["id"],
            "name": str(entry.get("name")),
            **state(entry),
            "failed_steps": [str(step.get("name")) for step in steps if step.get("conclusion") in ("failure", "timed_out")],
            "url": entry.get("html_url"),
        }

    def logs(self, run, every, lines):
        jobs = self.jobs(run)
        if not every:
            return logs.of_jobs(self, run, jobs, lines)
        # One archive with all of them instead of a request for each.
        chunks = self.service.download(f"{self.path_of(run)}/logs", subject=f"logs of {self.subject(run)}")
        return logs.of_archive(self, run, jobs, chunks, lines)

    def log(self, job):
        return self.service.download(f"{self.path}/jobs/{job}/logs", subject=f"log of job {job} of {self.project}")

    def rerun(self, run, only_failed):
        what = "rerun-failed-jobs" if only_failed else "rerun"
        self.service.post(f"{self.path_of(run)}/{what}", subject=self.subject(run), once=True)
        return {"result": f"Began {'the failed jobs of ' if only_failed else ''}{self.subject(run)} again", "run": run}

    def ask_to_cancel(self, run):
        answer = self.service.post(f"{self.path_of(run)}/cancel", subject=self.subject(run), once=False, accept=(409,))
        return answer.status != 409


def state(entry):
    status, conclusion = entry.get("status"), entry.get("conclusion")
    if status == "completed":
        return {"state": CONCLUSION.get(conclusion, FAILED), "done": True, "reported": conclusion}
    return {"state": STATUS.get(status, WAITING), "done": False, "reported": status}


def workflow_name(workflow):
    return quote(segment(workflow.rpartition("/")[2], "file or number of a workflow"), safe="")
