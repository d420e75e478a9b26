"""Other processes: the worker, the supervisor, and whoever else there is."""

import ctypes
import fcntl
import os
import resource
import signal

from . import attempt, syscall

PTRACE_ATTACH, PTRACE_SEIZE = 16, 0x4206
F_SETSIG = 10
SECRET = b"hostile-secret"


def targets(plan):
    """By name; where it is asked for, also the parent."""
    return {who: os.getppid() if pid is None else pid for who, pid in plan["pids"].items()}


def snoop(plan):
    """Read what /proc tells of them."""

    def contents(path):
        with open(path, "rb") as file:
            file.read(1)

    achieved = {}
    for who, pid in targets(plan).items():
        at = f"/proc/{pid}"
        achieved[who] = {
            **{name: attempt(contents, f"{at}/{name}") for name in ("environ", "cmdline", "maps", "mem", "status")},
            **{name: attempt(os.listdir, f"{at}/{name}") for name in ("root", "cwd", "fd", "task")},
            "there": attempt(os.stat, at),
        }
    return achieved


def trace(plan):
    """Read their memory, and take their descriptors."""

    class Vector(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]

    def read_memory(pid):
        buffer = ctypes.create_string_buffer(8)
        local = Vector(ctypes.cast(buffer, ctypes.c_void_p), 8)
        remote = Vector(ctypes.cast(buffer, ctypes.c_void_p), 8)
        syscall("process_vm_readv", pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)

    def take_descriptor(pid):
        handle = syscall("pidfd_open", pid, 0)
        syscall("pidfd_getfd", handle, 0, 0)

    def open_memory(pid):
        os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR))

    return {
        who: {
            "ptrace attach": attempt(syscall, "ptrace", PTRACE_ATTACH, pid, 0, 0),
            "ptrace seize": attempt(syscall, "ptrace", PTRACE_SEIZE, pid, 0, 0),
            "process_vm_readv": attempt(read_memory, pid),
            "pidfd_getfd": attempt(take_descriptor, pid),
            "mem": attempt(open_memory, pid),
            "kcmp": attempt(syscall, "kcmp", pid, os.getpid(), 0, 0, 0),
        }
        for who, pid in targets(plan).items()
    }


def kill(plan):
    """Signal them, or starve them."""

    def by_handle(pid):
        handle = syscall("pidfd_open", pid, 0)
        syscall("pidfd_send_signal", handle, int(signal.SIGKILL), 0, 0)

    def by_pipe(pid):
        end, other = os.pipe()
        fcntl.fcntl(end, fcntl.F_SETOWN, pid)
        fcntl.fcntl(end, F_SETSIG, int(signal.SIGKILL))
        fcntl.fcntl(end, fcntl.F_SETFL, os.O_ASYNC)
        os.write(other, b"x")

    def starve(pid):
        new = (ctypes.c_uint64 * 2)(0, 0)
        syscall("prlimit64", pid, int(resource.RLIMIT_CPU), new, 0)

    achieved = {}
    for who, pid in targets(plan).items():
        attempts = {
            "SIGTERM": attempt(os.kill, pid, signal.SIGTERM),
            "SIGKILL": attempt(os.kill, pid, signal.SIGKILL),
            "pidfd": attempt(by_handle, pid),
            "prlimit": attempt(starve, pid),
            "priority": attempt(os.setpriority, os.PRIO_PROCESS, pid, 19),
            "affinity": attempt(os.sched_setaffinity, pid, {0}),
            "idle": attempt(os.sched_setscheduler, pid, os.SCHED_IDLE, os.sched_param(0)),
        }
        # Whether a signal of a descriptor went through is to be seen by its victim alone.
        attempt(by_pipe, pid)
        achieved[who] = attempts
    return achieved


COMMANDS = {"snoop": snoop, "trace": trace, "kill": kill}
