"""Brings a version from its source into a new directory: from a directory, an archive, or a commit of a git repository."""

import glob
import os
import re
import shutil
import stat
import subprocess
import tarfile
import zipfile
import zlib
from lzma import LZMAError

from fields import filled
from smcp_plugin import Failure

BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, LZMAError, EOFError, NotImplementedError, RuntimeError)


class Resolved:
    """A version that is there: `path` is where, `commit` which one of a repository."""

    def __init__(self, source, path, version, commit=None):
        self.source, self.path, self.version, self.commit = source, path, version, commit


def resolve(source, values, stamp):
    """Finds the version that `values` name, or what there is where they name none; `Failure` where it does not exist."""
    version = values.get("version")
    if source.repository:
        ref = filled(source.ref, values)
        commit = commit_of(source.repository, ref)
        return Resolved(source, source.repository, version or commit[:12], commit)
    template = source.directory or source.archive
    path = filled(template, values)
    is_there = os.path.isdir(path) if source.directory else os.path.isfile(path)
    if not is_there:
        missing(template, path, values, "directory" if source.directory else "archive")
    return Resolved(source, path, version or stamp)


def missing(template, path, values, kind):
    above = template.partition("{")[0].rpartition("/")[0] or "/"
    if "{version}" in template and os.path.isdir(above):
        there = versions(template, values)
        listed = f"there are: {', '.join(there)}" if there else "there is none"
        raise Failure("version_not_found", f"there is no version '{values['version']}': {path} does not exist; {listed}")
    raise Failure(
        "source_missing",
        f"the {kind} {path} does not exist; where it does, let the plugin read it: filesystem.read = [\"{above}\"] "
        "under [sandbox.plugins.devops] in smcp.toml",
    )


def versions(template, values):
    """The versions that a path with a placeholder finds, the last ten by name."""
    known = {**values, "version": "\0"}
    before, _, after = filled(template, known).partition("\0")
    after = after.partition("\0")[0]
    pattern = re.compile(re.escape(before) + r"([^/]+)" + re.escape(after))
    found = map(pattern.fullmatch, glob.glob(glob.escape(before) + "*" + glob.escape(after)))
    return sorted(match[1] for match in found if match)[-10:]


def fetch(resolved, target, steps):
    """Puts the files of a version into `target`, an empty directory. Nothing in there leads out of it afterwards."""
    tree = Tree(target, steps)
    source = resolved.source
    if source.directory:
        apart(resolved.path, target)
        tree.copy(resolved.path)
        tree.check_links(may_be_absolute=True)
        return
    try:
        if source.repository:
            with Archived(resolved) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
                tree.unpack_tar(archive, 0)
        elif zipfile.is_zipfile(resolved.path):
            with zipfile.ZipFile(resolved.path) as archive:
                tree.unpack_zip(archive, source.strip)
        else:
            with tarfile.open(resolved.path, "r:*") as archive:
                tree.unpack_tar(archive, source.strip)
                # Up to its end, where the checksum is.
                while archive.fileobj.read(1 << 20):
                    steps.left()
    except BROKEN as error:
        raise Failure("archive_broken", f"{resolved.path} cannot be unpacked: {error}") from None
    except OSError as error:
        # What the decompressors find has no number.
        if error.errno is not None:
            raise
        raise Failure("archive_broken", f"{resolved.path} cannot be unpacked: {error}") from None
    tree.check_links(may_be_absolute=False)


def apart(source, target):
    real, target = os.path.realpath(source), os.path.realpath(target)
    if os.path.commonpath([real, target]) == real:
        raise Failure(
            "source_contains_root",
            f"the source {source} contains the directory that it is deployed to: it would be copied into itself",
        )


def git(repository, *words):
    # The operator has named the repository, whoever owns it.
    return ["git", "-c", "safe.directory=*", "-C", repository, *words]


def git_environment():
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "SMCP_"))}
    return {**kept, "GIT_TERMINAL_PROMPT": "0"}


def commit_of(repository, ref):
    if not os.path.isdir(repository):
        raise Failure(
            "source_missing",
            f"the repository {repository} does not exist; where it does, let the plugin read it: filesystem.read = "
            f"[\"{repository}\"] under [sandbox.plugins.devops] in smcp.toml",
        )
    words = git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", ref + "^{commit}")
    try:
        done = subprocess.run(
            words, env=git_environment(), stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace",
            timeout=60, check=False,
        )
    except FileNotFoundError:
        raise Failure("command_missing", "git is not there, which sources with 'repository' need: install it") from None
    except subprocess.TimeoutExpired:
        raise Failure("timeout", f"git has not found {ref} in {repository} within 60 s") from None
    if done.returncode:
        if done.stderr.strip():
            raise Failure("source_missing", f"{repository} is no git repository that can be read: {done.stderr.strip()}")
        raise Failure(
            "version_not_found",
            f"there is no '{ref}' in the repository {repository}; `git -C {repository} fetch --tags` may bring it",
        )
    return done.stdout.strip()


class Archived:
    """The files of a commit as a stream of tar."""

    def __init__(self, resolved):
        words = git(resolved.path, "-c", "tar.umask=0022", "archive", "--format=tar", resolved.commit)
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(words, env=git_environment(), stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)

    def __enter__(self):
        return self.process.stdout

    def __exit__(self, kind, *_):
        if kind:
            self.process.kill()
        self.process.stdout.read()
        said = self.process.stderr.read().decode(errors="replace").strip()
        if self.process.wait() and (not kind or issubclass(kind, BROKEN)) and said:
            raise Failure("source_missing", f"git archive has failed: {said}")


