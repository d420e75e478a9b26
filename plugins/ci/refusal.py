"""What it means that a request was refused or broken off, and what somebody can do about it."""

import json
import os
import re
import socket
import ssl
import time
from email.utils import parsedate_to_datetime

from settings import LOG_HOSTS
from smcp_plugin import Failure

# GitHub asks for a minute where it does not say how long; nothing waits for longer than a day.
UNSAID_S = 60
LONGEST_S = 24 * 60 * 60
MISSING = re.compile(r"network\.allow must list (?:the address behind )?(\S+)")
# Two names of one thing since Python 3.10.
SILENCE = (TimeoutError, socket.timeout)
# Where the connection ended so, no request was sent.
UNSENT = (ConnectionRefusedError, socket.gaierror, ssl.SSLCertVerificationError, PermissionError)


class Broken(Exception):
    """An exchange without a result. `arrived`: whether the request may have been carried out all the same."""

    def __init__(self, code, message, *, arrived, retry_after=None):
        super().__init__(message)
        self.code, self.message, self.arrived, self.retry_after = code, message, arrived, retry_after

    def failure(self):
        if self.retry_after is None:
            return Failure(self.code, self.message, retryable=False)
        return Failure(self.code, self.message, retry_after=self.retry_after)


def unknown(why):
    """A change was asked for, and nobody can tell whether it was made."""
    message = f"{why}. It may have been carried out, so it is not repeated: look at the runs before you ask again"
    return Failure("outcome_unknown", message, retryable=False)


def failure(service, status, headers, content, subject):
    """What the service says with a status from 400 on."""
    host, said = service.address.host, words(content)
    quoted = f": {said}" if said else ""
    if is_limit(status, headers, said):
        seconds = wait_s(headers)
        message = f"{host} takes no more requests with the token in secret {service.secret} for {seconds} s (rate limit){quoted}"
        return Broken("rate_limited", message, arrived=False, retry_after=seconds)
    if status >= 500:
        message = f"{host} answered {status}, a failure of its own{quoted}"
        seconds = after(headers)
        return Broken("server_error", message, arrived=True, retry_after=growing_s() if seconds is None else seconds)
    code, message = {
        401: (
            "unauthorised",
            f"{host} did not accept the token in secret {service.secret}; it needs {service.permissions}. "
            f"Set a valid one: smcp secrets set {service.secret}",
        ),
        403: ("forbidden", f"{host} does not let the token in secret {service.secret} do this; it needs {service.permissions}{quoted}"),
        404: ("not_found", f"{host} knows no {subject}, or the token in secret {service.secret} may not see it"),
        409: ("conflict", f"{host} cannot do this to {subject} now{quoted}"),
        410: ("gone", f"{host} no longer has {subject}{quoted}"),
    }.get(status, ("rejected", f"{host} refused the request for {subject} with status {status}{quoted}"))
    return Broken(code, message, arrived=False)


def of_store(service, host, status):
    """The place that a log is kept at refused to hand it out."""
    message = f"{host}, where {service.title} keeps this log, answered {status}"
    if status == 429 or status >= 500:
        return Broken("server_error", message, arrived=False, retry_after=growing_s())
    return Broken("gone", f"{message}: the log is no longer there", arrived=False)


def elsewhere(service, host, *, moved=False, unencrypted=False):
    asked = service.address.host
    if moved:
        message = f"{asked} says that this has moved; nothing was changed. Ask for the repository or project by the name that it has now"
    elif unencrypted:
        message = f"{asked} sends the download on to {host} without encryption, which is not followed"
    else:
        message = (
            f"{asked} sends the request on to {host}, which is not followed: "
            f"{service.address.variable} must have the address of the API itself"
        )
    return Broken("redirected", message, arrived=False)


def nonsense(service, why):
    message = f"{service.address.host} does not answer as {service.title} does: {why}. See whether {service.address.variable} is its API"
    return Broken("invalid_answer", message, arrived=True)


