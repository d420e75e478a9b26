"""What attacks are made of."""

import ctypes
import errno
import platform

LIBC = ctypes.CDLL(None, use_errno=True)

# Numbers of system calls: x86_64, aarch64.
NUMBERS = {
    "add_key": (248, 217),
    "bpf": (321, 280),
    "capget": (125, 90),
    "chroot": (161, 51),
    "clone": (56, 220),
    "clone3": (435, 435),
    "fanotify_init": (300, 262),
    "fchmodat2": (452, 452),
    "init_module": (175, 105),
    "io_uring_setup": (425, 425),
    "kcmp": (312, 272),
    "keyctl": (250, 219),
    "mknodat": (259, 33),
    "mount": (165, 40),
    "msgget": (68, 186),
    "open_by_handle_at": (304, 265),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "pivot_root": (155, 41),
    "prlimit64": (302, 261),
    "process_vm_readv": (310, 270),
    "ptrace": (101, 117),
    "renameat2": (316, 276),
    "sched_setscheduler": (144, 119),
    "semget": (64, 190),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "setpriority": (141, 140),
    "setxattrat": (463, 463),
    "shmget": (29, 194),
    "swapon": (167, 224),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}


def attempt(act, *arguments):
    """Do it; "done", or the name of the error."""
    try:
        act(*arguments)
    except OSError as error:
        return name_of(error.errno)
    except MemoryError:
        return "ENOMEM"
    return "done"


def name_of(number):
    return errno.errorcode.get(number, str(number))


def syscall(name, *arguments):
    """Make a system call; its result, or OSError. Arguments are numbers, bytes or pointers."""
    number = NUMBERS[name][platform.machine() == "aarch64"]
    fitting = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result = LIBC.syscall(ctypes.c_long(number), *fitting)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, name)
    return result
