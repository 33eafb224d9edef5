"""
HTTPS calls to the zone's servers, and downloads of content over HTTP.

Every call has a new connection, a timeout for each wait and one for all of it, and a cap on what is
read. There is no session resumption: a resumed session would prove nothing about a certificate.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from agent.manifest import ManifestError, parse_object

WAIT = 10.0  # seconds for one read or write
WHOLE_CALL = 30.0
WHOLE_DOWNLOAD = 600.0
MAX_ANSWER = 256 * 1024
CONTENT_PORT = 7481


Name = tuple[tuple[tuple[str, str], ...], ...]
Body = Callable[[str], "dict[str, Any]"]


class NoAnswer(Exception):
    """No server answered as it should. The text says which, and what happened."""


class NotUnderstood(NoAnswer):
    """A server answered with what is no answer: `what` ends the sentence."""

    def __init__(self, server: str, what: str = "sent an answer that is not understood.") -> None:
        super().__init__(f"{server} {what}")


class NoAgreement(NoAnswer):
    """A server is there, and this device refuses what it shows or cannot speak with it."""


class Untrusted(NoAgreement):
    """The server showed a certificate that does not verify."""


class Refused(Exception):
    """The server understood and said no. The text is the server's sentence."""

    def __init__(self, sentence: str, status: int, retry_after: float | None) -> None:
        super().__init__(sentence)
        self.status = status
        self.retry_after = retry_after


@dataclass(frozen=True)
class Answer:
    """What a server said: its JSON, which server, its leaf's SHA-256 and that leaf's issuer."""

    body: dict[str, Any]
    server: str
    peer: str
    issuer: Name


@dataclass(frozen=True)
class Exchange:
    """What a server said that does not speak JSON."""

    status: int
    body: bytes