def too_large(service, limit):
    message = f"{service.address.host} answers with more than {limit >> 20} MiB, which is not read"
    return Broken("too_large", message, arrived=True)


def slow(service, seconds):
    message = f"{service.address.host} was not done with its answer after {seconds} s"
    return Broken("timeout", message, arrived=True, retry_after=growing_s())


def interrupted(service, error):
    if isinstance(error, SILENCE):
        return Broken("timeout", f"{service.address.host} fell silent in the middle of its answer", arrived=True, retry_after=growing_s())
    message = f"the answer of {service.address.host} was cut off before its end"
    return Broken("truncated", message, arrived=True, retry_after=growing_s())


def transport(service, host, error, own):
    """There is no answer: `error` says how far the request got."""
    said = str(error)
    missing = MISSING.search(said)
    if missing or isinstance(error, PermissionError):
        return denied(host, missing and missing[1], own)
    if isinstance(error, ssl.SSLCertVerificationError):
        message = (
            f"the certificate of {host} is not valid: {error.verify_message}. "
            "That of a private authority is trusted where SSL_CERT_FILE of the worker names its file"
        )
        return Broken("certificate_invalid", message, arrived=False)
    if isinstance(error, SILENCE):
        return Broken("timeout", f"{host} did not answer in time", arrived=True, retry_after=growing_s())
    if isinstance(error, OSError) or not said:
        arrived = not isinstance(error, UNSENT) and "Tunnel connection failed" not in said
        message = f"{host} cannot be reached: {said}. smcp plugins list tells whether the sandbox lets this plugin reach it"
        return Broken("unreachable", message, arrived=arrived, retry_after=growing_s())
    return nonsense(service, "it is not HTTP")


def denied(host, missing, own):
    """The sandbox lets nobody through to `host`."""
    wish = missing or host
    more = "smcp plugins list shows the lines that do"
    if not own:
        more = f"{host} must be in {LOG_HOSTS}, too; {more}"
    message = f"the sandbox does not let this plugin reach {host}: an operator grants {wish} to it in smcp.toml ({more})"
    return Broken("network_denied", message, arrived=False)


def is_limit(status, headers, said):
    if status == 429:
        return True
    # GitHub also says 403, of which the rest means that something is not allowed at all.
    spent = headers.get("Retry-After") or headers.get("X-RateLimit-Remaining") == "0" or "rate limit" in said.lower()
    return status == 403 and bool(spent)


def wait_s(headers):
    """Seconds until requests are taken again; by the service's clock, where it tells the time."""
    seconds = after(headers)
    if seconds is not None:
        return seconds
    reset = headers.get("X-RateLimit-Reset") or headers.get("RateLimit-Reset") or ""
    if not reset.isdecimal():
        return UNSAID_S
    # The second in which it is reset is not over yet.
    return bounded(int(reset) - now(headers) + 1)


def after(headers):
    """What `Retry-After` says, which is a number of seconds or a date; `None` where it says nothing."""
    said = (headers.get("Retry-After") or "").strip()
    if said.isdecimal():
        return bounded(int(said))
    moment = seconds_of(said)
    return None if moment is None else bounded(moment - now(headers) + 1)


def now(headers):
    told = seconds_of(headers.get("Date") or "")
    return time.time() if told is None else told


def seconds_of(date):
    try:
        return parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError, IndexError):
        return None


def bounded(seconds):
    return max(1, min(LONGEST_S, int(seconds)))


def growing_s():
    """5 s after the first attempt and twice as long after each further one, up to five minutes."""
    attempt = os.environ.get("SMCP_ATTEMPT", "")
    return min(300, 5 << min(10, max(0, int(attempt) - 1))) if attempt.isdecimal() else 5


def words(content):
    """The message in an error's body, short and in one line; nothing where the body is no JSON."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(value, dict):
        return ""
    said = value.get("message") or value.get("error_description") or value.get("error") or ""
    said = said if isinstance(said, str) else json.dumps(said)
    return " ".join(said.split())[:300]
