"""Content from other servers: what an update brings, and what a Content Satellite is to hold."""

from __future__ import annotations

import contextlib
import threading
import zipfile
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from agent import client, content, pem
from agent.client import NoAnswer
from agent.content import NO_CONTENT, ContentError
from agent.home import Home
from agent.manifest import Update
from agent.throttle import Throttled

MAX_SIZE = 1024**3
MAX_ANCHORS = 1024**2
_NO_PACKAGE = "The content is not a certificate update."


def fetch(
    home: Home, sha256: str, size: int, sources: Sequence[str], *, rate: int | None = None
) -> None:
    """
    Have the content item in `home`, from the first of `sources` that has it.

    It takes at most `rate` bytes a second; None: as many as come.

    Raises ContentError naming every source and what was wrong with it, or what is wrong here.
    """
    try:
        _fetch(home, sha256, size, sources, rate)
    except OSError as error:
        raise ContentError(home.not_stored(error)) from error


def _fetch(home: Home, sha256: str, size: int, sources: Sequence[str], rate: int | None) -> None:
    if home.has_content(sha256):
        return
    if not 0 <= size <= MAX_SIZE:
        raise ContentError(f"{NO_CONTENT} {size} bytes is not a size that can be fetched.")
    reasons = []
    for source in sources:
        reason = _fetch_from(home, sha256, size, source, rate)
        if reason is None:
            return
        reasons.append(reason)
    raise ContentError(f"{NO_CONTENT} {', '.join(reasons) or 'no server has it yet'}.")


def check_package(home: Home, update: Update, wanted: Sequence[str]) -> None:
    """Raise ContentError unless the update's content brings every CA that is `wanted`."""
    try:
        with home.open_content(update.sha256) as file, zipfile.ZipFile(file) as package:
            entry = package.getinfo("anchors.pem")
            if entry.file_size > MAX_ANCHORS:
                raise ContentError(_NO_PACKAGE)
            brought = {pem.fingerprint(anchor) for anchor in pem.split(package.read(entry))}
    except (OSError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        raise ContentError(_NO_PACKAGE) from error
    if not {update.new_anchor, *wanted} <= brought:
        raise ContentError("The content brings other CAs than the trust manifest says.")


def _fetch_from(home: Home, sha256: str, size: int, source: str, rate: int | None) -> str | None:
    """Return None if it is there now, otherwise the reason as the end of a sentence."""
    try:
        with client.content(source, sha256) as response:
            home.add_content(sha256, Throttled(response, rate), size=size)
    except NoAnswer as error:
        return str(error)
    except ContentError as error:
        host = urlsplit(source).hostname
        return f"{host} sent something else ({str(error).rstrip('.')})"
    return None


class Replica:
    """The content of a Content Satellite, fetched by a thread of its own."""

    def __init__(self, home: Home, *, log: Callable[[str], None], wake: Callable[[], None]) -> None:
        self.home = home
        self.log = log
        self.wake = wake  # called when there is news
        self._items: dict[str, dict[str, Any]] = {}
        self._errors: dict[str, str] = {}
        self._reported: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def follow(self, items: Sequence[dict[str, Any]]) -> None:
        """
        Hold exactly these items from now on: drop others, begin to fetch what is missing.

        Raises KeyError, ValueError or ContentError for what is no list of items.
        """
        wanted = {str(item["sha256"]): {**item, "size": int(item["size"])} for item in items}
        for sha256 in wanted:
            content.path_of(self.home.path, sha256)
        for sha256 in set(self.home.content_items()) - set(wanted):
            self.home.drop_content(sha256)
        with self._lock:
            self._items = wanted
            if not self.is_busy() and self._missing():
                self._thread = threading.Thread(target=self._fetch_missing, daemon=True)
                self._thread.start()

    def report(self) -> list[dict[str, Any]]:
        """Return each item with its state, for the next refresh."""
        with self._lock:
            self._reported = self._states()
            return self._reported

    def has_news(self) -> bool:
        """Return whether anything is other than it was reported last."""
        with self._lock:
            return self._states() != self._reported

    def is_busy(self) -> bool:
        """Return whether something is being fetched."""
        return self._thread is not None and self._thread.is_alive()

    def _missing(self) -> list[str]:
        return [sha256 for sha256 in self._items if not self.home.check_content(sha256)]

    def _fetch_missing(self) -> None:
        with self._lock:
            missing = [(sha256, self._items[sha256]) for sha256 in self._missing()]
        for sha256, item in missing:
            error = self._fetch(sha256, item)
            with self._lock:
                self._errors[sha256] = error
            self.log(f"Content {sha256[:16]}: {error or 'available'}")
        self.wake()

    def _fetch(self, sha256: str, item: dict[str, Any]) -> str:
        """Return an empty string, or why it is not there."""
        with contextlib.suppress(KeyError, TypeError, ValueError):
            try:
                rate = int(item.get("throttle") or 0) or None
                fetch(self.home, sha256, int(item["size"]), item["sources"], rate=rate)
            except (ContentError, OSError) as error:
                return str(error)
            return ""
        return "The server's list is not understood."

    def _states(self) -> list[dict[str, Any]]:
        return [self._state(sha256, item) for sha256, item in self._items.items()]

    def _state(self, sha256: str, item: dict[str, Any]) -> dict[str, Any]:
        error = self._errors.get(sha256, "")
        state = "failed" if error else "replicating"
        if self.home.has_content(sha256):
            state, error = "available", ""
        return {"sha256": sha256, "state": state, "size": item["size"], "error": error}
