"""Where the services are, as the operator has set it, and what the sandbox must let through for that."""

import os
import re
from urllib.parse import urlsplit

from smcp_plugin import Failure

LOG_HOSTS = "SMCP_CI_LOG_HOSTS"
# GitHub names its hosts of logs by number, and there are more than a hundred; a wish has 256 places.
MOST_LOG_HOSTS = 250
LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|::1")
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
# Where every plugin may read.
SYSTEM = ("/usr/", "/etc/ssl/", "/etc/pki/", "/etc/ca-certificates/")
RANGE = re.compile(r"\{(\d{1,6})-(\d{1,6})\}")


class Address:
    """The address of a service, in one variable of the environment."""

    def __init__(self, variable, default):
        self.variable = variable
        self.url = (os.environ.get(variable) or default).rstrip("/")
        try:
            parts = urlsplit(self.url)
            self.host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise self.wrong(str(error)) from None
        if parts.scheme not in ("http", "https") or not self.host:
            raise self.wrong("it must look like https://ci.example.com/api")
        if parts.username is not None or parts.query or parts.fragment:
            raise self.wrong("it must be an address alone, without a user, a question mark or a hash")
        self.plain = parts.scheme == "http"
        if self.plain and not LOOPBACK.fullmatch(self.host):
            raise self.wrong("the token would travel unencrypted; http is for a server on this machine, any other needs https")
        self.port = port or (80 if self.plain else 443)

    def wrong(self, why):
        return Failure("invalid_setting", f"{self.variable} cannot be used: {why}", retryable=False)

    @property
    def origin(self):
        return origin(self.url)

    @property
    def destination(self):
        return destination(self.host, self.port)


def github():
    return Address("SMCP_CI_GITHUB_URL", "https://api.github.com")


def gitlab():
    return Address("SMCP_CI_GITLAB_URL", "https://gitlab.com/api/v4")


def origin(url):
    """Scheme, host and port: who is asked. `ValueError` where the port is none."""
    parts = urlsplit(url)
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or usual


def destination(host, port):
    """A destination as `network.allow` lists it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def log_hosts():
    """The hosts that logs may be fetched from besides the API's, as destinations; `{0-49}` in a name stands for each number."""
    found = []
    for word in re.split(r"[\s,]+", os.environ.get(LOG_HOSTS, "").strip()):
        if not word:
            continue
        for name in numbered(word):
            host, _, port = name.partition(":")
            if not HOST.fullmatch(host) or not (port or "443").isdecimal():
                raise wrong_hosts(f"'{word}' is not a host's name")
            found.append(destination(host.lower(), int(port or 443)))
    if len(found) > MOST_LOG_HOSTS:
        raise wrong_hosts(f"it names {len(found)} hosts, more than {MOST_LOG_HOSTS}")
    return found


def numbered(word):
    span = RANGE.search(word)
    if span is None:
        return [word]
    first, last = int(span[1]), int(span[2])
    if last - first >= MOST_LOG_HOSTS:
        raise wrong_hosts(f"'{word}' stands for more than {MOST_LOG_HOSTS} hosts")
    return [f"{word[:span.start()]}{number}{word[span.end():]}" for number in range(first, last + 1)]


def wrong_hosts(why):
    return Failure("invalid_setting", f"{LOG_HOSTS} cannot be used: {why}", retryable=False)


def certificates():
    """The files that say which certificates are trusted, where the sandbox does not have them anyhow."""
    named = (os.environ.get(name, "") for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))
    return [path for path in named if path.startswith("/") and ".." not in path.split("/") and not f"{path}/".startswith(SYSTEM)]


def network():
    """What the plugin asks its sandbox for, and what is wrong with the settings: a wrong one must not hide the tools."""
    addresses, hosts, problems = [], [], []
    for setting in (github, gitlab):
        try:
            addresses.append(setting())
        except Failure as failure:
            problems.append(str(failure))
    try:
        hosts = log_hosts()
    except Failure as failure:
        problems.append(str(failure))
    plain = [address for address in addresses if address.plain]
    if plain:
        # The sandbox's proxy passes on encrypted connections alone, and there is no wish for both kinds of network.
        problems += [
            f"{address.host} is out of reach, as {plain[0].variable} names a server on this machine by http"
            for address in addresses
            if not address.plain
        ]
        ports = {address.port for address in plain} | {int(host.rpartition(":")[2]) for host in hosts if LOOPBACK.match(host)}
        return {"mode": "loopback-ports", "allow": sorted(ports)}, problems
    allow = dict.fromkeys([address.destination for address in addresses] + hosts)
    return ({"mode": "proxy", "allow": list(allow)} if allow else {"mode": "none"}), problems
