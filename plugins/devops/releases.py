"""The strategy `releases`: each version in a directory of its own in `root/releases`, and the link `root/current` to the one in use."""

import ctypes
import io
import json
import os
import shutil
import time

import sources
from smcp_plugin import Failure, log
from steps import Steps, alone, check_root, explained, place

# What is known of a release, in its directory: a release that has it is complete.
RECORD = ".smcp-release.json"
UNFINISHED = ".unfinished-"
NEXT_LINK = ".next-current"


class Releases:
    """The releases of an environment."""

    def __init__(self, environment):
        self.environment, self.root = environment, environment.root
        self.directory, self.link = os.path.join(self.root, "releases"), os.path.join(self.root, "current")

    def path(self, name):
        return os.path.join(self.directory, name)

    def records(self):
        """What is known of each complete release, the newest first."""
        check_root(self.root)
        with explained():
            names = os.listdir(self.directory) if os.path.isdir(self.directory) else []
        records = [self.record(name) for name in names if not name.startswith(".")]
        return sorted(filter(None, records), key=lambda record: record["created_ms"], reverse=True)

    def record(self, name):
        try:
            with open(os.path.join(self.path(name), RECORD), encoding="utf-8") as file:
                record = json.load(file)
            needed = {"version": record["version"], "previous": record["previous"], "created_ms": int(record["created_ms"])}
            return {**record, **needed, "release": name}
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def current(self):
        """The record of the release that is in use; None where there is none."""
        check_root(self.root)
        try:
            target = os.readlink(self.link)
        except FileNotFoundError:
            return None
        except OSError:
            raise Failure(
                "current_not_ours",
                f"{self.link} is not a symbolic link: move it away, so that deployments can put theirs there",
            ) from None
        name = os.path.basename(target)
        if os.path.realpath(os.path.dirname(os.path.join(self.root, target))) != os.path.realpath(self.directory):
            raise Failure(
                "current_not_ours",
                f"{self.link} leads to {target}, which is not one of the releases in {self.directory}: move it "
                "away, so that deployments can put theirs there",
            )
        return self.record(name)

    def unfinished(self):
        """What deployments have begun and not completed: they run, or were interrupted."""
        names = os.listdir(self.directory) if os.path.isdir(self.directory) else []
        return sorted(name.removeprefix(UNFINISHED) for name in names if name.startswith(UNFINISHED))

    def deploy(self, version, deployment):
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        values = self.environment.values(**({"version": version} if version else {}))
        with alone(self.root), explained():
            steps = Steps(self.environment, 4 + len(self.environment.before) + len(self.environment.after))
            self.tidy()
            current = self.current()
            with steps.step("find the version"):
                resolved = sources.resolve(self.environment.source, values, stamp)
            if current and (current["version"], current.get("commit")) == (resolved.version, resolved.commit):
                steps.done()
                return {**current, "changed": False, "steps": steps.taken}
            self.check_shared()
            record = {
                "version": resolved.version, "commit": resolved.commit, "created_ms": time.time_ns() // 1_000_000,
                "previous": current and current["release"], "deployment_id": deployment,
            }
            name = self.build(resolved, record, stamp, steps)
            self.put_in_use(name, record["version"], current, steps, is_new=True)
            left = self.prune(name, current)
            steps.done()
            return {**record, "release": name, "changed": True, "removed": left, "steps": steps.taken}

    def rollback(self, version):
        with alone(self.root), explained():
            steps = Steps(self.environment, 1 + len(self.environment.after))
            self.tidy()
            current, records = self.current(), self.records()
            target = self.target(version, current, records)
            if current and target["release"] == current["release"]:
                return {**current, "changed": False, "steps": []}
            self.put_in_use(target["release"], target["version"], current, steps, is_new=False)
            steps.done()
            return {**target, "changed": True, "replaced": current and current["release"], "steps": steps.taken}

    def target(self, version, current, records):
        kept = ", ".join(f"{record['version']} ({record['release']})" for record in records) or "none"
        if version is None:
            before = current and current.get("previous")
            found = [record for record in records if record["release"] == before]
            if not found:
                why = f"there is no release before {current['release']}" if current else "nothing is deployed"
                why = f"{before}, the one before, is not kept any more" if before else why
                raise Failure(
                    "no_previous_release",
                    f"{why}; kept are: {kept}. Name one of their versions, or deploy another one",
                )
            return found[0]
        if current and version in (current["version"], current["release"]):
            return current
        found = [record for record in records if version in (record["version"], record["release"])]
        if not found:
            raise Failure(
                "version_not_found",
                f"there is no release of version '{version}' in {self.directory}; kept are: {kept}. Deploy it "
                "instead",
            )
        return found[0]

    def build(self, resolved, record, stamp, steps):
        """Makes a complete release under a name that marks it as unfinished, and gives it its own name at last."""
        name, number = f"{stamp}-{resolved.version}", 1
        while os.path.lexists(self.path(name)):
            number += 1
            name = f"{stamp}-{resolved.version}-{number}"
        staging = self.path(UNFINISHED + name)
        try:
            self.make(self.directory)
            self.make(staging)
            with steps.step(f"copy version {resolved.version} from {resolved.path}"):
                sources.fetch(resolved, staging, steps)
                self.share(staging)
            values = self.environment.values(version=resolved.version, release=name, directory=staging)
            steps.run(self.environment.before, "hooks.before", values, staging, self.umask())
            with steps.step("write it to the disk"):
                record_file = os.path.join(staging, RECORD)
                if os.path.lexists(record_file):
                    os.unlink(record_file)
                sources.Tree(staging, steps).file(record_file, 0o644, io.BytesIO(json.dumps(record).encode()))
                sync(staging)
                os.rename(staging, self.path(name))
                sync(self.directory)
        except BaseException:
            sources.remove(staging)
            raise
        return name

    def put_in_use(self, name, version, current, steps, is_new):
        """Turns the link, and runs what is to be run then; where that fails, everything is as before."""
        values = self.environment.values(version=version, release=name, directory=self.path(name))
        try:
            with steps.step(f"put {name} in use"):
                self.turn(name)
        except BaseException:
            if is_new:
                sources.remove(self.path(name))
            raise
        try:
            steps.run(self.environment.after, "hooks.after", values, self.path(name), self.umask())
        except Failure as failure:
            self.restore(current, failure)
            if is_new:
                sources.remove(self.path(name))
            raise

    def restore(self, current, failure):
        if not current:
            os.unlink(self.link)
            again = "nothing is in use, as before"
        else:
            self.turn(current["release"])
            again = f"{current['release']} is in use again"
            path = self.path(current["release"])
            values = self.environment.values(version=current["version"], release=current["release"], directory=path)
            steps = Steps(self.environment, len(self.environment.after))
            try:
                steps.run(self.environment.after, "hooks.after", values, path, self.umask())
            except Failure as second:
                again += f", but the hooks have failed for it, too ({second})"
        failure.args = (f"{failure}; {again}",)
        failure.answer.update(error=str(failure), in_use=current and current["release"])

    def turn(self, name):
        """Makes `current` lead to that release. Whoever opens a path in it gets the one release or the other."""
        following = os.path.join(self.root, NEXT_LINK)
        if os.path.lexists(following):
            os.unlink(following)
        os.symlink(os.path.join("releases", name), following)
        os.replace(following, self.link)
        sync(self.root)

    def tidy(self):
        """Removes what interrupted deployments have left."""
        for name in self.unfinished():
            log(f"removing {name}, which was not completed")
            if not sources.remove(self.path(UNFINISHED + name)):
                log(f"{self.path(UNFINISHED + name)} cannot be removed: another user has made it")

    def prune(self, name, current):
        """Removes the oldest releases above `keep`, but not the one in use nor the one before; answers which."""
        spared = {name, current and current["release"]}
        removed = []
        for record in self.records()[self.environment.keep:]:
            if record["release"] in spared:
                continue
            # Under a name that marks it, so that an interruption leaves nothing that looks complete.
            marked = self.path(UNFINISHED + record["release"])
            os.rename(self.path(record["release"]), marked)
            if sources.remove(marked):
                removed.append(record["release"])
            else:
                log(f"{marked} cannot be removed: another user has made it")
        return removed

    def check_shared(self):
        for path in self.environment.shared_files:
            file = os.path.join(self.root, "shared", path)
            if not os.path.isfile(file):
                raise Failure(
                    "shared_missing",
                    f"{file} is not there, which {place(self.environment)}.shared.files names: put it there",
                )

    def share(self, release):
        """Links what releases have in common into a release."""
        for path in self.environment.shared_directories:
            self.make(os.path.join(self.root, "shared", path))
        for path in self.environment.shared_directories + self.environment.shared_files:
            link = os.path.join(release, path)
            above = os.path.dirname(link)
            if os.path.realpath(above) != os.path.join(os.path.realpath(release), os.path.dirname(path)).rstrip("/"):
                raise Failure(
                    "leads_out",
                    f"'{os.path.dirname(path)}' in the release is a symbolic link: '{path}' cannot be shared in it",
                )
            self.make(above)
            if os.path.isdir(link) and not os.path.islink(link):
                shutil.rmtree(link)
            elif os.path.lexists(link):
                os.unlink(link)
            os.symlink(os.path.relpath(os.path.join(self.root, "shared", path), above), link)

    def make(self, directory):
        """Makes a directory and those above it, as writable for others as the root is."""
        if not os.path.isdir(directory):
            self.make(os.path.dirname(directory))
            os.mkdir(directory, 0o755 | os.stat(self.root).st_mode & 0o022)

    def umask(self):
        return 0o022 & ~os.stat(self.root).st_mode


def sync(path):
    """Waits until what was written to this file system is on the disk: one call, however many files there are."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
        if syncfs is None:
            os.sync()
        elif syncfs(descriptor):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
    finally:
        os.close(descriptor)
