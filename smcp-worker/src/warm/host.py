"""Waits in a plugin's sandbox with the plugin's imports done, and forks for each call.

The fork waits for its call and runs the plugin's file, read anew, as `python cli.py` would. Nothing of a call is ever
in this process's memory: only the fork reads the request. Modules are used here only where a plain start of Python has
them or C has written them (and ctypes), so that the plugin finds in `sys.modules` what it has imported itself.

Messages are datagrams of fields that end with a zero byte; `control.rs` beside this file says which there are.
"""

import _frozen_importlib_external as external
import _signal
import _socket
import _weakref
import atexit
import builtins
import ctypes
import gc
import marshal
import os
import select
import sys

# Of linux/landlock.h, linux/prctl.h and linux/socket.h; the same on every architecture.
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446
FS_REFER, FS_MAKE_CHAR, SCOPE_SIGNAL = 1 << 13, 1 << 6, 1 << 1
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38
SOL_SOCKET, SCM_RIGHTS = 1, 1
DESCRIPTORS = 4

# What these register is run by each fork at its end, as by any other process.
HARMLESS_AT_EXIT = {"concurrent.futures.thread", "logging", "multiprocessing.util"}

libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """The plugin must be started anew for each call, and why."""


def main():
    control = int(os.environ.pop("SMCP_CONTROL_FD"))
    unconfined = os.environ.pop("SMCP_WARM_UNCONFINED", None) == "1"
    events = int(os.environ["SMCP_EVENTS_FD"])
    os.set_inheritable(control, False)
    control = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, control)
    entry, scratch = sys.argv[1], sys.argv[2:]
    plugin = os.path.dirname(os.path.realpath(entry))
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = plugin
    try:
        host = Host(control, events, entry, plugin, scratch, unconfined)
    except Refused as refusal:
        send(control, "refused", *refusal.args)
        return
    paths = [os.path.join(sys.prefix, "pyvenv.cfg"), *filter(os.path.isdir, sys.path)]
    send(control, "ready", sys.version.split()[0], " ".join(host.imported), *paths)
    while host.serve():
        pass


def send(control, *values):
    control.send(fields(*values))


def fields(*values):
    return b"".join(os.fsencode(str(value)) + b"\0" for value in values)


