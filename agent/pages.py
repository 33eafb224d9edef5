"""Which answer a request gets: the setup page's files, content by checksum, or a sign of life."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from agent.content import ContentError
from agent.home import Home

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".sha256": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
    ".zip": "application/zip",
    ".json": "application/json",
    ".pyz": "application/octet-stream",
}

MANIFEST = "trust-manifest.json"  # in a server's home


@dataclass
class Page:
    """An answer: `body` is read to its end and closed."""

    status: int
    body: BinaryIO
    size: int
    headers: dict[str, str] = field(default_factory=dict)


Site = Callable[[str], Page]


def setup_site(home: Home) -> Site:
    """Return the site with the files of zenworks-setup, where the console writes them."""

    def answer(path: str) -> Page:
        if path in ("/", "/zenworks-setup"):
            return text(301, "The setup page is /zenworks-setup/.", Location="/zenworks-setup/")
        name = path[len("/zenworks-setup/") :] or "index.html"
        if not path.startswith("/zenworks-setup/") or not re.fullmatch(r"\w[\w.-]{0,99}", name):
            return _missing()
        try:
            return _file((home.path / "zenworks-setup" / name).open("rb"), name)
        except OSError:
            return text(404, "This server does not offer this file, or not any more.")

    return answer


def content_site(home: Home) -> Site:
    """Return the site with the items of content-repo: /content/SHA256."""

    def answer(path: str) -> Page:
        if not path.startswith("/content/"):
            return _missing()
        sha256 = path[len("/content/") :]
        try:
            if not home.check_content(sha256):
                return text(404, "This server does not have this content.")
            return _file(home.open_content(sha256), "")
        except (OSError, ContentError):
            return text(404, "This server does not have this content.")

    return answer


def satellite_site(path: str) -> Page:
    """The Authentication Satellite's own service: it says that it is there."""
    if path == "/device/ping":
        return Page(204, io.BytesIO(), 0)
    if path == "/":
        return text(200, "This is an Authentication Satellite.")
    return _missing()


def canary_site(path: str) -> Page:
    """The canary: whoever gets an answer has verified the future certificate."""
    return Page(204, io.BytesIO(), 0) if path == "/device/ping" else _missing()


def rescue_site(home: Home) -> Site:
    """Return the site with the trust manifest and nothing else."""

    def answer(path: str) -> Page:
        envelope = home.read_file(MANIFEST) if path == "/trust-manifest" else None
        if envelope is None:
            return _missing()
        return Page(200, io.BytesIO(envelope), len(envelope), {"Content-Type": TYPES[".json"]})

    return answer


def path_of(target: str) -> str | None:
    """Return the path that a request line asks for, without its query; None if it is not one."""
    try:
        path = unquote(urlsplit(target).path, errors="strict")
    except ValueError:
        return None
    return path if path.startswith("/") and path.isprintable() else None


def text(status: int, sentence: str, **headers: str) -> Page:
    """Return a page with one sentence."""
    body = (sentence + "\n").encode()
    return Page(status, io.BytesIO(body), len(body), {"Content-Type": TYPES[".txt"], **headers})


def _missing() -> Page:
    return text(404, "There is nothing at this address.")


def _file(file: BinaryIO, name: str) -> Page:
    kind = TYPES.get(os.path.splitext(name)[1], "application/octet-stream")
    return Page(200, file, os.fstat(file.fileno()).st_size, {"Content-Type": kind})
