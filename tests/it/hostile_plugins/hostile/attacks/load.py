"""Using more than is granted."""

import os
import resource
import signal
import time

from . import attempt, name_of

MIB = 1 << 20
BOMBS = 400


def bomb(plan):
    """Fork until that fails, 400 times at most; hold what there is until the gate is there."""
    waiting, release = os.pipe()
    children, failure = [], None
    for _ in range(BOMBS):
        try:
            child = os.fork()
        except OSError as error:
            failure = name_of(error.errno)
            break
        if child == 0:
            os.close(release)
            os.read(waiting, 1)
            os._exit(0)
        children.append(child)
    with open(plan["gate"] + ".forked", "w") as file:
        file.write(str(len(children)))
    while not os.path.exists(plan["gate"]):
        time.sleep(0.005)
    os.close(release)
    for child in children:
        os.waitpid(child, 0)
    return {"children": len(children), "failure": failure}


def fork(_plan):
    """Fork once."""

    def once():
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)

    return {"fork": attempt(once)}


def flood(plan):
    """Print so many bytes without a line's end to a descriptor."""
    chunk = b"x" * MIB
    for _ in range(plan["mib"]):
        os.write(plan["to"], chunk)


def mute(plan):
    """Close standard output and error, and go on."""
    for number in (1, 2):
        os.close(number)
    open(plan["ready"], "w").close()
    while True:
        time.sleep(60)


def allocate(plan):
    """More memory than there may be."""
    bytearray(plan["mib"] * MIB)
    return {"allocated": plan["mib"]}


def crowd(plan):
    """Several processes with so much memory each, all at a time."""
    ready, tell = os.pipe()
    waiting, release = os.pipe()
    children = []
    for _ in range(plan["count"]):
        child = os.fork()
        if child == 0:
            os.close(release)
            kept = bytearray(b"x") * (plan["mib"] * MIB)
            os.write(tell, b"y")
            os.read(waiting, 1)
            del kept
            os._exit(0)
        children.append(child)
    os.close(tell)
    count = 0
    while count < plan["count"] and (told := os.read(ready, 1)):
        count += told == b"y"
    os.close(release)
    for child in children:
        os.waitpid(child, 0)
    return {"together": count}


def spin(plan):
    """Use the processor, in so many children at a time, or in this process."""
    children = []
    for _ in range(plan["children"]):
        child = os.fork()
        if child == 0:
            burn()
        children.append(child)
    if not children:
        burn()
    ends = [os.waitpid(child, 0)[1] for child in children]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "signals": [os.WTERMSIG(end) if os.WIFSIGNALED(end) else 0 for end in ends],
        "seconds": used.ru_utime + used.ru_stime,
    }


def burn():
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    while True:
        pass


def disk(plan):
    """Write one large file, and many small ones, into the scratch directory."""
    home = os.environ["HOME"]
    one = os.path.join(home, "one")
    written, failure = 0, None
    with open(one, "wb", buffering=0) as file:
        try:
            while written < plan["one_mib"]:
                file.write(b"x" * MIB)
                written += 1
        except OSError as error:
            failure = name_of(error.errno)
        grown = attempt(file.truncate, plan["one_mib"] * MIB)
    os.unlink(one)
    many = {"files": 0, "failure": None}
    try:
        for number in range(plan["files"]):
            with open(os.path.join(home, str(number)), "wb", buffering=0) as file:
                if file.write(b"x" * plan["bytes"]) < plan["bytes"]:
                    raise OSError(28, "short")
            many["files"] += 1
    except OSError as error:
        many["failure"] = name_of(error.errno)
    return {"one": {"mib": written, "failure": failure, "grown": grown}, "many": many}


COMMANDS = {
    "bomb": bomb,
    "fork": fork,
    "flood": flood,
    "mute": mute,
    "allocate": allocate,
    "crowd": crowd,
    "spin": spin,
    "disk": disk,
}