class Tree:
    """A new directory that is filled. Nothing is ever written through a link."""

    def __init__(self, root, steps):
        self.root, self.steps = root, steps
        # As writable for others as the root of the app is, so that whoever may deploy may also remove.
        self.spread = os.stat(root).st_mode & 0o022

    def directory(self, path, mode=0o755):
        os.mkdir(path, (mode & 0o755) | 0o700 | self.spread)

    def file(self, path, mode, content):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode & 0o755)
        with open(descriptor, "wb") as file:
            while block := content.read(1 << 20):
                try:
                    file.write(block)
                except OSError as error:
                    error.filename = path
                    raise
                self.steps.left()

    def copy(self, source):
        """Copies a directory; links are copied as links."""
        waiting = [(source, self.root)]
        while waiting:
            here, there = waiting.pop()
            with os.scandir(here) as entries:
                for entry in entries:
                    self.steps.left()
                    target = os.path.join(there, entry.name)
                    mode = entry.stat(follow_symlinks=False).st_mode
                    if stat.S_ISLNK(mode):
                        os.symlink(os.readlink(entry.path), target)
                    elif stat.S_ISDIR(mode):
                        self.directory(target, mode)
                        waiting.append((entry.path, target))
                    elif stat.S_ISREG(mode):
                        with open(entry.path, "rb") as content:
                            self.file(target, mode, content)
                    else:
                        raise Failure("unsupported_file", f"{entry.path} is neither a file, nor a directory, nor a symbolic link")

    def place(self, name, strip):
        """Where a member of an archive belongs, with the directories above it; None where it is stripped away."""
        if name.startswith("/") or ".." in name.split("/"):
            raise leads_out(name)
        parts = [part for part in name.split("/") if part not in ("", ".")][strip:]
        path = self.root
        for part in parts[:-1]:
            path = os.path.join(path, part)
            if not os.path.lexists(path):
                self.directory(path)
            elif not stat.S_ISDIR(os.lstat(path).st_mode):
                raise leads_out(name)
        return os.path.join(path, parts[-1]) if parts else None

    def member(self, name, strip, kind, mode, content=None, target=None):
        self.steps.left()
        path = self.place(name, strip)
        if path is None:
            return
        is_there = os.path.lexists(path)
        if kind == "directory":
            if is_there and not stat.S_ISDIR(os.lstat(path).st_mode):
                raise leads_out(name)
            return None if is_there else self.directory(path, mode)
        if is_there:
            if os.path.isdir(path) and not os.path.islink(path):
                raise Failure("archive_broken", f"'{name}' is in the archive as a directory and as a file")
            os.unlink(path)
        if kind == "link":
            os.symlink(target, path)
        elif kind == "hard link":
            other = self.place(target, strip)
            if other is None or not stat.S_ISREG(os.lstat(other).st_mode):
                raise leads_out(name)
            with open(other, "rb") as content:
                self.file(path, os.lstat(other).st_mode, content)
        else:
            self.file(path, mode, content)

    def unpack_tar(self, archive, strip):
        for member in archive:
            if member.isdir():
                self.member(member.name, strip, "directory", member.mode)
            elif member.issym():
                self.member(member.name, strip, "link", 0, target=member.linkname)
            elif member.islnk():
                self.member(member.name, strip, "hard link", 0, target=member.linkname)
            elif member.isreg():
                self.member(member.name, strip, "file", member.mode, archive.extractfile(member))
            else:
                raise Failure(
                    "unsupported_file",
                    f"'{member.name}' in the archive is neither a file, nor a directory, nor a link",
                )

    def unpack_zip(self, archive, strip):
        for member in archive.infolist():
            mode = member.external_attr >> 16
            if member.is_dir():
                self.member(member.filename, strip, "directory", mode or 0o755)
            elif stat.S_ISLNK(mode):
                self.member(member.filename, strip, "link", 0, target=os.fsdecode(archive.read(member)))
            else:
                with archive.open(member) as content:
                    self.member(member.filename, strip, "file", mode & 0o777 or 0o644, content)

    def check_links(self, may_be_absolute):
        """Each link leads to something in this directory, or to nothing yet."""
        root = os.path.realpath(self.root)
        for above, directories, files in os.walk(self.root):
            for path in (os.path.join(above, name) for name in directories + files):
                if not os.path.islink(path):
                    continue
                shown, target = os.path.relpath(path, self.root), os.readlink(path)
                try:
                    os.stat(path)
                except FileNotFoundError:
                    pass
                except OSError:
                    raise Failure(
                        "symlink_loop",
                        f"'{shown}' is a symbolic link to '{target}', which leads back to itself",
                    ) from None
                if os.path.isabs(target) and may_be_absolute:
                    continue
                if os.path.isabs(target) or os.path.commonpath([os.path.realpath(path), root]) != root:
                    raise Failure("leads_out", f"'{shown}' is a symbolic link to '{target}', which leads out of the release")


def leads_out(name):
    return Failure("leads_out", f"'{name}' in the archive leads out of the release, or through a link: it is not unpacked")


def remove(path):
    """Removes a directory and what is in it; answers whether that has worked, as another user may have made it."""
    shutil.rmtree(path, ignore_errors=True)
    return not os.path.lexists(path)
