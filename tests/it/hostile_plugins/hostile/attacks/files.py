"""Files, the environment and descriptors that are not the plugin's."""

import ctypes
import fcntl
import os
import shutil

from . import attempt, syscall

AT_FDCWD = -100
RENAME_EXCHANGE = 2


def write(plan):
    """Write to files outside, new ones and old ones."""

    def overwrite(path):
        with open(path, "r+b") as file:
            file.write(b"overwritten")

    def make(path):
        with open(path, "xb") as file:
            file.write(b"made")

    return {
        "new": {path: attempt(make, path) for path in plan["new"]},
        "old": {path: attempt(overwrite, path) for path in plan["old"]},
        "removed": {path: attempt(os.unlink, path) for path in plan["old"]},
        "directories": {path: attempt(os.mkdir, path) for path in plan["new"]},
        "fifos": {path: attempt(os.mkfifo, path) for path in plan["new"]},
    }


def read(plan):
    """Read a secret in every way there is to name it."""
    secret = plan["secret"]

    def contents(path):
        with open(path, "rb") as file:
            file.read()

    link = os.path.join(os.environ["HOME"], "link")
    os.symlink(secret, link)
    granted = os.path.join(plan["granted"], "link")
    os.symlink(secret, granted)
    roots = ["/proc/self/root", "/proc/thread-self/root", "/proc/1/root", f"/proc/{os.getppid()}/root", "/proc/self/cwd"]
    up = "/.." * 12
    ways = {
        "by its path": secret,
        "by a link in the scratch directory": link,
        "by a link in a granted directory": granted,
        **{f"by {root}": f"{root}{up if root.endswith('cwd') else ''}{secret}" for root in roots},
        **{f"the file {path}": path for path in plan["others"]},
    }
    return {
        "read": {way: attempt(contents, path) for way, path in ways.items()},
        "listed": {path: attempt(os.listdir, path) for path in plan["directories"]},
        "named": attempt(os.stat, secret),
    }


def link(plan):
    """Get hold of a secret under another name."""
    secret, granted = plan["secret"], plan["granted"]
    home = os.environ["HOME"]
    mine = os.path.join(granted, "mine")
    with open(mine, "wb") as file:
        file.write(b"mine")
    achieved = {}
    for place in (home, granted):
        achieved[f"link into {place}"] = attempt(os.link, secret, os.path.join(place, "linked"))
        achieved[f"rename into {place}"] = attempt(os.rename, secret, os.path.join(place, "renamed"))
    achieved["rename onto it"] = attempt(os.rename, mine, secret)
    achieved["exchange"] = attempt(
        syscall, "renameat2", AT_FDCWD, mine.encode(), AT_FDCWD, secret.encode(), RENAME_EXCHANGE
    )
    achieved["move its directory"] = attempt(os.rename, os.path.dirname(secret), os.path.join(granted, "moved"))
    return achieved


def change(plan):
    """Change a file without opening it."""
    secret = plan["secret"].encode()

    def by_handle():
        handle = os.open(secret, os.O_PATH)
        os.chmod(f"/proc/self/fd/{handle}", 0o600)

    name = ctypes.c_char_p(b"user.hostile")
    return {
        "chmod": attempt(os.chmod, secret, 0o600),
        "chmod by a handle": attempt(by_handle),
        "fchmodat2": attempt(syscall, "fchmodat2", AT_FDCWD, secret, 0o600, 0),
        "chown": attempt(os.chown, secret, os.getuid(), os.getgid()),
        "utime": attempt(os.utime, secret, (1, 1)),
        "setxattr": attempt(os.setxattr, secret, b"user.hostile", b"1"),
        "setxattrat": attempt(syscall, "setxattrat", AT_FDCWD, secret, 0, name, 0, 0),
        "truncate": attempt(os.truncate, secret, 0),
    }


def usable(_plan):
    """What every program may do with its own files."""
    home = os.environ["HOME"]
    path = os.path.join(home, "own")
    with open(path, "wb") as file:
        file.write(b"own")
    return {
        "copy": attempt(shutil.copyfile, path, path + "2"),
        "rename": attempt(os.rename, path + "2", path + "3"),
        "remove": attempt(os.unlink, path + "3"),
    }


def inherited(_plan):
    """What was left to this process."""
    descriptors = []
    for number in range(1024):
        try:
            fcntl.fcntl(number, fcntl.F_GETFD)
        except OSError:
            continue
        descriptors.append(number)
    return {"environment": dict(os.environ), "descriptors": descriptors, "home": os.listdir(os.environ["HOME"])}


COMMANDS = {
    "write": write,
    "read": read,
    "link": link,
    "change": change,
    "usable": usable,
    "inherited": inherited,
}