def exchange(
    server: str,
    path: str,
    *,
    context: ssl.SSLContext,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Exchange:
    """
    GET `path` of `server`, or POST `body` to it; return an answer of a status 2xx.

    Raises NoAnswer, and Refused for a status 4xx with the server's sentence.
    """
    with _explained(server), _connected(server, context) as (connection, _peer, _issuer):
        sent = {"Connection": "close", **(headers or {})}
        connection.request("GET" if body is None else "POST", path, body, sent)
        response = connection.getresponse()
        data = _read_all(response, server)
    if 400 <= response.status < 500:
        sentence = data.decode(errors="replace").strip() or f"{server} refused."
        raise Refused(sentence, response.status, _seconds(response.getheader("Retry-After")))
    if not 200 <= response.status < 300:
        raise NoAnswer(f"{server} answered with status {response.status}.")
    return Exchange(response.status, data)


def trusting(anchors: bytes) -> ssl.SSLContext:
    """Return a context that verifies servers by the roots in `anchors` (PEM) and nothing else."""
    context = ssl.create_default_context(cadata=anchors.decode("ascii"))
    # Python 3.13 lets a chain end below a root. A link in the trust file must not become an anchor.
    context.verify_flags = ssl.VerifyFlags(context.verify_flags & ~0x80000)
    return context


def trusting_at_any_time(anchors: bytes) -> ssl.SSLContext:
    """
    Return a context like `trusting` that does not look at dates.

    For a device whose clock is wrong, or whose CA has expired: only to be told the time, or what
    proves itself by a signature of its own.
    """
    context = trusting(anchors)
    context.verify_flags = ssl.VerifyFlags(context.verify_flags | _NO_CHECK_TIME)
    return context


_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME of OpenSSL; Python has no name for it


def server_time(server: str, anchors: bytes) -> datetime:
    """Return the time that `server` shows, verified by `anchors` at any time. Raises NoAnswer."""
    context = trusting_at_any_time(anchors)
    with _explained(server), _connected(server, context) as (connection, _peer, _issuer):
        connection.request("GET", "/device/ping", headers={"Connection": "close"})
        date = connection.getresponse().getheader("Date") or ""
    try:
        return parsedate_to_datetime(date).astimezone(timezone.utc)
    except (TypeError, ValueError) as error:
        raise NoAnswer(f"{server} did not tell the time.") from error


def trusting_anyone() -> ssl.SSLContext:
    """Return a context that verifies nothing: to fetch what is checked by its fingerprint."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def call(
    server: str,
    path: str,
    *,
    context: ssl.SSLContext,
    body: Body | None = None,
    token: str = "",
    patience: float = WAIT,
    name: str = "",
) -> Answer:
    """
    Ask `server` (https://ADDRESS:PORT) for `path`: a POST of `body` if there is one, or a GET.

    The body is made when the connection stands, from the SHA-256 of the leaf that was shown. The
    answer may take as long as `patience`, in seconds. With `name` the server is asked for the
    certificate of that name, and verified by it, instead of by its address.

    Raises NoAnswer, Untrusted if the certificate was the reason, and Refused for a status 4xx.
    """
    connected = _connected(server, context, patience, name)
    with _explained(server), connected as (connection, peer, issuer):
        headers = {"Accept": "application/json", "Connection": "close"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if body is None:
            connection.request("GET", path, headers=headers)
        else:
            headers["Content-Type"] = "application/json"
            connection.request("POST", path, json.dumps(body(peer)), headers)
        connection.sock.settimeout(patience)
        response = connection.getresponse()
        data = _read_all(response, server)
    return Answer(_understood(server, response, data), server, peer, issuer)


def call_any(servers: Sequence[str], ask: Callable[[str], Answer]) -> Answer:
    """
    Return the first answer that `ask` gets from one of `servers`, tried in this order.

    Raises NoAnswer with every server's reason; it is Untrusted or else NoAgreement if that was one
    of them.
    """
    reasons: list[NoAnswer] = []
    for server in servers:
        try:
            return ask(server)
        except NoAnswer as error:
            reasons.append(error)
    text = " ".join(str(reason) for reason in reasons) or "No server is known."
    for kind in (Untrusted, NoAgreement):
        if any(isinstance(reason, kind) for reason in reasons):
            raise kind(text)
    raise NoAnswer(text)


def probe(servers: Sequence[str], anchors: bytes, *, name: str = "") -> Answer:
    """
    Return the answer of a server that verifies by `anchors` alone, under `name` if there is one.

    Raises NoAnswer.
    """
    context = trusting(anchors)

    def ask(server: str) -> Answer:
        return call(server, "/device/ping", context=context, name=name)

    return call_any(servers, ask)


class Arriving:
    """Content as `host` sends it. What goes wrong with that is NoAnswer, nothing else is."""

    def __init__(self, response: http.client.HTTPResponse, host: str) -> None:
        self._response, self._host = response, host

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, `size` at most, none at the end. Raises NoAnswer."""
        with _answering(self._host):
            return self._response.read(size)


@contextlib.contextmanager
def content(source: str, sha256: str, *, seconds: float = WHOLE_DOWNLOAD) -> Iterator[Arriving]:
    """
    Yield the content item as `source` (http://ADDRESS:PORT) sends it, within so many seconds.

    Raises NoAnswer with the end of a sentence: "127.0.0.11 does not have it". What its caller does
    with the content may fail, too: that is the caller's.
    """
    try:
        parts = urlsplit(source)
        host, port = parts.hostname or "", parts.port or CONTENT_PORT
    except ValueError as error:
        raise NoAnswer(f"{source} is not an address") from error
    with contextlib.ExitStack() as connected:
        with _answering(host):
            plain = connected.enter_context(socket.create_connection((host, port), WAIT))
            connected.enter_context(_at_most(seconds, plain))
            connection = _on_socket(plain, host, port)
            connection.request("GET", f"/content/{sha256}", headers={"Connection": "close"})
            response = connection.getresponse()
        if response.status != 200:
            raise NoAnswer(f"{host} {content_reason(response.status)}")
        yield Arriving(response, host)


@contextlib.contextmanager
def _answering(host: str) -> Iterator[None]:
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(f"{host} did not answer") from error


@contextlib.contextmanager
def _connected(
    server: str, context: ssl.SSLContext, patience: float = WAIT, name: str = ""
) -> Iterator[tuple[http.client.HTTPConnection, str, Name]]:
    """Yield a connection over TLS, the leaf's SHA-256 and, if that was verified, its issuer."""
    host, port = _host_and_port(server)
    with socket.create_connection((host, port), WAIT) as plain:
        tls = context.wrap_socket(
            plain, server_hostname=name or host, do_handshake_on_connect=False
        )
        with tls, _at_most(WHOLE_CALL - WAIT + patience, tls):
            tls.do_handshake()
            leaf = tls.getpeercert(binary_form=True) or b""
            issuer: Any = (tls.getpeercert() or {}).get("issuer", ())
            yield _on_socket(tls, host, port), hashlib.sha256(leaf).hexdigest(), issuer


def is_address(server: str) -> bool:
    """Return whether `server` is written as a server of the zone is: https://ADDRESS:PORT."""
    try:
        _host_and_port(server)
    except NoAnswer:
        return False
    return True


def _host_and_port(server: str) -> tuple[str, int]:
    try:
        parts = urlsplit(server)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        scheme, host, port = "", None, None
    if scheme != "https" or not host or not port:
        raise NoAnswer(f"{server} is not an address like https://127.0.0.1:7444.")
    return host, port


def _on_socket(connected: socket.socket, host: str, port: int) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(host, port)
    connection.sock = connected
    return connection


@contextlib.contextmanager
def _at_most(seconds: float, connected: socket.socket) -> Iterator[None]:
    """End the connection after so many seconds, however busily the other side drips."""
    timer = threading.Timer(seconds, _hang_up, [connected])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _hang_up(connected: socket.socket) -> None:
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connected, socket.SHUT_RDWR)


def _read_all(response: http.client.HTTPResponse, server: str) -> bytes:
    data = response.read(MAX_ANSWER + 1)
    if len(data) > MAX_ANSWER:
        raise NotUnderstood(server, f"sent an answer of more than {MAX_ANSWER} bytes.")
    if response.length:
        raise http.client.HTTPException("it stopped in the middle of its answer")
    return data


@contextlib.contextmanager
def _explained(server: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise Untrusted(
            f"{server} shows a certificate that we do not trust ({error.verify_message})."
        ) from error
    except ssl.SSLError as error:
        raise _handshake_failed(server, error) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or "no answer"
        raise NoAnswer(f"{server} did not answer ({reason}).") from error


# How OpenSSL's reasons end when the two sides exclude each other; any other may be the network.
_EXCLUDED = (
    "ALERT_HANDSHAKE_FAILURE",
    "ALERT_INSUFFICIENT_SECURITY",
    "ALERT_PROTOCOL_VERSION",
    "KEY_TOO_SMALL",
    "UNSUPPORTED_PROTOCOL",
    "WRONG_SIGNATURE_TYPE",
)


def _handshake_failed(server: str, error: ssl.SSLError) -> NoAnswer:
    reason = error.reason or error.strerror or str(error)
    if reason.endswith(_EXCLUDED):
        said = reason.lower().replace("_", " ")
        return NoAgreement(f"{server} and this device cannot agree on a TLS connection ({said}).")
    return NoAnswer(f"{server} did not answer ({error.strerror or reason}).")


def _understood(server: str, response: http.client.HTTPResponse, data: bytes) -> dict[str, Any]:
    if response.status == 204:
        return {}
    try:
        body = parse_object(data)
    except ManifestError as error:
        if response.status == 200:
            raise NotUnderstood(server) from error
        body = {}
    if response.status == 200:
        return body
    if 400 <= response.status < 500:
        sentence = str(body.get("error") or f"{server} refused with status {response.status}.")
        raise Refused(sentence, response.status, _seconds(response.getheader("Retry-After")))
    raise NoAnswer(f"{server} answered with status {response.status}.")


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isascii() and text.isdigit() else None


def content_reason(status: int) -> str:
    """Return what a server meant that sent no content, as the end of a sentence."""
    return "does not have it" if status == 404 else f"answered with status {status}"
