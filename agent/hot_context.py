"""
TLS with a certificate that may be exchanged at any time, without losing a handshake.

The listener's own context never holds a certificate. At each handshake it hands over to one that
was built from server.pem and is built again when the file has changed. (Loading a chain into a
context that is in use makes handshakes fail.)
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


class HotContext:
    """
    `context` is for the listener; it shows what the file `path` (chain and key) holds now.

    With `comes_and_goes` a file that is gone is shown to nobody any more; otherwise the last one
    stays. Whoever asks for a name below a `beside` domain gets what that shows for its first label.
    """

    def __init__(
        self,
        path: Path,
        *,
        log: Callable[[str], None],
        comes_and_goes: bool = False,
        beside: tuple[str, Mapping[str, HotContext]] = ("", {}),
    ) -> None:
        self.path = path
        self.log = log
        self.comes_and_goes = comes_and_goes
        self.beside = beside
        self.context = _new_context()
        self.context.sni_callback = self._choose
        self._current: ssl.SSLContext | None = None
        self._seen: tuple[int, int, int] | None = None

    def current(self) -> ssl.SSLContext | None:
        """Return the context with the newest pair that could be read, None if there was none."""
        seen = self._look()
        if seen is not None and seen != self._seen:
            self._seen = seen
            self._load()
        return None if seen is None and self.comes_and_goes else self._current

    def _look(self) -> tuple[int, int, int] | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def _load(self) -> None:
        context = _new_context()
        try:
            context.load_cert_chain(self.path)
        except (OSError, ValueError) as error:
            self.log(f"{self.path.name} cannot be used, the last good one stays ({error}).")
        else:
            self._current = context

    def _choose(self, connection: Any, name: str | None, listener: ssl.SSLContext) -> int | None:
        context = self._asked_for(name or "").current()
        if context is None:
            return int(ssl.ALERT_DESCRIPTION_INTERNAL_ERROR)
        connection.context = context
        return None

    def _asked_for(self, name: str) -> HotContext:
        domain, contexts = self.beside
        if not domain or not name.endswith(f".{domain}"):
            return self
        return contexts.get(name.partition(".")[0], self)


def _new_context() -> ssl.SSLContext:
    """Return a server's context without session tickets: a ticket would outlive the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    context.sslobject_class = _TellingWhy
    return context


class _TellingWhy(ssl.SSLObject):
    """
    Lets the other side know why a handshake failed.

    asyncio closes the connection before it has sent the alert, so that a device could not tell a
    server whose certificate it excludes from a network that drops its packets. Here it is asked to
    wait for more, which makes it send what there is; the other side then ends the connection.
    """

    _failure: ssl.SSLError | None = None

    def do_handshake(self) -> None:
        """Go on with the handshake."""
        if self._failure is not None:
            raise self._failure
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            self._failure = error
            raise ssl.SSLWantReadError(
                ssl.SSL_ERROR_WANT_READ, "the alert is sent first"
            ) from error
