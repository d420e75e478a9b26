#!/usr/bin/env python3
"""Deploys apps, and rolls them back: what there is to deploy is in the file that SMCP_DEVOPS_APPS names (docs/plugins/devops.md)."""

import os
import re
import sys
import time
import uuid
from typing import Annotated, Optional

from apps import VARIABLE, destination, load
from commanded import Commanded
from health import check
from releases import Releases
from smcp_plugin import Failure, Option, Plugin
from steps import place

plugin = Plugin("devops", version="1.0.0", description="Deploys apps, rolls them back, and tells how they are.")

READS = {"effect": "read_only", "parallel": True, "output": "json", "annotations": {"readOnlyHint": True, "destructiveHint": False}}
LANE = "deploy:{app_name}"

VERSION = "[A-Za-z0-9][A-Za-z0-9._+-]"
App = Annotated[str, Option("Which app of the apps file", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Where = Annotated[str, "Which of the app's environments"]
Version = Annotated[
    Optional[str], Option("Which version; may be left out where the app's source does not depend on it", pattern=f"^{VERSION}{{0,63}}$")
]
Before = Annotated[
    Optional[str], Option("To which version or release; without it, to the one before", pattern=f"^{VERSION}{{0,95}}$")
]


@plugin.command(effect="once", lane=LANE, output="json", annotations={"destructiveHint": False})
def deploy(app_name: App, environment: Where = "production", version: Version = None):
    """Deploy a version of an app. Where that version is deployed already, nothing is done. Progress is told step by step; what
    fails leaves the version before in use."""
    found = load().find(app_name, environment)
    if version is None and found.needs_version():
        raise Failure("version_missing", f"--version is needed: the source of {place(found)} depends on it")
    deployment = os.environ.get("SMCP_JOB_ID") or str(uuid.uuid4())
    done = kind(found).deploy(checked(version), deployment)
    result = f"Deployed {app_name} to {environment}"
    if not done["changed"]:
        result += f": version {done['version']} was in use already, nothing was done"
    return {"result": result, **named(found), **shown(done), "previous": done["previous"], "changed": done["changed"],
            "removed": done.get("removed", []), "steps": done["steps"]}


@plugin.command(effect="once", lane=LANE, output="json", annotations={"destructiveHint": True})
def rollback(app_name: App, environment: Where = "production", version: Before = None):
    """Return to a version of an app that was deployed before: the one before, unless another one is named."""
    found = load().find(app_name, environment)
    done = kind(found).rollback(checked(version))
    result = f"Rolled back {app_name} to version {done['version']}"
    if not done["changed"]:
        result += ", which was in use already: nothing was done"
    return {"result": result, **named(found), **shown(done), "replaced": done.get("replaced"), "changed": done["changed"],
            "steps": done["steps"]}


@plugin.command(**READS)
def status(app_name: App, environment: Where = "production"):
    """Tell which version of an app is in use, whether it is healthy, and whether a deployment was interrupted."""
    found = load().find(app_name, environment)
    at = kind(found)
    current = at.current()
    health = {"healthy": None, "detail": "the apps file has no health check for it"}
    if current and found.health:
        health = check(found, values(found, current), 0)
    word = {True: "healthy", False: "unhealthy", None: "unknown"}[health["healthy"]] if current else "not deployed"
    return {"result": f"Status for {app_name}: {word}", **named(found), **shown(current or {}),
            "previous": current and current["previous"], "unfinished": at.unfinished(), "healthy": current and health["healthy"],
            "detail": health["detail"] if current else f"nothing is deployed in {found.root}"}


@plugin.command(**READS)
def releases(app_name: App, environment: Annotated[Optional[str], "Which of the app's environments; all of them without it"] = None):
    """List the releases of an app that are kept, the newest first: rollback can return to each."""
    apps = load()
    chosen = [apps.find(app_name, environment)] if environment else apps.all_of(app_name)
    listed = []
    for found in chosen:
        at = kind(found)
        current = at.current()
        for record in at.records():
            is_current = bool(current) and record["release"] == current["release"]
            listed.append({"environment": found.name, **shown(record), "previous": record["previous"], "current": is_current})
    return {"result": f"Releases of {app_name}: {len(listed)}", "app_name": app_name, "releases": listed}


@plugin.command(**READS)
def verify(app_name: App, environment: Where = "production"):
    """Check the health of an app, and fail where it is not healthy."""
    found = load().find(app_name, environment)
    if not found.health:
        raise Failure(
            "no_health_check",
            f"{place(found)}.health is missing in the apps file: a url or a command that tells whether it is "
            "healthy",
        )
    current = kind(found).current()
    if not current:
        raise Failure("not_deployed", f"nothing is deployed in {found.root}: deploy a version first")
    health = check(found, values(found, current), found.health.retries)
    if not health["healthy"]:
        raise Failure("unhealthy", f"{app_name} in {environment} is not healthy: {health['detail']} ({health['checks']} checks)",
                      **named(found), **shown(current), **health)
    return {"result": f"Verified {app_name} in {environment}: healthy", **named(found), **shown(current), **health}


def kind(found):
    return Releases(found) if found.strategy == "releases" else Commanded(found)


def named(found):
    return {"app_name": found.app, "environment": found.name}


def values(found, record):
    return found.values(version=record["version"], release=record["release"])


def shown(record):
    """What is told of a release."""
    created = record.get("created_ms")
    return {
        "version": record.get("version"), "release": record.get("release"), "commit": record.get("commit"),
        "created": created and time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(created // 1000)),
        "deployment_id": record.get("deployment_id"),
    }


def checked(version):
    """A version is a part of paths and commands: what the contract's pattern admits, also where nobody has checked it before."""
    if version is not None and not re.fullmatch(VERSION + "{0,95}", version):
        raise Failure(
            "invalid_arguments",
            f"--version is '{version}': letters, digits, '.', '_', '+' and '-' are expected, at the beginning a "
            "letter or digit",
        )
    return version


def describe():
    """Asks for what the apps file needs, and no more; where it cannot be read, says so."""
    path = os.environ.get(VARIABLE)
    files = [path] if path and path.startswith("/") else []
    contract = plugin.contract
    contract["files"] = files
    sandbox = contract["sandbox"] = {
        "filesystem": {"read": files, "write": []}, "network": {"mode": "none"}, "env": {"allow": [VARIABLE]},
    }
    try:
        apps = load()
    except Failure as failure:
        contract["description"] += f" It cannot be used yet: {failure}."
        # Where nothing has been set up, there is nothing wrong.
        contract["problems"] = [str(failure)] if path else []
        return
    every = apps.every()
    needs = [environment.needs for environment in every]
    sources = [path for environment in every if environment.source for path in environment.source.paths()]
    sandbox["filesystem"] = {
        "read": once(files + sources + [path for need in needs for path in need.read]),
        "write": once([environment.root for environment in every] + [path for need in needs for path in need.write]),
    }
    sandbox["network"] = network(every)
    sandbox["env"]["allow"] = once([VARIABLE] + [name for need in needs for name in need.env])
    secrets = once([name for need in needs for name in need.secrets])
    contract["secrets"] = [{"name": name, "required": False} for name in secrets]
    there = ", ".join(f"{app} ({', '.join(found)})" for app, found in apps.environments.items())
    contract["description"] += f" Apps: {there or 'none'}."
    # A call ends by itself within what its environment allows; the rest is for what waits before.
    longest = max((environment.timeout for environment in every), default=600)
    checks = max((checking(environment) for environment in every), default=60)
    for name, command in plugin.commands.items():
        command.contract["timeout_seconds"] = 2 * longest + 30 if name in ("deploy", "rollback") else checks + 30


def checking(environment):
    health = environment.health
    return (health.retries + 1) * (health.timeout + health.interval) if health else 0


def network(every):
    wanted = [to for environment in every for to in environment.needs.network]
    if "full" in wanted:
        return {"mode": "full"}
    for environment in every:
        if environment.health and environment.health.url:
            host, port = destination(environment.health.url)
            wanted.append(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
            # A name for this machine counts only with the address behind it.
            if host == "localhost":
                wanted.append(f"127.0.0.1:{port}")
    return {"mode": "proxy", "allow": once(wanted)} if wanted else {"mode": "none"}


def once(values):
    return list(dict.fromkeys(values))


if __name__ == "__main__":
    os.umask(0)  # each file is made with the mode that it is to have
    if sys.argv[1:] == ["--describe"]:
        describe()
    plugin.main()