class Host:
    def __init__(self, control, events, entry, plugin, scratch, unconfined):
        self.control, self.events, self.entry, self.scratch = control, events, entry, scratch
        self.cached = None, None
        if not hasattr(os, "pidfd_open"):
            raise Refused(f"Python {sys.version.split()[0]} is too old: 3.9 is needed")
        if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
            raise Refused("the system has no subreapers")
        self.ruleset = ruleset(unconfined)
        self.environment = dict(os.environb)
        self.imported = prepare(entry, plugin, scratch)
        os.chdir("/")
        sys.path_importer_cache.pop(plugin, None)
        self.code()
        self.modules = dict.fromkeys(sys.modules)
        libc.fflush(None)  # found once: a fork need not look for it
        gc.collect()
        gc.freeze()

    def serve(self):
        """One call; answers whether there may be another one."""
        self.code()
        taken, take = os.pipe()
        host = os.getpid()
        pid = os.fork()
        if not pid:
            os.close(taken)
            self.call(host, take)
        os.close(take)
        stopped = self.watch(pid, taken)
        if stopped is None:
            return False
        status = os.waitpid(pid, 0)[1]
        if os.WIFSIGNALED(status):
            how = "signal", os.WTERMSIG(status)
        else:
            how = "code", os.WEXITSTATUS(status)
        left = leaves_children()
        send(self.control, "ended", *how, int(stopped), int(left))
        if not left:
            dirty = [path for path in self.scratch if not emptied(path)]
            send(self.control, *(["soiled", dirty[0]] if dirty else ["clean"]))
        return True

    def watch(self, pid, taken):
        """Waits for the end of the fork; answers whether it was asked to stop before, or None where it had no call."""
        exited = os.pidfd_open(pid)
        poll = select.poll()
        poll.register(exited, select.POLLIN)
        poll.register(taken, 0)
        stopped = None
        while True:
            ready = [fd for fd, _ in poll.poll()]
            if taken in ready:
                # The fork has its call: from now on what the worker says is for this process.
                poll.unregister(taken)
                os.close(taken)
                poll.register(self.control.fileno(), select.POLLIN)
                stopped = False
            elif exited in ready:
                os.close(exited)
                return stopped
            else:
                if not self.control.recv(64):
                    os._exit(1)  # the worker is gone: the supervisor ends the fork
                os.killpg(pid, _signal.SIGTERM)
                os.killpg(pid, _signal.SIGCONT)
                stopped = True

    def code(self):
        """The plugin's file, compiled; None where compiling says something, which the call has to say."""
        try:
            with open(self.entry, "rb", 0) as file:
                stat = os.fstat(file.fileno())
                key = stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns
                if self.cached[0] != key:
                    self.cached = None, None
                    self.cached = key, aside(lambda: compiled(file.readall(), self.entry))
        except Exception:
            return None
        return self.cached[1]

    def call(self, host, take):
        """What the fork does: it waits for a call and runs it. It never returns."""
        try:
            # It must not take a call that nobody will report the end of.
            libc.prctl(PR_SET_PDEATHSIG, _signal.SIGKILL, 0, 0, 0)
            if os.getppid() != host:
                os._exit(1)
            os.setpgid(0, 0)
            if self.ruleset is not None:
                libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
                if libc.syscall(LANDLOCK_RESTRICT_SELF, self.ruleset, 0):
                    raise OSError(ctypes.get_errno(), "landlock_restrict_self")
                os.close(self.ruleset)
            namespace = main_module(self.entry)
            self.rehearse()
            stdout, stderr, events, request = self.receive()
            os.close(take)
            cwd, argv, files, environment = read_request(request)
            os.dup2(stdout, 1)
            os.dup2(stderr, 2)
            os.dup2(events, self.events)
            for fd in (stdout, stderr, events, request):
                os.close(fd)
            self.take_over(environment)
            try:
                os.chdir(cwd)
            except FileNotFoundError:
                os.makedirs(cwd, 0o700)
                os.chdir(cwd)
            for path, text in files:
                write_secret(path, text)
            sys.argv = [self.entry, *argv]
            if hasattr(sys, "orig_argv"):
                sys.orig_argv = [sys.orig_argv[0], *sys.argv]
            if "tempfile" in sys.modules:
                sys.modules["tempfile"].tempdir = None
            if "numpy.random" in sys.modules:
                sys.modules["numpy.random"].seed()
            code = self.code()
            if code is None:
                with open(self.entry, "rb") as file:
                    code = file.read()
            send(self.control, "started", os.getpid())
            self.control.close()
        except BaseException:
            os._exit(1)  # without a start: the worker runs the plugin in another way
        status = run(code, self.entry, namespace)
        del namespace, code
        finish(status, self.modules)

    def rehearse(self):
        """Touches what a call needs: a fork gets its own copy of each page at its first touch, which takes time."""
        request = os.memfd_create("rehearsal")
        os.write(request, b"/\0" b"1\0" b"0\0" b"word\0" b"NAME=value\0")
        *_, environment = read_request(request)
        os.close(request)
        self.take_over({name: value for name, value in self.environment.items() if name not in environment})
        self.code()
        fields(0)
        flush_standard_streams()
        gc.collect()

    def receive(self):
        """The descriptors of the next call."""
        while True:
            data, ancillary, _, _ = self.control.recvmsg(64, _socket.CMSG_SPACE(DESCRIPTORS * 4))
            if not data:
                os._exit(0)  # the worker is gone
            if ancillary:
                return memoryview(ancillary[0][2]).cast("i").tolist()
            # A stop that came after the end.

    def take_over(self, environment):
        """Adds what a call has of its own to the environment, which Python and the imports may have changed."""
        for name, value in environment.items():
            if value != self.environment.get(name):
                os.environb[name] = value


def aside(do):
    """What `do` answers in a process of its own: memory that this one has used once costs each fork time."""
    theirs, ours = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            with open(ours, "wb") as file:
                marshal.dump(do(), file)
        finally:
            os._exit(0)
    os.close(ours)
    try:
        with open(theirs, "rb") as file:
            return marshal.load(file)
    finally:
        os.waitpid(pid, 0)


def compiled(source, entry):
    """A plugin's file, compiled; None where compiling says something."""
    code, said = silently(lambda: compile(source, entry, "exec", dont_inherit=True))
    return None if said else code


def wanted_by(entry, plugin):
    """What a plugin imports from elsewhere, in its file and in the modules of its own that this imports; or why nothing."""
    wanted, own = [], [entry]
    for path in own:
        try:
            tree, _ = silently(lambda: tree_of(path))
        except (OSError, SyntaxError, ValueError) as error:
            if path == entry:
                return [], str(error)
            continue  # the call will say so
        for name, parts in imports(tree):
            spec = external.PathFinder.find_spec(name.partition(".")[0], [plugin])
            if spec is None:
                wanted.append((name, parts))
            elif (spec.origin or "").endswith(".py") and spec.origin not in own:
                own.append(spec.origin)
    return wanted, None


