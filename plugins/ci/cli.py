#!/usr/bin/env python3
"""Continuous integration: GitHub Actions and GitLab pipelines, by their public APIs.

Both have the same commands, which answer in the same words: a run is a run of a workflow or a pipeline.
"""

from typing import Annotated, Literal, Optional

import github
import gitlab
import settings
from github import GitHub
from gitlab import GitLab
from smcp_plugin import Option, Plugin

NETWORK, PROBLEMS = settings.network()

plugin = Plugin(
    "ci",
    version="1.0.0",
    description="Starts, follows and ends runs of GitHub Actions and GitLab pipelines, and reads their logs.",
    problems=PROBLEMS,
    secrets=[github.SECRET, gitlab.SECRET],
    sandbox={
        "network": NETWORK,
        "filesystem": {"read": settings.certificates(), "write": []},
        "env": {"allow": ["SMCP_CI_*"]},
    },
)

Repository = Annotated[str, Option("The repository, as owner/name", pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*/[A-Za-z0-9._-]+$")]
Project = Annotated[str, Option("The project: its path, such as group/name, or its number", pattern=r"^[^\s?#]+$")]
Ref = Annotated[str, Option("The branch or tag", pattern=r"^\S+$")]
Run = Annotated[int, Option("The number of the run, as dispatch and runs tell it", minimum=1)]
Limit = Annotated[int, Option("How many to tell, the newest first", minimum=1, maximum=300)]
Which = Annotated[Literal["failed", "all"], "Whose logs: those of the jobs that have failed, or of all jobs, failed ones first"]
Lines = Annotated[int, Option("How many lines of each log, counted from its end", minimum=1, maximum=5000)]
Within = Annotated[int, Option("How many seconds the run may take, counted from when it began", minimum=1, maximum=604800)]
Inputs = Annotated[Optional[dict], "The inputs, by name"]
Variables = Annotated[Optional[dict], "The CI/CD variables, by name"]

AT_GITHUB = {"secrets": [github.SECRET], "output": "json", "timeout_seconds": 300}
AT_GITLAB = {"secrets": [gitlab.SECRET], "output": "json", "timeout_seconds": 300}
# A failure that may pass says itself when to try again; beside that, only a call that took too long is made anew.
LOOKS = {
    "effect": "read_only",
    "parallel": True,
    "retry": {"max_attempts": 5, "initial_ms": 5000, "retry_on": ["timeout"]},
    "annotations": {"readOnlyHint": True, "destructiveHint": False, "idempotentHint": True, "openWorldHint": True},
}
# A run destroys nothing by itself. What it does, the workflow says: rules tell who may start which.
STARTS = {
    "effect": "once",
    "annotations": {"readOnlyHint": False, "destructiveHint": False, "idempotentHint": False, "openWorldHint": True},
}
# Cancelling is destructive: it can stop a deployment half-way, and what has been cut off can only be begun anew.
# Twice is as good as once, as a run that has ended stays as it is.
ENDS = {
    "effect": "idempotent",
    "annotations": {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": True, "openWorldHint": True},
}
# Two dispatches at once could not be told apart where the API does not say which run is whose.
GITHUB_LANE, GITLAB_LANE = {"lane": "ci:github:{repository}"}, {"lane": "ci:gitlab:{project}"}


def at_github(repository):
    return GitHub(plugin.secret(github.SECRET), repository)


def at_gitlab(project):
    return GitLab(plugin.secret(gitlab.SECRET), project)


@plugin.command(name="github-dispatch", **AT_GITHUB, **STARTS, **GITHUB_LANE)
def github_dispatch(
    repository: Repository,
    workflow: Annotated[str, Option("The workflow: its file, such as deploy.yml, or its number", pattern=r"^\S")],
    ref: Ref,
    inputs: Inputs = None,
):
    "Start a GitHub Actions workflow that has the trigger workflow_dispatch, and tell which run that is."
    return at_github(repository).dispatch(workflow, ref, inputs)


@plugin.command(name="github-runs", **AT_GITHUB, **LOOKS)
def github_runs(
    repository: Repository,
    workflow: Annotated[Optional[str], "Only runs of this workflow: its file, such as deploy.yml, or its number"] = None,
    ref: Annotated[Optional[str], "Only runs of this branch or tag"] = None,
    limit: Limit = 20,
):
    "List the newest runs of GitHub Actions in a repository."
    return at_github(repository).runs(workflow, ref, limit)


@plugin.command(name="github-status", **AT_GITHUB, **LOOKS)
def github_status(repository: Repository, run: Run):
    "Tell how a run of GitHub Actions stands, with its jobs and the steps that have failed."
    return at_github(repository).status(run)


@plugin.command(name="github-logs", **AT_GITHUB, **LOOKS)
def github_logs(repository: Repository, run: Run, which: Which = "failed", lines: Lines = 200):
    "Read the ends of the logs of a run of GitHub Actions, to see why it has failed."
    return at_github(repository).logs(run, which == "all", lines)


@plugin.command(name="github-rerun", **AT_GITHUB, **STARTS, **GITHUB_LANE)
def github_rerun(
    repository: Repository,
    run: Run,
    only_failed: Annotated[bool, "Only the jobs that have failed, and those which need them"] = False,
):
    "Begin a run of GitHub Actions that has ended again, all of it or its failed jobs."
    return at_github(repository).rerun(run, only_failed)


@plugin.command(name="github-cancel", **AT_GITHUB, **ENDS, **GITHUB_LANE)
def github_cancel(repository: Repository, run: Run):
    "Cancel a run of GitHub Actions that has not ended."
    return at_github(repository).cancel(run)


@plugin.command(name="github-wait", **AT_GITHUB, **LOOKS)
def github_wait(repository: Repository, run: Run, within_seconds: Within = 3600):
    "Wait until a run of GitHub Actions has ended. Fails where it ends badly or not in time."
    return at_github(repository).wait(run, within_seconds)


@plugin.command(name="gitlab-dispatch", **AT_GITLAB, **STARTS, **GITLAB_LANE)
def gitlab_dispatch(project: Project, ref: Ref, inputs: Inputs = None, variables: Variables = None):
    "Start a GitLab pipeline, and tell which run that is."
    return at_gitlab(project).dispatch(ref, inputs, variables)


@plugin.command(name="gitlab-runs", **AT_GITLAB, **LOOKS)
def gitlab_runs(project: Project, ref: Annotated[Optional[str], "Only pipelines of this branch or tag"] = None, limit: Limit = 20):
    "List the newest pipelines of a GitLab project."
    return at_gitlab(project).runs(ref, limit)


@plugin.command(name="gitlab-status", **AT_GITLAB, **LOOKS)
def gitlab_status(project: Project, run: Run):
    "Tell how a GitLab pipeline stands, with its jobs."
    return at_gitlab(project).status(run)


@plugin.command(name="gitlab-logs", **AT_GITLAB, **LOOKS)
def gitlab_logs(project: Project, run: Run, which: Which = "failed", lines: Lines = 200):
    "Read the ends of the logs of a GitLab pipeline's jobs, to see why it has failed."
    return at_gitlab(project).logs(run, which == "all", lines)


@plugin.command(name="gitlab-rerun", **AT_GITLAB, **STARTS, **GITLAB_LANE)
def gitlab_rerun(project: Project, run: Run):
    "Begin the failed and cancelled jobs of a GitLab pipeline again. For all of it, dispatch the same branch or tag."
    return at_gitlab(project).rerun(run)


@plugin.command(name="gitlab-cancel", **AT_GITLAB, **ENDS, **GITLAB_LANE)
def gitlab_cancel(project: Project, run: Run):
    "Cancel a GitLab pipeline that has not ended."
    return at_gitlab(project).cancel(run)


@plugin.command(name="gitlab-wait", **AT_GITLAB, **LOOKS)
def gitlab_wait(project: Project, run: Run, within_seconds: Within = 3600):
    "Wait until a GitLab pipeline has ended. Fails where it ends badly or not in time."
    return at_gitlab(project).wait(run, within_seconds)


if __name__ == "__main__":
    plugin.main()
