"""Reads a file of settings strictly: what is wrong is told with the name of its table and key."""

import difflib
import re

# {version} and the like; what else is in braces, such as {{.Names}}, is left as it is.
PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
PLACEHOLDERS = {"app", "environment", "version", "release", "directory", "root"}


class Wrong(Exception):
    """What is wrong with the file, and where."""


class Fields:
    """The keys of one table, each of which is read once. `origin` names the tables of keys that come from elsewhere."""

    def __init__(self, path, table, origin=None):
        if not isinstance(table, dict):
            raise Wrong(f"{path} must be a table")
        self.path, self.table, self.origin, self.known = path, table, origin or {}, set()

    def place(self, key):
        return f"{self.origin.get(key, self.path)}.{key}".lstrip(".")

    def has(self, key):
        return key in self.table

    def take(self, key, kinds, expected, default):
        self.known.add(key)
        value = self.table.get(key, default)
        # In Python, True is a number.
        is_kind = isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
        if key in self.table and not is_kind:
            raise Wrong(f"{self.place(key)} must be {expected}, but is {value!r}")
        return value

    def need(self, key, why=""):
        if key not in self.table:
            raise Wrong(f"{self.place(key)} is missing{why}")

    def text(self, key, default=None, placeholders=()):
        value = self.take(key, (str,), "a text", default)
        if key in self.table:
            if not value:
                raise Wrong(f"{self.place(key)} is empty")
            self.check(key, value, placeholders)
        return value

    def path_of(self, key, placeholders=()):
        """An absolute path without `..`: it is granted by its name."""
        value = self.text(key, placeholders=placeholders)
        if value is not None:
            self.check_path(key, value)
            value = value.rstrip("/") or "/"
        return value

    def paths(self, key):
        values = self.texts(key)
        for value in values:
            self.check_path(key, value)
        return values

    def check_path(self, key, value):
        if not value.startswith("/") or ".." in value.split("/"):
            raise Wrong(f"{self.place(key)} must be an absolute path without '..', but is {value!r}")

    def below(self, key):
        """Paths within a release."""
        values = [value.rstrip("/") for value in self.texts(key)]
        for value in values:
            if value.startswith("/") or any(part in ("", ".", "..") for part in value.split("/")):
                raise Wrong(f"{self.place(key)} must be paths within the release, but one is {value!r}")
        return values

    def whole(self, key, default, least):
        value = self.take(key, (int,), "a whole number", default)
        if value < least:
            raise Wrong(f"{self.place(key)} must be at least {least}, but is {value}")
        return value

    def seconds(self, key, default, least=0.0):
        value = self.take(key, (int, float), "a number of seconds", default)
        if not least <= value <= 86_400:
            raise Wrong(f"{self.place(key)} must be between {least:g} and 86400 seconds, but is {value}")
        return value

    def texts(self, key, placeholders=()):
        values = self.take(key, (list,), "a list of texts", [])
        for value in values:
            if not isinstance(value, str) or not value:
                raise Wrong(f"{self.place(key)} must be a list of texts, but has {value!r}")
            self.check(key, value, placeholders)
        return values

    def command(self, key, placeholders=()):
        """One command: its program and its arguments."""
        words = self.texts(key, placeholders)
        if key in self.table and not words:
            raise Wrong(f"{self.place(key)} is empty: the name of a program is needed")
        return words

    def commands(self, key, placeholders=()):
        """Commands that are run one after the other."""
        lists = self.take(key, (list,), "a list of commands", [])
        for at, words in enumerate(lists):
            if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
                raise Wrong(
                    f"{self.place(key)}[{at}] must be a list of texts such as [\"make\", \"html\"]; there "
                    "is no shell"
                )
            for word in words:
                self.check(f"{key}[{at}]", word, placeholders)
        return lists

    def check(self, key, value, placeholders):
        for name in PLACEHOLDER.findall(value):
            if name not in placeholders:
                known = ", ".join("{%s}" % name for name in sorted(placeholders)) or "none"
                raise Wrong(f"{self.place(key)} has the placeholder {{{name}}}, which does not exist there; there are: {known}")

    def inner(self, key):
        """A table in this one; empty where it is not there."""
        self.known.add(key)
        return Fields(self.place(key), self.table.get(key, {}))

    def end(self):
        """Refuses keys that nobody has read: a misspelt one would count for nothing."""
        for key in self.table:
            if key not in self.known:
                near = difflib.get_close_matches(key, self.known, 1)
                meant = f"; is '{near[0]}' meant?" if near else f"; there are: {', '.join(sorted(self.known))}"
                raise Wrong(f"{self.place(key)} does not exist{meant}")


def filled(text, values):
    """A text with its placeholders filled in."""
    return PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)
