"""Requests to the web service of a provider, with every end that they can come to."""

import http.client
import json
import ssl
import time
from urllib.error import URLError
from urllib.parse import urlencode, urljoin
from urllib.request import HTTPErrorProcessor, ProxyHandler, Request, build_opener

import refusal
from settings import destination, log_hosts, origin
from smcp_plugin import Failure

# A silence of the network that ends a request, and how long an answer, however lively, may take in all.
SILENCE_S = 30
ANSWER_S = 60
DOWNLOAD_S = 240
ANSWER_BYTES = 8 << 20
DOWNLOAD_BYTES = 64 << 20
REDIRECTS = (301, 302, 303, 307, 308)
MOST_REDIRECTS = 3


class AsItIs(HTTPErrorProcessor):
    """Hands every answer back: what a refusal means, and whether a redirect is followed, is decided here."""

    def http_response(self, request, response):
        return response

    https_response = http_response


class Answer:
    """What came back: status, headers (of any case), and the JSON document."""

    def __init__(self, status, headers, value):
        self.status, self.headers, self.value = status, headers, value


class Service:
    """One provider's service. `token` goes to its own address and nowhere else."""

    def __init__(self, title, address, secret, token, headers, permissions):
        self.title, self.address, self.secret, self.permissions = title, address, secret, permissions
        if not token.isascii() or not token.isprintable() or " " in token or not token:
            message = f"the secret {secret} has characters that no token has; set it again: smcp secrets set {secret}"
            raise Failure("invalid_secret", message, retryable=False)
        self.headers = {"User-Agent": "smcp-ci", **{name: value.format(token=token) for name, value in headers.items()}}
        # A server on this machine is not asked by way of a proxy.
        handlers = (AsItIs, ProxyHandler({})) if address.plain else (AsItIs,)
        self.opener = build_opener(*handlers)

    def get(self, path, query=None, *, subject):
        return self.ask("GET", self.url(path, query), subject=subject)

    def post(self, path, body=None, *, subject, once, accept=()):
        """Asks for a change. `once` says that it must not be asked for twice, so that an end that leaves it open is final.

        A refusal whose status is in `accept` is an answer like any other.
        """
        return self.ask("POST", self.url(path), body or {}, subject=subject, once=once, accept=accept)

    def listed(self, path, query, limit, *, subject, key=None):
        """Up to `limit` elements of a list that comes in pages, and whether there are more."""
        url, found = self.url(path, {**query, "per_page": min(limit, 100)}), []
        while url and len(found) < limit:
            answer = self.ask("GET", url, subject=subject)
            page = answer.value.get(key) if key and isinstance(answer.value, dict) else answer.value
            if not isinstance(page, list) or not all(isinstance(entry, dict) for entry in page):
                raise self.strange("it is not the list that was asked for")
            found += page
            url = self.following(url, answer.headers) if page else None
        return found[:limit], bool(url) or len(found) > limit

    def following(self, url, headers):
        for link in (headers.get("Link") or "").split(","):
            target, _, relation = link.partition(";")
            if 'rel="next"' in relation.replace(" ", ""):
                target = joined(url, target.strip().strip("<>"))
                if self.is_own(target):
                    return target
                raise refusal.elsewhere(self, host_of(target)).failure()
        return None

    def url(self, path, query=None):
        given = {name: value for name, value in (query or {}).items() if value is not None}
        return self.address.url + path + ("?" + urlencode(given) if given else "")

    def is_own(self, url):
        try:
            return origin(url) == self.address.origin
        except ValueError:
            return False

    def ask(self, method, url, body=None, *, subject, once=False, accept=()):
        try:
            return self.answer(method, url, body, subject, accept)
        except refusal.Broken as broken:
            raise self.end(broken, once) from None

    def strange(self, why):
        """The failure that an answer is which has another form than the API documents."""
        return refusal.nonsense(self, why).failure()

    def end(self, broken, once):
        """The failure that a broken exchange comes to, where the request must not be made twice if `once`."""
        return refusal.unknown(broken) if once and broken.arrived else broken.failure()

    def answer(self, method, url, body, subject, accept):
        data = None if body is None else json.dumps(body).encode()
        for _ in range(MOST_REDIRECTS):
            with self.open(method, url, data) as response:
                if response.status not in REDIRECTS:
                    return self.read_answer(response, subject, accept)
                target = joined(url, response.headers.get("Location") or "")
            # A repository that was renamed. A change is not carried over: whoever asks should know what they change.
            if method != "GET" or not self.is_own(target):
                raise refusal.elsewhere(self, host_of(target), moved=self.is_own(target))
            url = target
        raise refusal.nonsense(self, "it redirects in circles")

    def read_answer(self, response, subject, accept):
        content = b"".join(self.chunks(response, ANSWER_BYTES, ANSWER_S))
        if response.status >= 400 and response.status not in accept:
            raise refusal.failure(self, response.status, response.headers, content, subject)
        if not content.strip() and response.status in (201, 202, 204, 205):
            return Answer(response.status, response.headers, {})
        try:
            return Answer(response.status, response.headers, json.loads(content))
        except (ValueError, RecursionError):
            raise refusal.nonsense(self, f"its answer, with status {response.status}, is not JSON") from None

    def download(self, path, *, subject):
        """The chunks of a file, which the service may keep elsewhere; the token stays here."""
        try:
            yield from self.downloaded(self.url(path), subject)
        except refusal.Broken as broken:
            raise broken.failure() from None

    def downloaded(self, url, subject):
        for _ in range(MOST_REDIRECTS):
            with self.open("GET", url) as response:
                if response.status == 200:
                    yield from self.chunks(response, DOWNLOAD_BYTES, DOWNLOAD_S)
                    return
                if response.status not in REDIRECTS:
                    content = b"".join(self.chunks(response, ANSWER_BYTES, ANSWER_S))
                    if self.is_own(url):
                        raise refusal.failure(self, response.status, response.headers, content, subject)
                    raise refusal.of_store(self, host_of(url), response.status)
                target = joined(url, response.headers.get("Location") or "")
            if not target.startswith("https://") and not self.is_own(target) and not is_listed(target):
                raise refusal.elsewhere(self, host_of(target), unencrypted=True)
            url = target
        raise refusal.nonsense(self, "it redirects in circles")

    def open(self, method, url, data=None):
        own = self.is_own(url)
        headers = {**(self.headers if own else {"User-Agent": "smcp-ci"}), **({"Content-Type": "application/json"} if data else {})}
        try:
            return self.opener.open(Request(url, data, headers, method=method), timeout=SILENCE_S)
        except URLError as error:
            raise refusal.transport(self, host_of(url), error.reason, own) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise refusal.transport(self, host_of(url), error, own) from None

    def chunks(self, response, limit, patience_s):
        """The body, as it comes; `Broken` where it is too long, takes too long, or ends too early."""
        announced = response.headers.get("Content-Length")
        announced = int(announced) if (announced or "").isdecimal() and not response.chunked else None
        until, size = time.monotonic() + patience_s, 0
        while announced is None or size < announced:
            try:
                chunk = response.read1(1 << 16)
            except (OSError, ssl.SSLError, http.client.HTTPException) as error:
                raise refusal.interrupted(self, error) from None
            if not chunk:
                break
            size += len(chunk)
            if size > limit:
                raise refusal.too_large(self, limit)
            if time.monotonic() > until:
                raise refusal.slow(self, patience_s)
            yield chunk
        if announced is not None and size < announced:
            raise refusal.interrupted(self, None)


def joined(url, target):
    """Where `url` leads on to; `target` itself where that is no address."""
    try:
        return urljoin(url, target)
    except ValueError:
        return target


def is_listed(url):
    """Whether the operator has named this host for logs, which then may come unencrypted."""
    try:
        scheme, host, port = origin(url)
    except ValueError:
        return False
    return scheme == "http" and destination(host, port) in log_hosts()


def host_of(url):
    """Whom an address names. Of addresses that a service sends no more is ever shown: the rest may be a signature."""
    try:
        _, host, port = origin(url)
    except ValueError:
        return "an address that cannot be read"
    return host if port in (80, 443, None) else f"{host}:{port}"
