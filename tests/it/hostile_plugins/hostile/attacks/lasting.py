"""Outliving the call. Every process holds the lock that was taken first, so that a test sees when the last one is gone."""

import fcntl
import os
import signal
import sys
import time

from . import attempt, syscall

IPC_CREAT, IPC_PRIVATE = 0o1000, 0


def hold(plan):
    """Take the lock; whatever is forked from now on holds it, too."""
    lock = os.open(plan["lock"], os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def deaf():
    for number in set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
        attempt(signal.signal, number, signal.SIG_IGN)


def forever():
    while True:
        time.sleep(60)


def fork(act):
    """A child that does nothing else."""
    child = os.fork()
    if child == 0:
        try:
            act()
        finally:
            os._exit(0)
    return child


def daemon():
    """A process that nobody is the parent of, in a session of its own, and deaf."""

    def second():
        os.setsid()
        fork(rest)

    def rest():
        deaf()
        for number in range(3):
            os.close(number)
        forever()

    os.waitpid(fork(second), 0)


def stopped():
    """A child that has stopped, with one below it that has ended and is never waited for."""

    def stop():
        deaf()
        fork(lambda: None)
        os.kill(os.getpid(), signal.SIGSTOP)
        forever()

    os.waitpid(fork(stop), os.WUNTRACED)


def chain():
    """A process that makes another one in a session of its own and ends, again and again."""

    def link():
        deaf()
        while True:
            attempt(os.setsid)
            try:
                if os.fork():
                    os._exit(0)
            except OSError:
                time.sleep(0.001)

    fork(link)


def leave(plan):
    """Leave behind what the plan names, and end."""
    hold(plan)
    prepare(plan)
    return {"left": plan["leave"]}


def linger(plan):
    """The same, and do not end, nor listen to anybody who asks for it."""
    hold(plan)
    deaf()
    prepare(plan)
    forever()


def stay(plan):
    """The same, and end when the gate is there."""
    hold(plan)
    prepare(plan)
    print("staying", file=sys.stderr, flush=True)
    while not os.path.exists(plan["gate"]):
        time.sleep(0.005)
    return {"stayed": True}


def prepare(plan):
    kinds = {"daemon": daemon, "stopped": stopped, "chain": chain}
    for kind in plan["leave"]:
        # What was left before may leave no room for more.
        attempt(kinds[kind])
    open(plan["lock"] + ".ready", "w").close()


def segments(_plan):
    """Memory and queues of the kernel's that belong to no process."""
    return {
        "shared memory": attempt(syscall, "shmget", IPC_PRIVATE, 1 << 20, IPC_CREAT | 0o600),
        "semaphores": attempt(syscall, "semget", IPC_PRIVATE, 1, IPC_CREAT | 0o600),
        "messages": attempt(syscall, "msgget", IPC_PRIVATE, IPC_CREAT | 0o600),
    }


COMMANDS = {"leave": leave, "linger": linger, "stay": stay, "segments": segments}