def tree_of(path):
    with open(path, "rb", 0) as file:
        return compile(file.readall(), path, "exec", 0x400, dont_inherit=True)  # PyCF_ONLY_AST


def prepare(entry, plugin, scratch):
    """Does the plugin's imports, as far as a fork can inherit what they do, and answers their names. Raises Refused."""
    wanted, error = aside(lambda: wanted_by(entry, plugin))
    if error is not None:
        raise Refused(f"its file cannot be compiled: {error}")
    at_start = set(sys.modules)
    places = [os.getcwd(), *scratch]
    before = surroundings(places)
    registered = []
    register = atexit.register

    def note(callback, *args, **kwargs):
        registered.append(getattr(callback, "__module__", None))
        return register(callback, *args, **kwargs)

    atexit.register = note
    try:
        loaded, said = silently(lambda: load(wanted))
    finally:
        atexit.register = register
    reasons = []
    if said:
        reasons.append("its imports print something")
    strange = {str(module) for module in registered if module not in HARMLESS_AT_EXIT}
    if strange:
        reasons.append(f"its imports register something to do at exit ({', '.join(sorted(strange))})")
    after = surroundings(places)
    reasons += [what for what in before if before[what] != after[what]]
    new = {name.partition(".")[0] for name in set(sys.modules) - at_start}
    hidden = sorted(name for name in new if is_local(name, plugin))
    reasons += [f"its own module {name} hides another one" for name in hidden]
    if reasons:
        raise Refused(*reasons)
    return loaded


def surroundings(places):
    """What imports must not change, since a fork would share it with others or would not have it."""
    threads = sys.modules.get("threading")
    mask = os.umask(0o077)
    os.umask(mask)
    try:
        native = len(os.listdir("/proc/self/task"))
        files = [sorted(os.listdir(path)) for path in places]
        fds = {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if is_open(fd)}
    except OSError as error:
        raise Refused(f"what its imports leave behind cannot be seen: {error}") from None
    return {
        "its imports start threads": (native, threads.active_count() if threads else 1),
        "its imports open files": fds,
        "its imports leave files": files,
        "its imports start processes": leaves_children(),
        "its imports handle signals": [_signal.getsignal(number) for number in range(1, _signal.NSIG)],
        "its imports change the working directory": os.getcwd(),
        "its imports change the umask": mask,
    }


def is_open(fd):
    """Whether it is still open: the descriptor of the listing itself is not."""
    try:
        os.fstat(int(fd))
        return True
    except OSError:
        return False


def silently(do):
    """What `do` answers, and whether it wrote to standard output or standard error."""
    sink = os.memfd_create("said")
    kept = os.dup(1), os.dup(2)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    try:
        answer = do()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    finally:
        os.dup2(kept[0], 1)
        os.dup2(kept[1], 2)
        said = os.fstat(sink).st_size > 0
        for fd in (sink, *kept):
            os.close(fd)
    return answer, said


def imports(tree):
    """The imports at the top of a file, up to the first statement that might have an effect on those after it."""
    found = []
    gather(tree.body, found)
    return found


def gather(body, found):
    """Adds the imports of `body` to `found`; answers whether more may be looked for after it."""
    for node in body:
        kind = type(node).__name__
        if kind == "Import":
            found += [(alias.name, ()) for alias in node.names]
        elif kind == "ImportFrom":
            if node.level == 0 and node.module != "__future__":
                found.append((node.module, tuple(alias.name for alias in node.names)))
        elif kind in ("Try", "TryStar"):
            for handler in node.handlers:
                gather(handler.body, found)
            if not all(gather(part, found) for part in (node.body, node.orelse, node.finalbody)):
                return False
        elif kind == "If":
            tested = set(names(node.test))
            if "()" in tested:
                return False
            if "__name__" in tested:
                continue
            branches = [node.orelse] if "TYPE_CHECKING" in tested else [node.body, node.orelse]
            if not all(gather(part, found) for part in branches):
                return False
        elif kind in ("Assign", "AnnAssign"):
            targets = node.targets if kind == "Assign" else [node.target]
            if "()" in names(node) or any(type(target).__name__ != "Name" for target in targets):
                return False
        elif kind == "Expr":
            if type(node.value).__name__ != "Constant":
                return False
        elif kind not in ("FunctionDef", "AsyncFunctionDef", "ClassDef", "Pass"):
            return False
    return True


