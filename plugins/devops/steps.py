"""What a deployment does, step by step: told as progress, timed, within one time limit, each command without a shell."""

import contextlib
import errno
import fcntl
import os
import signal
import subprocess
import threading
import time

from fields import filled
from smcp_plugin import Failure, progress

# How much of a failed command's output is told.
TAIL = 20
# How long another deployment of the same root is waited for.
PATIENCE = 10.0


class Steps:
    """The steps of one call, `total` of them, which have `seconds` for all."""

    def __init__(self, environment, total):
        self.environment, self.total, self.taken = environment, total, []
        self.end = time.monotonic() + environment.timeout
        check_secrets(environment)

    @contextlib.contextmanager
    def step(self, name):
        self.left()
        progress(len(self.taken), self.total, name)
        begun = time.monotonic()
        yield
        self.taken.append({"step": name, "seconds": round(time.monotonic() - begun, 3)})

    def left(self):
        """The seconds that are left; `Failure` where none are."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise Failure(
                "timeout",
                f"it has taken longer than the {self.environment.timeout:g} s that "
                f"{place(self.environment)}.timeout allows",
            )
        return left

    def done(self):
        progress(len(self.taken), self.total, "done")

    def run(self, commands, key, values, directory, umask=0o022):
        """Runs commands of the apps file one after the other, each a step."""
        for at, words in enumerate(commands):
            words = [filled(word, values) for word in words]
            with self.step(f"{key}: {' '.join(words)}"):
                where = f"{place(self.environment)}.{key}[{at}]"
                status, tail = run(self.environment, words, where, directory, self.left(), umask)
                if status:
                    said = f"; it said: {' '.join(tail[-3:])}" if tail else ""
                    raise Failure("command_failed", f"{where} ({words[0]}) has ended with {status}{said}", output="\n".join(tail))


def place(environment):
    return f"apps.{environment.app}.environments.{environment.name}"


def check_secrets(environment):
    """`Failure` where a secret that the environment's commands need is not set."""
    for name in environment.needs.secrets:
        if name not in os.environ:
            raise Failure(
                "secret_missing",
                f"the secret {name} of {place(environment)}.needs is not set; an operator sets it with: smcp "
                f"secrets set {name}",
            )


def run(environment, words, where, directory, seconds, umask=0o022):
    """Runs a command to its end; answers how it failed, or None, and the last lines that it has written. They go to the log."""
    kept = {name for name in os.environ if not name.startswith("SMCP_")} - environment.hidden
    surroundings = {name: os.environ[name] for name in kept}
    try:
        process = subprocess.Popen(
            words, cwd=directory, env=surroundings, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True, umask=umask,
        )
    except FileNotFoundError:
        if not os.path.isdir(directory):
            raise Failure("not_found", f"{directory}, where {where} is to be run, does not exist") from None
        raise Failure(
            "command_missing",
            f"the program {words[0]} of {where} is not there: install it, name it by its path, or let the plugin "
            "read it",
        ) from None
    except PermissionError:
        raise Failure("command_missing", f"the program {words[0]} of {where} may not be executed") from None
    tail = []

    def follow():
        for line in process.stdout:
            # Not by way of Python's own buffer: this thread may still write when the process ends.
            os.write(2, line)
            tail.append(line.decode(errors="replace").rstrip("\n"))
            del tail[:-TAIL]

    reader = threading.Thread(target=follow, daemon=True)
    reader.start()
    try:
        status = process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"no end after {seconds:.3g} s", tail
    # What it has left running may hold its output open.
    reader.join(1)
    if status < 0:
        return f"the signal {signal.Signals(-status).name}", tail
    return (f"exit status {status}" if status else None), tail


@contextlib.contextmanager
def alone(root):
    """Nobody else deploys to `root` in the meantime, within SMCP or without."""
    try:
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise root_missing(root, error.strerror) from None
    try:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise Failure(
                        "locked",
                        f"something else deploys to {root} and has not ended for {PATIENCE:g} s: try again, or look who holds the "
                        f"lock on that directory (lslocks)",
                        retryable=True,
                        retry_after=30,
                    ) from None
                time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def check_root(root):
    if not os.path.isdir(root):
        raise root_missing(root, "it is not there")


def root_missing(root, why):
    return Failure(
        "root_missing",
        f"the directory {root} cannot be used ({why}): make it, for the user that plugins run as to write to, and "
        f"grant it: filesystem.write = [\"{root}\"] under [sandbox.plugins.devops] in smcp.toml",
    )


@contextlib.contextmanager
def explained():
    """Says what the system's errors mean for a deployment."""
    try:
        yield
    except OSError as error:
        path = error.filename or "a file"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Failure(
                "disk_full",
                f"there is no space left to write {path}; nothing has been changed: make room, or lower 'keep'",
            ) from None
        if error.errno == errno.EFBIG:
            raise Failure(
                "file_too_large",
                f"{path} is larger than a plugin may write: raise limits.file_mb under [sandbox.plugins.devops] in "
                "smcp.toml",
            ) from None
        if error.errno == errno.ELOOP:
            raise Failure("symlink_loop", f"{path} is a symbolic link that leads back to itself") from None
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise Failure(
                "not_permitted",
                f"{path}: {error.strerror}. Let the user that plugins run as use it, and grant it under "
                "[sandbox.plugins.devops] in smcp.toml",
            ) from None
        raise Failure("io_error", f"{path}: {error.strerror or error}") from None
