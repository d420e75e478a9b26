"""What is the same of every provider: the form of runs and jobs, and what is done with them."""

import re
from datetime import datetime

import refusal
from service import Service
from smcp_plugin import Failure, Snooze, progress

# How a run or a job stands, whatever its provider calls that.
WAITING, BLOCKED, RUNNING = "waiting", "blocked", "running"
SUCCEEDED, FAILED, CANCELLED, SKIPPED = "succeeded", "failed", "cancelled", "skipped"
ENDED_WELL = (SUCCEEDED, SKIPPED)
MOST_JOBS = 500


class Provider:
    """A project at a provider. What follows is in the words of all; a subclass makes requests of it."""

    def __init__(self, service: Service, project):
        self.service, self.project = service, project
        # The headers of the answer that told of the run, for their time.
        self.told = {}

    def subject(self, run):
        return f"run {run} of {self.project}"

    def run(self, run):
        answer = self.service.get(self.path_of(run), subject=self.subject(run))
        self.told = answer.headers
        return self.as_run(answer.value)

    def status(self, run):
        found = self.run(run)
        return {"result": self.sentence(found), **found, "jobs": self.jobs(run)}

    def sentence(self, run):
        return f"Run {run['run']} of {self.project}: {run['state']}"

    def wait(self, run, within_seconds):
        """Answers when the run has ended well. Until then the call gives its worker back and looks again later."""
        found = self.run(run)
        if found["done"]:
            return self.ended(found)
        jobs = self.jobs(run)
        age = self.age_s(found, jobs)
        done = sum(job["done"] for job in jobs)
        now = ", ".join(job["name"] for job in jobs if job["state"] == RUNNING) or found["state"]
        said = f"{done} of {len(jobs)} jobs done; now: {now}"
        progress(age, None, said)
        if age >= within_seconds:
            message = (
                f"{self.subject(run)} has not ended {age} s after it began ({said}); it goes on. "
                "Wait again with more within_seconds, or cancel it"
            )
            raise Failure("deadline", message, retryable=False, run=found)
        # A long run is looked at less often; the end of a short one is seen soon.
        raise Snooze(min(max(5, age // 20), 60, max(1, within_seconds - age)), f"{self.subject(run)}: {said}")

    def ended(self, found):
        jobs = self.jobs(found["run"])
        if found["state"] in ENDED_WELL:
            return {"result": self.sentence(found), **found, "jobs": jobs}
        bad = ", ".join(described(job) for job in jobs if job["state"] not in ENDED_WELL and not job.get("may_fail"))
        message = f"{self.sentence(found)} ({found['reported']})" + (f"; {bad}" if bad else "")
        raise Failure("run_failed", message, retryable=False, run=found, jobs=jobs)

    def age_s(self, found, jobs):
        """How long ago the run began, or was begun again, in seconds, by the clock of the service."""
        try:
            # A pipeline that is begun again keeps its date and gets new jobs.
            dates = [found["began_at"], *(job["began_at"] for job in jobs if job.get("began_at"))]
            began = max(datetime.fromisoformat(date.replace("Z", "+00:00")).timestamp() for date in dates)
            return max(0, int(refusal.now(self.told) - began))
        except (AttributeError, TypeError, ValueError):
            raise self.service.strange("it does not say when the run began") from None

    def cancel(self, run):
        found = self.run(run)
        if not found["done"]:
            if self.ask_to_cancel(run):
                return {"result": f"Asked {self.service.address.host} to cancel {self.subject(run)}", **self.run(run), "cancelled": True}
            found = self.run(run)
        if not found["done"]:
            raise Failure("conflict", f"{self.service.address.host} cannot cancel {self.subject(run)} now", retryable=False)
        return {"result": f"{self.sentence(found)} before it could be cancelled", **found, "cancelled": False}

    def begun(self, answer):
        """The run in the answer to what has begun it; that it cannot be read does not undo that."""
        try:
            return self.as_run(answer.value)
        except Failure as failure:
            raise refusal.unknown(failure) from None

    def runs_found(self, entries, more):
        runs = [self.as_run(entry) for entry in entries]
        return {"result": f"{len(runs)} runs of {self.project}", "runs": runs, "more": more}

    def checked(self, entry):
        """`entry` as an object with the id that everything here has."""
        if not isinstance(entry, dict) or not isinstance(entry.get("id"), int):
            raise self.service.strange("it lacks an id")
        return entry


def described(job):
    steps = ", ".join(job.get("failed_steps", ()))
    return f"job {job['job']} '{job['name']}' {job['state']}" + (f" in step '{steps}'" if steps else "")


def branch(ref):
    """A ref as lists of runs are searched for it."""
    return re.sub(r"^refs/(heads|tags)/", "", ref) if ref else None


def scalar(what, name, value):
    """An input or a variable as it is taken where all of them are texts."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, (dict, list)):
        raise Failure("invalid_arguments", f"the {what} '{name}' must be a text, a number, true or false", retryable=False)
    return str(value)


def segment(value, what):
    """A part of an address's path that cannot lead elsewhere."""
    if not value or any(part in ("", ".", "..") for part in value.split("/")) or any(ord(letter) < 33 for letter in value):
        raise Failure("invalid_arguments", f"'{value}' is not the {what}", retryable=False)
    return value
