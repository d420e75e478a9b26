"""Running a program, with what it prints kept within bounds."""

import os
import shutil
import subprocess
import sys
import threading

from smcp_plugin import Failure

# In JSON each byte may take six, and an answer has at most a MiB.
STDOUT_BYTES = 128 * 1024
STDERR_BYTES = 8 * 1024
# A line of the log is no longer.
LINE_BYTES = 16 * 1024
MESSAGE_CHARACTERS = 400


def found(name):
    """The path of a program, by its name or its own path; `None` where there is none that could be run."""
    return shutil.which(name)


def run(argv, cwd=None, env=None, where=""):
    """The answer of a command that has succeeded. `where` is what to correct where its program is missing."""
    path = found(argv[0])
    if path is None:
        missing = f"there is no program {argv[0]} on this machine, or the command's sandbox does not let it be read"
        raise Failure("command_missing", f"{missing}: install it, or correct {where}", retryable=False)
    if cwd is not None and not os.path.isdir(cwd):
        missing = f"the directory {cwd} is not there, or the command's sandbox does not let it be read"
        raise Failure("directory_missing", f"{missing}: correct {where}", retryable=False)
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    try:
        process = subprocess.Popen(argv, executable=path, cwd=cwd, env=surroundings(env), **pipes)
    except OSError as error:
        raise Failure("command_not_started", f"{path} cannot be run: {error.strerror}; correct {where}", retryable=False) from None
    printed = bytearray()
    truncated = []
    reader = threading.Thread(target=head, args=(process.stdout, printed, truncated), daemon=True)
    reader.start()
    complaints = logged(process.stderr)
    status = process.wait()
    reader.join()
    answer = {"exit_status": status if status >= 0 else 128 - status, "stdout": text(printed), "stderr": text(complaints)}
    if truncated:
        answer["stdout_truncated"] = True
    if status != 0:
        raise Failure("command_failed", failure(os.path.basename(path), status, answer), **answer)
    return {"ok": True, **answer}


def surroundings(env):
    """The environment of the program: the plugin's own but for what is SMCP's, and what is listed."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SMCP_", "PYTHON"))}
    return {**inherited, **(env or {})}


def head(stream, kept, truncated):
    """Keeps the beginning of what a program prints, and reads all of it, so that it does not have to wait."""
    while chunk := stream.read1(64 * 1024):
        room = STDOUT_BYTES - len(kept)
        kept += chunk[:room]
        if len(chunk) > room:
            truncated[:] = [True]


def logged(stream):
    """Passes lines on to the log as they come, and answers the last of them."""
    tail = b""
    while line := stream.readline(LINE_BYTES):
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
        tail = (tail + line)[-STDERR_BYTES:]
    return tail


def text(printed):
    return bytes(printed).decode("utf-8", "replace")


def failure(name, status, answer):
    how = f"{name} exited with status {status}" if status > 0 else f"{name} was ended by signal {-status}"
    said = answer["stderr"].strip() or answer["stdout"].strip()
    if len(said) > MESSAGE_CHARACTERS:
        said = "…" + said[-MESSAGE_CHARACTERS:]
    return f"{how}: {said}" if said else how
