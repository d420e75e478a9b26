"""The apps file: what is deployed, where it comes from, and where to. docs/plugins/devops.md describes it."""

import os
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from fields import PLACEHOLDERS, Fields, Wrong
from smcp_plugin import Failure

try:
    import tomllib
except ImportError:
    tomllib = None

VARIABLE = "SMCP_DEVOPS_APPS"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# What a path of a source, and a command, may be filled with.
OF_SOURCE = {"app", "environment", "version"}
OF_COMMANDS = PLACEHOLDERS - {"directory"}


@dataclass
class Source:
    """Where a version comes from; one of `directory`, `archive` and `repository` is set."""

    directory: str = None
    archive: str = None
    strip: int = 0
    repository: str = None
    ref: str = None

    def paths(self):
        """What must be readable: of a path with placeholders, the directory above the first."""
        for path in filter(None, (self.directory, self.archive, self.repository)):
            yield path.partition("{")[0].rpartition("/")[0] or "/" if "{" in path else path

    def names_version(self):
        return any("{version}" in (text or "") for text in (self.directory, self.archive, self.ref))


@dataclass
class Health:
    """How to find out whether an app is healthy; one of `url` and `command` is set."""

    url: str = None
    statuses: list = None
    body: str = None
    command: list = None
    retries: int = 2
    interval: float = 2
    timeout: float = 5


@dataclass
class Needs:
    """What commands need of the machine besides; the operator grants it."""

    read: list = field(default_factory=list)
    write: list = field(default_factory=list)
    network: list = field(default_factory=list)
    env: list = field(default_factory=list)
    secrets: list = field(default_factory=list)


@dataclass
class Environment:
    """An app as it runs in one place."""

    app: str
    name: str
    strategy: str
    root: str
    keep: int
    timeout: float
    source: Source
    shared_directories: list
    shared_files: list
    before: list
    after: list
    deploy: list
    rollback: list
    health: Health
    needs: Needs
    # The secrets of other environments, which commands of this one do not get.
    hidden: set = field(default_factory=set)

    def values(self, **more):
        """What placeholders stand for."""
        return {"app": self.app, "environment": self.name, "root": self.root, **more}

    def needs_version(self):
        words = [word for command in self.deploy + self.before for word in command]
        return self.source.names_version() if self.source else any("{version}" in word for word in words)


class Apps:
    """What the apps file says."""

    def __init__(self, path, environments):
        self.path, self.environments = path, environments

    def find(self, app, environment):
        """An app's environment; `Failure` where the file does not have it."""
        if app not in self.environments:
            there = ", ".join(self.environments) or "none"
            raise Failure("unknown_app", f"there is no app '{app}' in {self.path}; there are: {there}")
        if environment not in self.environments[app]:
            there = ", ".join(self.environments[app])
            raise Failure(
                "unknown_environment",
                f"the app '{app}' has no environment '{environment}' in {self.path}; it has: {there}",
            )
        return self.environments[app][environment]

    def all_of(self, app):
        """The environments of an app."""
        if app not in self.environments:
            self.find(app, "")
        return list(self.environments[app].values())

    def every(self):
        return [environment for app in self.environments.values() for environment in app.values()]


def load():
    """The apps file that the environment names; `Failure` that says what to do where that cannot be used."""
    if tomllib is None:
        raise Failure("python_too_old", "the devops plugin needs Python 3.11 or later: name one with SMCP_PYTHON")
    path = os.environ.get(VARIABLE)
    if not path:
        raise Failure(
            "not_configured",
            f"{VARIABLE} is not set: set it, in the environment of SMCP, to the absolute path of the apps file",
        )
    try:
        with open(path, "rb") as file:
            return Apps(path, read(tomllib.load(file)))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        why, hint = str(error), ""
        if isinstance(error, OSError):
            why = error.strerror
            hint = " Where it is there, let the plugin read it: filesystem.read under [sandbox.plugins.devops] in smcp.toml."
        raise Failure("not_configured", f"the apps file {path} cannot be read: {why}.{hint}") from None
    except Wrong as wrong:
        raise Failure("not_configured", f"{path}: {wrong}") from None


def read(document):
    """The environments of each app in a parsed apps file; `Wrong` names what is not as it must be."""
    file = Fields("", document)
    file.need("apps", ": there must be a table [apps.NAME] for each app")
    apps = file.inner("apps")
    file.end()
    found = {name: environments(name, Fields(f"apps.{name}", table)) for name, table in apps.table.items()}
    every = [environment for app in found.values() for environment in app.values()]
    secrets = {name for environment in every for name in environment.needs.secrets}
    for environment in every:
        environment.hidden = secrets - set(environment.needs.secrets)
    return found


