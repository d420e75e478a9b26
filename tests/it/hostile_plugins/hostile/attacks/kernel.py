"""The kernel, and privileges."""

import ctypes
import mmap
import os
import platform
import subprocess

from . import LIBC, attempt, syscall

NEWUSER, NEWNS = 0x10000000, 0x00020000
SIGCHLD = 17
GET_NO_NEW_PRIVS, GET_SECCOMP = 39, 21
BLOCK_DEVICE = 0o60600
X32_BIT = 0x40000000
X32_GETPID = X32_BIT | 39
# mov eax, 20 (getpid); int 0x80; ret
INT80 = b"\xb8\x14\x00\x00\x00\xcd\x80\xc3"


def calls(_plan):
    """System calls that no plugin has a use for."""
    arguments = (ctypes.c_uint64 * 11)(NEWUSER, 0, 0, 0, SIGCHLD)
    return {
        "unshare user": attempt(syscall, "unshare", NEWUSER),
        "unshare mounts": attempt(syscall, "unshare", NEWNS),
        "clone3 user": attempt(forked, syscall, "clone3", arguments, ctypes.sizeof(arguments)),
        "clone user": attempt(forked, syscall, "clone", NEWUSER | SIGCHLD, 0, 0, 0, 0),
        "mount": attempt(syscall, "mount", b"none", os.environ["HOME"].encode(), b"tmpfs", 0, 0),
        "setns": attempt(syscall, "setns", os.open("/dev/null", os.O_RDONLY), 0),
        "io_uring_setup": attempt(syscall, "io_uring_setup", 1, ctypes.create_string_buffer(120)),
        "bpf": attempt(syscall, "bpf", 0, ctypes.create_string_buffer(128), 128),
        "keyctl": attempt(syscall, "keyctl", 0, -3, 0),
        "add_key": attempt(syscall, "add_key", b"user", b"hostile", b"1", 1, -2),
        "userfaultfd": attempt(syscall, "userfaultfd", 1),
        "perf_event_open": attempt(syscall, "perf_event_open", ctypes.create_string_buffer(128), 0, -1, -1, 0),
        "chroot": attempt(syscall, "chroot", b"/"),
        "pivot_root": attempt(syscall, "pivot_root", b".", b"."),
        "open_by_handle_at": attempt(syscall, "open_by_handle_at", -100, ctypes.create_string_buffer(32), 0),
        "mknod": attempt(syscall, "mknodat", -100, b"device", BLOCK_DEVICE, 0x0801),
        "fanotify_init": attempt(syscall, "fanotify_init", 0, 0),
        "init_module": attempt(syscall, "init_module", b"", 0, b""),
        "sethostname": attempt(syscall, "sethostname", b"hostile", 7),
        "ptrace": attempt(syscall, "ptrace", 0, 0, 0, 0),
    }


def forked(call, *arguments):
    """A call that makes a child where it succeeds."""
    if call(*arguments) == 0:
        os._exit(0)


def privileges(plan):
    """Become somebody else."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    capabilities = (ctypes.c_uint32 * 6)()
    syscall("capget", header, capabilities)
    achieved = {
        "uid": os.getresuid(),
        "gid": os.getresgid(),
        "groups": os.getgroups(),
        "capabilities": list(capabilities),
        "no_new_privs": LIBC.prctl(GET_NO_NEW_PRIVS, 0, 0, 0, 0),
        "seccomp": LIBC.prctl(GET_SECCOMP, 0, 0, 0, 0),
        "attempts": {
            "setuid": attempt(os.setuid, 0),
            "setresuid": attempt(os.setresuid, 0, 0, 0),
            "setgid": attempt(os.setgid, 0),
            "setgroups": attempt(os.setgroups, [0]),
            "nice": attempt(os.setpriority, os.PRIO_PROCESS, 0, -20),
        },
    }
    if plan.get("setuid"):
        ran = subprocess.run([plan["setuid"], "-u"], capture_output=True, text=True)
        achieved["setuid program"] = ran.stdout.strip() or ran.stderr.strip()
    if platform.machine() == "x86_64":
        achieved["attempts"]["x32"] = attempt(by_x32)
        achieved["attempts"]["int 0x80"] = by_int80()
    return achieved


def by_x32():
    if LIBC.syscall(ctypes.c_long(X32_GETPID)) < 0:
        raise OSError(ctypes.get_errno(), "x32")


def by_int80():
    """In a child, as it kills: the name of the signal, or "done" where the call was made."""
    child = os.fork()
    if child == 0:
        memory = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        memory.write(INT80)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        os._exit(0 if ctypes.CFUNCTYPE(ctypes.c_int)(address)() == os.getpid() else 1)
    status = os.waitpid(child, 0)[1]
    return f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else "done"


COMMANDS = {"calls": calls, "privileges": privileges}
