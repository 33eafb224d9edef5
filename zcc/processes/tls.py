"""
Hot swap of a server's certificate, for the console and for the device API.

What changes is which context new connections get; a context that is in use is never touched:
`load_cert_chain` on a live one made 672 of 3,417 handshakes fail, a new one none.
"""

import errno
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

# Seconds. A handshake or a read that takes longer is a client that is stuck; without a limit 40 of
# those stopped a server.
HANDSHAKE_TIMEOUT = 5.0
IO_TIMEOUT = 10.0
LINGER = 0.05

Factory = Callable[[Path], ssl.SSLContext]


class HotContext:
    """The context for the chain and key in `path`, built anew whenever that file is another one."""

    def __init__(self, path: Path, factory: Factory, *, beside: Path | None = None) -> None:
        """
        Build the first context, so that a server with a bad file does not start.

        `beside` is another file that the factory reads.
        """
        self.path, self._factory, self._beside = path, factory, beside
        self._lock = threading.Lock()
        self._stamp = self._look()
        self._context = factory(path)

    def current(self) -> ssl.SSLContext:
        """Return the context for a new connection; the last good one if the file is bad."""
        with self._lock:
            stamp = self._look()
            if stamp != self._stamp:
                self._stamp = stamp
                self._rebuild()
            return self._context

    def build(self) -> ssl.SSLContext:
        """Return a further context like the one that was current when this was made."""
        return self._factory(self.path)

    def _look(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(path) for path in (self.path, self._beside) if path is not None]

    def _rebuild(self) -> None:
        try:
            self._context = self._factory(self.path)
        except (OSError, ssl.SSLError) as error:
            logger.error("%s cannot be used, the old certificate stays: %s", self.path, error)
        else:
            logger.info("%s is in use.", self.path)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


class TimedSocket(ssl.SSLSocket):
    """A TLS socket whose blocking calls end: gunicorn's threads use it without a timeout."""

    is_ending = False

    def shutdown(self, how: int) -> None:
        """Say that no more will be sent, and remember it."""
        super().shutdown(how)
        self.is_ending = True

    def settimeout(self, value: float | None) -> None:
        """Set the timeout; at the end a short one, as gunicorn waits for the client to close."""
        # It waits two seconds for each, in the only thread that accepts connections.
        super().settimeout(min(value or LINGER, LINGER) if self.is_ending else value)

    def setblocking(self, flag: bool) -> None:
        """Set a timeout where blocking was asked for."""
        self.settimeout(IO_TIMEOUT if flag else 0.0)

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands, or end the connection as if the client had: gunicorn is quiet about that."""
        self.settimeout(HANDSHAKE_TIMEOUT)
        try:
            super().do_handshake(block)
        except (TimeoutError, ssl.SSLError) as error:
            logger.info("A handshake failed: %s", error)
            self.close()
            raise ConnectionResetError(errno.ECONNRESET, "The handshake failed.") from error
        self.settimeout(IO_TIMEOUT)

    def recv(self, *args: Any) -> bytes:
        """Read, or end the connection quietly: browsers open some that they do not use."""
        try:
            return super().recv(*args)
        except TimeoutError as error:
            raise ConnectionResetError(errno.ECONNRESET, "The client sent nothing.") from error


class TimedContext(ssl.SSLContext):
    """A context whose sockets time out, in the handshake and after it."""

    sslsocket_class = TimedSocket

    def wrap_socket(self, sock: socket.socket, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """Wrap `sock` after giving it a timeout."""
        sock.settimeout(HANDSHAKE_TIMEOUT)
        return super().wrap_socket(sock, *args, **kwargs)


def for_threads(path: Path) -> ssl.SSLContext:
    """Build the context of the console, where each connection asks for the current one."""
    return _load(TimedContext(ssl.PROTOCOL_TLS_SERVER), path)


def for_asyncio(path: Path) -> ssl.SSLContext:
    """
    Build a context of the device API, where a callback changes it in the middle of a handshake.

    It hands out no session tickets: they belong to the listener's first context, so that a client
    that resumed would be shown the old certificate long after the swap.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    return _load(context, path)


def for_devices(path: Path, *, issuers: Path) -> ssl.SSLContext:
    """
    Build a context of the device API that asks for a client certificate and goes on without one.

    One that is shown must be of a CA in `issuers` (PEM); any other ends the handshake. OpenSSL has
    these CAs at hand for its own chain, too: where no link is sent it adds the root, which harms
    nobody (RFC 8446, 4.4.2) and cannot be turned off from Python.
    """
    context = for_asyncio(path)
    context.verify_mode = ssl.CERT_OPTIONAL
    if issuers.exists():
        context.load_verify_locations(issuers)
    return context


def follow(hot: HotContext) -> ssl.SSLContext:
    """
    Return a context for a listener that lives long: each handshake goes on with `hot`'s.

    Whether a client certificate is asked for stays as it is in the first one; by which CAs it is
    verified does not.
    """
    first = hot.build()

    def choose(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = hot.current()

    first.sni_callback = choose
    return first


def _load(context: ssl.SSLContext, path: Path) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(path)
    return context