def names(node):
    """The names and attributes in an expression, and `()` where it calls something."""
    kind = type(node).__name__
    if kind == "Name":
        yield node.id
    elif kind == "Attribute":
        yield node.attr
    elif kind in ("Call", "Await", "NamedExpr"):
        yield "()"
    for field in getattr(node, "_fields", ()):
        value = getattr(node, field, None)
        for part in value if isinstance(value, list) else [value]:
            if hasattr(part, "_fields"):
                yield from names(part)


def load(wanted):
    loaded = []
    for name, parts in wanted:
        if not is_found(name.partition(".")[0]):
            continue  # what is missing may be expected to be
        try:
            __import__(name, {}, {}, parts)
        except BaseException as error:
            raise Refused(f"importing {name} fails: {type(error).__name__}: {error}") from None
        if name not in loaded:
            loaded.append(name)
    return loaded


def is_local(top, plugin):
    return external.PathFinder.find_spec(top, [plugin]) is not None


def is_found(top):
    if top in sys.modules:
        return True
    return any(finder.find_spec(top, None) for finder in sys.meta_path)


def ruleset(unconfined):
    """A Landlock ruleset that takes nothing from a fork but the reach to this process."""
    abi = libc.syscall(LANDLOCK_CREATE_RULESET, None, 0, 1)
    if abi < 1:
        if unconfined:
            return None
        raise Refused("the system has no Landlock, which would keep calls apart")
    # Moving files between directories is denied by every ruleset that does not allow it.
    handled = FS_REFER if abi >= 2 else FS_MAKE_CHAR
    fields = [handled] + [0] * (abi >= 4) + [SCOPE_SIGNAL] * (abi >= 6)
    attributes = (ctypes.c_uint64 * len(fields))(*fields)
    fd = libc.syscall(LANDLOCK_CREATE_RULESET, attributes, ctypes.sizeof(attributes), 0)
    if fd < 0:
        raise Refused(f"Landlock fails: {os.strerror(ctypes.get_errno())}")
    if abi >= 2:
        root = os.open("/", os.O_PATH | os.O_CLOEXEC)
        rule = FS_REFER.to_bytes(8, sys.byteorder) + root.to_bytes(4, sys.byteorder)
        failed = libc.syscall(LANDLOCK_ADD_RULE, fd, 1, rule, 0)
        os.close(root)
        if failed:
            raise Refused(f"Landlock fails: {os.strerror(ctypes.get_errno())}")
    return fd


def read_request(fd):
    """The working directory, the arguments, the files and the environment; numbers of the second and third come first."""
    size = os.fstat(fd).st_size
    data = b""
    while len(data) < size:
        data += os.pread(fd, size - len(data), len(data))
    cwd, words, pairs, *strings = data.split(b"\0")[:-1]
    words, pairs = int(words), 2 * int(pairs)
    arguments = [os.fsdecode(word) for word in strings[:words]]
    files = strings[words : words + pairs]
    environment = dict(pair.split(b"=", 1) for pair in strings[words + pairs :])
    return os.fsdecode(cwd), arguments, list(zip(files[::2], files[1::2])), environment


