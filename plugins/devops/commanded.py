"""The strategy `commands`: an app is deployed by programs such as kubectl; what they have done is noted in `root/deployments.json`."""

import json
import os
import time

from smcp_plugin import Failure
from steps import Steps, alone, check_root, explained

NOTES = "deployments.json"


class Commanded:
    """The deployments of an environment."""

    def __init__(self, environment):
        self.environment, self.root = environment, environment.root
        self.file = os.path.join(environment.root, NOTES)

    def notes(self):
        check_root(self.root)
        try:
            with explained(), open(self.file, encoding="utf-8") as file:
                notes = json.load(file)
                return {"current": notes["current"], "unfinished": notes["unfinished"], "deployments": list(notes["deployments"])}
        except Failure:
            if not os.path.lexists(self.file):
                return {"current": None, "unfinished": None, "deployments": []}
            raise
        except (ValueError, KeyError, TypeError):
            raise Failure(
                "notes_broken",
                f"{self.file} cannot be read as the notes of deployments: move it away; the next deployment begins "
                "new ones",
            ) from None

    def records(self):
        return sorted(self.notes()["deployments"], key=lambda record: record["created_ms"], reverse=True)

    def current(self):
        notes = self.notes()
        return named(notes, notes["current"])

    def unfinished(self):
        begun = self.notes()["unfinished"]
        return [begun] if begun else []

    def deploy(self, version, deployment):
        with alone(self.root), explained():
            notes = self.notes()
            current = named(notes, notes["current"])
            steps = Steps(self.environment, len(self.environment.deploy))
            stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
            version = version or stamp
            # After commands that were broken off, nobody knows what runs.
            if current and current["version"] == version and not notes["unfinished"]:
                return {**current, "changed": False, "steps": []}
            name, number = f"{stamp}-{version}", 1
            while named(notes, name):
                number += 1
                name = f"{stamp}-{version}-{number}"
            record = {
                "release": name, "version": version, "commit": None, "created_ms": time.time_ns() // 1_000_000,
                "previous": current and current["release"], "deployment_id": deployment,
            }
            self.run(self.environment.deploy, "deploy", notes, record, steps)
            notes["deployments"].append(record)
            removed = self.finish(notes, record, {name, record["previous"]})
            return {**record, "changed": True, "removed": removed, "steps": steps.taken}

    def rollback(self, version):
        with alone(self.root), explained():
            notes = self.notes()
            current = named(notes, notes["current"])
            target = self.target(version, notes, current)
            if target is current and not notes["unfinished"]:
                return {**current, "changed": False, "steps": []}
            key = "rollback" if self.environment.rollback else "deploy"
            commands = self.environment.rollback or self.environment.deploy
            steps = Steps(self.environment, len(commands))
            self.run(commands, key, notes, target, steps)
            self.finish(notes, target, {target["release"], target["previous"]})
            return {**target, "changed": True, "replaced": current and current["release"], "steps": steps.taken}

    def target(self, version, notes, current):
        kept = ", ".join(f"{record['version']} ({record['release']})" for record in self.records()) or "none"
        if version is None:
            # What was broken off is not what was before: that is the last one which succeeded.
            before = notes["current"] if notes["unfinished"] else current and current["previous"]
            found = named(notes, before)
            if not found:
                raise Failure(
                    "no_previous_release",
                    f"there is no deployment before; noted are: {kept}. Name one of their versions, or deploy "
                    "another one",
                )
            return found
        if current and version in (current["version"], current["release"]):
            return current
        found = [record for record in reversed(notes["deployments"]) if version in (record["version"], record["release"])]
        if not found:
            raise Failure("version_not_found", f"version '{version}' has not been deployed; noted are: {kept}. Deploy it instead")
        return found[0]

    def run(self, commands, key, notes, record, steps):
        notes["unfinished"] = record["release"]
        self.write(notes)
        values = self.environment.values(version=record["version"], release=record["release"])
        try:
            steps.run(commands, key, values, self.root)
        except Failure as failure:
            back = notes["current"] or "nothing, as nothing was deployed before"
            failure.answer["error"] += f". What the commands before it have done stays: rollback returns to {back}"
            raise

    def finish(self, notes, record, spared):
        notes["current"], notes["unfinished"] = record["release"], None
        last = notes["deployments"][: -self.environment.keep]
        removed = [old["release"] for old in last if old["release"] not in spared]
        notes["deployments"] = [kept for kept in notes["deployments"] if kept["release"] not in removed]
        self.write(notes)
        return removed

    def write(self, notes):
        fresh = self.file + ".new"
        if os.path.lexists(fresh):
            os.unlink(fresh)
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w", encoding="utf-8") as file:
            json.dump(notes, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, self.file)


def named(notes, release):
    return next((record for record in notes["deployments"] if record["release"] == release), None)