def environments(app, fields):
    named(fields.path, app)
    fields.need("environments", ": there must be a table [%s.environments.NAME]" % fields.path)
    inner = fields.inner("environments")
    if not inner.table:
        raise Wrong(f"{inner.path} is empty")
    common = {key: value for key, value in fields.table.items() if key != "environments"}
    found = {}
    for name, table in inner.table.items():
        path = f"{inner.path}.{name}"
        named(path, name)
        own = Fields(path, table).table
        # What the app says holds for every environment that does not say otherwise.
        origin = {key: fields.path for key in common if key not in own}
        found[name] = environment(app, name, Fields(path, {**common, **own}, origin))
    return found


def named(path, name):
    if not NAME.fullmatch(name):
        raise Wrong(f"{path}: a name is 1 to 64 letters, digits, '.', '_' and '-', and begins with a letter or digit")


def environment(app, name, fields):
    strategy = fields.text("strategy", "releases")
    if strategy not in ("releases", "commands"):
        raise Wrong(f"{fields.place('strategy')} is 'releases' or 'commands', but not '{strategy}'")
    fields.need("root")
    is_directories = strategy == "releases"
    root = fields.path_of("root", {"app", "environment"})
    for key in ("app", "environment"):
        root = root.replace("{%s}" % key, {"app": app, "environment": name}[key])
    hooks, shared = fields.inner("hooks"), fields.inner("shared")
    made = Environment(
        app=app, name=name, strategy=strategy, root=root,
        keep=fields.whole("keep", 5, 1),
        timeout=fields.seconds("timeout", 600, 1),
        source=source(fields) if is_directories else None,
        shared_directories=shared.below("directories"), shared_files=shared.below("files"),
        before=hooks.commands("before", PLACEHOLDERS), after=hooks.commands("after", PLACEHOLDERS),
        deploy=fields.commands("deploy", OF_COMMANDS), rollback=fields.commands("rollback", OF_COMMANDS),
        health=health(fields), needs=needs(fields.inner("needs")),
    )
    hooks.end()
    shared.end()
    other = ("deploy", "rollback") if is_directories else ("source", "shared", "hooks")
    for key in other:
        if fields.has(key):
            raise Wrong(f"{fields.place(key)} is of no use with strategy = \"{strategy}\"")
    if not is_directories and not made.deploy:
        raise Wrong(f"{fields.place('deploy')} is missing: the commands that deploy a version")
    fields.end()
    return made


def source(fields):
    fields.need("source", ": a table with directory, archive or repository")
    inner = fields.inner("source")
    kinds = [key for key in ("directory", "archive", "repository") if inner.has(key)]
    if len(kinds) != 1:
        raise Wrong(f"{inner.path} must have one of directory, archive and repository, but has {' and '.join(kinds) or 'none'}")
    made = Source(
        directory=inner.path_of("directory", OF_SOURCE),
        archive=inner.path_of("archive", OF_SOURCE),
        repository=inner.path_of("repository"),
    )
    if made.archive:
        made.strip = inner.whole("strip", 0, 0)
    if made.repository:
        made.ref = inner.text("ref", "{version}", OF_SOURCE)
        if made.ref.startswith("-"):
            raise Wrong(f"{inner.place('ref')} must not begin with '-'")
    inner.end()
    return made


def health(fields):
    if not fields.has("health"):
        return None
    inner = fields.inner("health")
    if inner.has("url") == inner.has("command"):
        raise Wrong(f"{inner.path} must have either url or command")
    made = Health(
        url=inner.text("url", None, OF_SOURCE), command=inner.command("command", OF_COMMANDS),
        retries=inner.whole("retries", 2, 0), interval=inner.seconds("interval", 2), timeout=inner.seconds("timeout", 5, 0.1),
    )
    if made.url:
        destination(made.url, inner.place("url"))
        statuses = inner.take("status", (int, list), "a status such as 200, or a list of them", 200)
        made.statuses = statuses if isinstance(statuses, list) else [statuses]
        if not made.statuses or not all(isinstance(status, int) and 100 <= status <= 599 for status in made.statuses):
            raise Wrong(f"{inner.place('status')} must be a status such as 200, or a list of them")
        made.body = inner.text("body")
    inner.end()
    return made


def needs(fields):
    made = Needs(fields.paths("read"), fields.paths("write"), fields.texts("network"), fields.texts("env"), fields.texts("secrets"))
    for to in made.network:
        if to != "full" and not re.fullmatch(r"\S+:\d{1,5}", to):
            raise Wrong(
                f"{fields.place('network')} must have destinations such as \"api.example.com:443\", or \"full\", "
                f"but has {to!r}",
            )
    for name in made.secrets:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,127}", name):
            raise Wrong(f"{fields.place('secrets')} must have names of secrets, but has {name!r}")
    fields.end()
    return made


def destination(url, place="url"):
    """The host and port that a URL leads to; `Wrong` where it is none of `http` and `https`."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError as error:
        raise Wrong(f"{place} cannot be read: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or "{" in parts.netloc or parts.username:
        raise Wrong(f"{place} must be an http or https URL with a fixed host and no user, but is {url!r}")
    return parts.hostname, port
