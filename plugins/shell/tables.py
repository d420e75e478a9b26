"""Reading tables of a TOML file, with what is wrong in them noted under its table and key."""

TEXTS = ([str], "a list of texts")
NUMBER = (int, "a whole number that is not negative")
SANDBOX = {
    "filesystem": {"read": TEXTS, "write": TEXTS, "scratch_mb": NUMBER},
    "network": {"mode": (str, "none, loopback-ports, proxy or full"), "allow": ([str, int], "a list of destinations or ports")},
    "limits": dict.fromkeys(
        ["memory_mb", "processes", "cpu_seconds", "wall_seconds", "file_mb", "open_files", "stdout_kb", "stderr_kb"], NUMBER
    ),
    "env": {"allow": TEXTS},
}
MODES = ["none", "loopback-ports", "proxy", "full"]


class Table:
    """A table, its path and what has been found to be wrong with it."""

    def __init__(self, path, values, problems):
        self.path, self.values, self.problems = path, values, problems

    def get(self, key):
        return self.values.get(key)

    def wrong(self, key, what):
        self.problems.append(f"{self.path}.{key} {what}" if self.path else f"{key} {what}")

    def only(self, keys):
        for key in self.values:
            if key not in keys:
                self.wrong(key, f"is not known; there are: {', '.join(keys)}")

    def value(self, key, kinds, expected, required=False):
        value = self.values.get(key)
        if value is None:
            if required:
                self.wrong(key, f"is missing: it must be {expected}")
            return None
        # True is an int to Python, and to nobody else.
        if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
            self.wrong(key, f"must be {expected}")
            return None
        return value

    def text(self, key, required=False):
        value = self.value(key, str, "a text", required)
        if value is not None and (not value.strip() or "\0" in value):
            self.wrong(key, "must be a text that says something")
            return None
        return value

    def texts(self, key):
        values = self.value(key, list, "a list of texts")
        if values is not None and not all(isinstance(value, str) for value in values):
            self.wrong(key, "must be a list of texts")
            return None
        return values

    def choice(self, key, choices):
        value = self.value(key, str, " or ".join(choices))
        if value is not None and value not in choices:
            self.wrong(key, f"must be one of {', '.join(choices)}")
            return None
        return value

    def mapping(self, key, kinds):
        """A table of plain values, each of the kind that is listed for its key."""
        values = self.value(key, dict, "a table")
        for name, value in (values or {}).items():
            kind = kinds.get(name)
            if kind is None:
                self.wrong(f"{key}.{name}", f"is not known; there are: {', '.join(kinds)}")
            elif not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
                self.wrong(f"{key}.{name}", "is not of the type that it must be")
        return values

    def tables(self, key):
        """The tables below that key, with problems of their own where this is the root."""
        for name, values in (self.value(key, dict, "a table of tables") or {}).items():
            path = f"{self.path}.{key}.{name}" if self.path else f"{key}.{name}"
            if not isinstance(values, dict):
                self.problems.append(f"{path} must be a table")
                continue
            yield name, Table(path, values, self.problems if self.path else [])


def sandbox_problems(path, sandbox):
    """What the server would refuse all commands for."""
    problems = []
    for section, values in sandbox.items():
        keys = SANDBOX.get(section)
        if keys is None or not isinstance(values, dict):
            known = f"is not known; there are: {', '.join(SANDBOX)}" if keys is None else "must be a table"
            problems.append(f"{path}.{section} {known}")
            continue
        for key, value in values.items():
            if key not in keys:
                problems.append(f"{path}.{section}.{key} is not known; there are: {', '.join(keys)}")
            elif not fits(value, keys[key][0]):
                problems.append(f"{path}.{section}.{key} must be {keys[key][1]}")
    network = sandbox.get("network")
    if isinstance(network, dict):
        mode, allow = network.get("mode"), network.get("allow")
        if mode is None or (isinstance(mode, str) and mode not in MODES):
            problems.append(f"{path}.network.mode must be one of {', '.join(MODES)}")
        elif mode in ("loopback-ports", "proxy") and not allow:
            problems.append(f"{path}.network.allow is missing: it lists what {mode} may reach")
    for key in ("read", "write"):
        files = sandbox.get("filesystem")
        paths = files.get(key) if isinstance(files, dict) else None
        for name in paths if fits(paths, [str]) else []:
            if not name.startswith("/") or ".." in name.split("/"):
                problems.append(f"{path}.filesystem.{key} has {name!r}, but must have absolute paths without ..")
    return problems


def fits(value, kind):
    if isinstance(kind, list):
        return isinstance(value, list) and all(any(fits(element, one) for one in kind) for element in value)
    return isinstance(value, kind) and not isinstance(value, bool) and (kind is not int or value >= 0)
