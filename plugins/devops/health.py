"""Finds out whether an app is healthy: by HTTP, or by a command."""

import base64
import http.client
import ssl
import threading
import time
import urllib.parse
import urllib.request

from apps import destination
from fields import filled
from smcp_plugin import Failure, log
from steps import check_secrets, place, run

# How much of an answer is looked through for a text.
LARGEST = 1 << 20


class Unhealthy(Exception):
    """Why a check has failed."""


def check(environment, values, retries):
    """Checks until one succeeds, or one more than `retries` have failed; answers whether it is healthy, why, and how many checks."""
    health = environment.health
    check_secrets(environment)
    for attempt in range(1, retries + 2):
        try:
            detail = once(environment, values)
            return {"healthy": True, "detail": detail, "checks": attempt}
        except Unhealthy as unhealthy:
            why = str(unhealthy)
            log(f"check {attempt} of at most {retries + 1}: {why}")
        if attempt <= retries:
            time.sleep(health.interval)
    return {"healthy": False, "detail": why, "checks": retries + 1}


def once(environment, values):
    health = environment.health
    if health.command:
        words = [filled(word, values) for word in health.command]
        status, tail = run(environment, words, f"{place(environment)}.health.command", environment.root, health.timeout)
        said = f": {' '.join(tail[-3:])}" if tail else ""
        if status:
            raise Unhealthy(f"{words[0]} has ended with {status}{said}")
        return f"{words[0]} has ended with exit status 0{said}"
    url = filled(health.url, {name: urllib.parse.quote(value, "") for name, value in values.items()})
    answers = []

    def ask():
        try:
            answers.append(asked(health, url))
        except Exception as error:
            answers.append(error)

    # A server that sends a byte now and then would never be too slow for a socket.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(health.timeout)
    answer = answers[0] if answers else TimeoutError()
    if isinstance(answer, Failure):
        raise answer
    if isinstance(answer, TimeoutError):
        raise Unhealthy(f"{url} has not answered within {health.timeout:g} s")
    if isinstance(answer, Exception):
        raise Unhealthy(f"{url} cannot be reached: {answer or type(answer).__name__}")
    return answered(health, url, *answer)


def answered(health, url, status, location, body):
    expected = " or ".join(map(str, health.statuses))
    if status not in health.statuses:
        to = f" to {location}, which is not followed" if location else ""
        raise Unhealthy(f"{url} has answered {status}{to}; {expected} is expected")
    if health.body is not None and health.body not in body:
        raise Unhealthy(f"{url} has answered {status}, but its text does not contain {health.body!r}")
    return f"{url} has answered {status}"


def asked(health, url):
    """Status, Location and text of the answer. Redirects are not followed, as they may lead anywhere."""
    parts = urllib.parse.urlsplit(url)
    connection = connected(parts, health.timeout)
    try:
        path = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        connection.request("GET", path, headers={"User-Agent": "smcp-devops", "Accept": "*/*", "Connection": "close"})
        answer = connection.getresponse()
        text = answer.read(LARGEST).decode("utf-8", "replace")
        return answer.status, answer.getheader("Location"), text
    except OSError as error:
        # What SMCP's proxy refuses is not the app's fault, and a later check would be refused as well.
        if "network.allow" in str(error):
            raise Failure("not_permitted", f"{url} may not be reached: {error}; see [sandbox.plugins.devops] in smcp.toml") from None
        raise
    finally:
        connection.close()


def connected(parts, timeout):
    """A connection, by the proxy that the environment names: a tunnel for plain http, too, as SMCP's proxy knows nothing else."""
    host, port = destination(parts.geturl())
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and urllib.request.proxy_bypass(f"{host}:{port}"):
        proxy = None
    to = urllib.parse.urlsplit(proxy) if proxy else None
    name, door = (to.hostname, to.port or 80) if to else (host, port)
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(name, door, timeout=timeout, context=ssl.create_default_context())
    else:
        connection = http.client.HTTPConnection(name, door, timeout=timeout)
    if to:
        shown = f"{urllib.parse.unquote(to.username or '')}:{urllib.parse.unquote(to.password or '')}"
        headers = {"Proxy-Authorization": "Basic " + base64.b64encode(shown.encode()).decode()} if to.username else {}
        connection.set_tunnel(f"[{host}]" if ":" in host else host, port, headers)
    return connection