def write_secret(path, text):
    """A file that the call alone can read; it goes with the rest of its directory."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400)
    try:
        while text:
            text = text[os.write(fd, text) :]
    finally:
        os.close(fd)


def main_module(path):
    module = type(sys)("__main__")
    namespace = module.__dict__
    namespace["__loader__"] = external.SourceFileLoader("__main__", path)
    if sys.version_info < (3, 14):
        namespace["__annotations__"] = {}
    namespace["__builtins__"] = builtins
    namespace["__file__"] = path
    namespace["__cached__"] = None
    sys.modules["__main__"] = module
    return namespace


def run(code, path, namespace):
    """Runs the plugin; answers its exit status, or None where it died of an interrupt."""
    try:
        if isinstance(code, bytes):
            code = compile(code, path, "exec", dont_inherit=True)
        exec(code, namespace)
        return 0
    except SystemExit as end:
        return exit_status(end)
    except BaseException as error:
        # Without this function's own frame, as nobody who reads the traceback knows it.
        uncaught = error.with_traceback(error.__traceback__.tb_next)
    return report(uncaught)


def exit_status(end):
    status = end.code
    if status is None:
        return 0
    if isinstance(status, int):
        return status & 0xFF if -(1 << 63) <= status < 1 << 63 else 0xFF
    if sys.stderr is not None:
        try:
            sys.stderr.write(f"{status}\n")
        except Exception:
            pass
    return 1


def report(error):
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__
    sys.last_exc = error
    try:
        sys.excepthook(type(error), error, error.__traceback__)
    except SystemExit as end:
        return exit_status(end)
    except BaseException as second:
        second = second.with_traceback(second.__traceback__.tb_next)
        os.write(2, b"Error in sys.excepthook:\n")
        sys.__excepthook__(type(second), second, second.__traceback__)
        os.write(2, b"\nOriginal exception was:\n")
        sys.__excepthook__(type(error), error, error.__traceback__)
    return None if type(error) is KeyboardInterrupt else 1


def finish(status, known):
    """Ends as an interpreter does, but for what it would take apart only to give its memory back."""
    threading = sys.modules.get("threading")
    if threading:
        try:
            threading._shutdown()
        except BaseException:
            pass
    try:
        atexit._run_exitfuncs()
    except BaseException:
        pass  # it has printed the error; later versions raise none
    failed = flush_standard_streams()
    # Objects of the plugin may do something when they go, and files write what they still hold. What is in cycles goes
    # in another order after this, which lets files of the modules write before they are closed.
    if gc.isenabled():
        gc.collect()
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        sys.__dict__.pop(name, None)
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    own = []
    for name in added(known):
        module = sys.modules.pop(name, None)
        if type(module) is type(sys):
            own.append(_weakref.ref(module))
    module = None
    gc.collect()
    is_left = False
    for reference in reversed(own):
        module = reference()
        if module is not None:
            clear(module.__dict__)
            is_left = True
    module = None
    if is_left:
        gc.collect()
    for thing in gc.get_objects():
        if type(thing).__module__ == "_io" and hasattr(thing, "write"):
            try:
                thing.flush()
            except Exception:
                pass
    failed = flush_standard_streams() or failed
    libc.fflush(None)
    if status is None:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
        os.kill(os.getpid(), _signal.SIGINT)
    os._exit(120 if failed else status)


def added(known):
    """The names of the plugin's modules. It looks at the others only where these do not come after all of them, as where
    the plugin has taken some out of `sys.modules` and put them back."""
    names, name = [], None
    walk, tail = reversed(sys.modules), reversed(known)
    for name in walk:
        if name in known:
            break
        names.append(name)
    is_last = name == next(tail) and next(walk, None) == next(tail)
    if is_last and len(sys.modules) - len(names) == len(known):
        return ["__main__", *reversed(names)]
    return [name for name in sys.modules if name not in known or name == "__main__"]


def clear(namespace):
    """Empties the namespace of a module in the order of the interpreter: private names first."""
    for private in (True, False):
        for name in list(namespace):
            is_private = name.startswith("_") and not name.startswith("__")
            if is_private == private and name != "__builtins__":
                namespace[name] = None


def flush_standard_streams():
    failed = False
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name, None)
        if stream is None or getattr(stream, "closed", False):
            continue
        try:
            stream.flush()
        except Exception as error:
            failed = True
            if name == "stdout":
                os.write(2, f"Exception ignored in: {stream!r}\n{type(error).__name__}: {error}\n".encode())
    return failed


def leaves_children():
    """Whether a process lives of which this one is the parent, by birth or by adoption."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return True
        except ChildProcessError:
            return False


def is_removable(entry, device):
    """Whether it can be of a call: not mounted, nor made by somebody else, as what a mount lies in may be."""
    stat = entry.stat(follow_symlinks=False)
    return stat.st_dev == device and stat.st_uid == os.getuid()


def emptied(path, device=None):
    """Removes what is in a directory, but for what is mounted there; answers whether that could be done."""
    try:
        device = device or os.stat(path).st_dev
        clean = True
        with os.scandir(path) as entries:
            for entry in entries:
                if not is_removable(entry, device):
                    continue
                if not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry.path)
                    continue
                os.chmod(entry.path, 0o700)
                clean = emptied(entry.path, device) and clean
                try:
                    os.rmdir(entry.path)
                except OSError:
                    clean = clean and any_mount(entry.path, device)
        return clean
    except FileNotFoundError:
        return True
    except (OSError, RecursionError):
        return False


def any_mount(path, device):
    for directory, below, files in os.walk(path):
        if any(os.lstat(os.path.join(directory, name)).st_dev != device for name in [*below, *files]):
            return True
    return False


main()
