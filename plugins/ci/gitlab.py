"""GitLab pipelines, by version 4 of its REST API."""

from urllib.parse import quote

import logs
import settings
from provider import BLOCKED, CANCELLED, FAILED, MOST_JOBS, RUNNING, SKIPPED, SUCCEEDED, WAITING, Provider, branch, scalar, segment
from service import Service

SECRET = "GITLAB_TOKEN"
ENDED = {"success": SUCCEEDED, "failed": FAILED, "canceled": CANCELLED, "skipped": SKIPPED}
# What is `manual` goes on when somebody starts the job that it stops at.
UNDER_WAY = {"running": RUNNING, "canceling": RUNNING, "manual": BLOCKED}


class GitLab(Provider):
    """The pipelines of one project, by its path or number. A run is a pipeline."""

    def __init__(self, token, project):
        permissions = "the scope api, or read_api to look only, and the role Developer in the project"
        headers = {"Accept": "application/json", "PRIVATE-TOKEN": "{token}"}
        super().__init__(Service("GitLab", settings.gitlab(), SECRET, token, headers, permissions), project)
        self.path = f"/projects/{quote(segment(project, 'path or number of a project'), safe='')}"

    def path_of(self, run):
        return f"{self.path}/pipelines/{run}"

    def dispatch(self, ref, inputs, variables):
        body = {"ref": ref}
        if inputs:
            body["inputs"] = inputs
        if variables:
            body["variables"] = [{"key": name, "value": scalar("variable", name, value)} for name, value in variables.items()]
        answer = self.service.post(f"{self.path}/pipeline", body, subject=f"project {self.project}", once=True)
        run = self.begun(answer)
        return {"result": f"Started a pipeline of {self.project} at {ref}: run {run['run']}", **run, "certain": True}

    def runs(self, ref, limit):
        subject = f"project {self.project} with pipelines"
        return self.runs_found(*self.service.listed(f"{self.path}/pipelines", {"ref": branch(ref)}, limit, subject=subject))

    def as_run(self, entry):
        entry = self.checked(entry)
        return {
            "run": entry["id"],
            **state(entry),
            "name": entry.get("name"),
            "ref": entry.get("ref"),
            "commit": entry.get("sha"),
            "cause": entry.get("source"),
            "began_at": entry.get("created_at"),
            "url": entry.get("web_url"),
        }

    def jobs(self, run):
        entries, _ = self.service.listed(f"{self.path_of(run)}/jobs", {}, MOST_JOBS, subject=self.subject(run))
        return [self.as_job(entry) for entry in entries]

    def as_job(self, entry):
        entry = self.checked(entry)
        return {
            "job": entry["id"],
            "name": str(entry.get("name")),
            **state(entry),
            "stage": entry.get("stage"),
            "reason": entry.get("failure_reason"),
            "began_at": entry.get("created_at"),
            "may_fail": bool(entry.get("allow_failure")),
            "url": entry.get("web_url"),
        }

    def logs(self, run, every, lines):
        return logs.of_jobs(self, run, self.jobs(run), lines, every)

    def log(self, job):
        return self.service.download(f"{self.path}/jobs/{job}/trace", subject=f"log of job {job} of {self.project}")

    def rerun(self, run):
        answer = self.service.post(f"{self.path_of(run)}/retry", subject=self.subject(run), once=True)
        return {"result": f"Began the failed and cancelled jobs of {self.subject(run)} again", **self.begun(answer)}

    def ask_to_cancel(self, run):
        self.service.post(f"{self.path_of(run)}/cancel", subject=self.subject(run), once=False)
        return True


def state(entry):
    status = entry.get("status")
    state = ENDED.get(status) or UNDER_WAY.get(status, WAITING)
    return {"state": state, "done": status in ENDED, "reported": status}
