"""Content items in one folder, each named by its SHA-256: there completely or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import tempfile
from pathlib import Path
from typing import BinaryIO, Protocol

from agent import files
from agent.faults import fault_point

# How the reason of an update begins that failed because no server gave its content.
NO_CONTENT = "No content:"
# And how it begins if the content came and could not be kept.
NOT_STORED = "This device could not store the content:"
_BLOCK = 256 * 1024
_INCOMING = "incoming-"


class ContentError(Exception):
    """The content is not what was asked for. The text is for the user."""


class Source(Protocol):
    """Whatever bytes can be read from."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, `size` at most, none at the end."""


def path_of(folder: Path, sha256: str) -> Path:
    """Return where the item is or would be. Raises ContentError if that is no SHA-256."""
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise ContentError("That is not a SHA-256 in lower case hex.")
    return folder / sha256


def add(folder: Path, sha256: str, source: Source, *, size: int | None = None) -> int:
    """
    Copy `source` into `folder` under its checksum; return its size in bytes.

    Raises ContentError, and keeps nothing, if what arrives has another checksum or, if `size` is
    given, another size; it stops reading at the first byte too many.
    """
    target = path_of(folder, sha256)
    files.make_folder(folder)
    descriptor, name = tempfile.mkstemp(dir=folder, prefix=_INCOMING)
    try:
        with open(descriptor, "wb") as incoming:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # clear_incoming() leaves it alone
            received = _copy(source, incoming, sha256, size)
            incoming.flush()
            os.fsync(descriptor)
            fault_point("content.written")
            os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    files.sync_folder(folder)
    return received


def clear_incoming(folder: Path) -> None:
    """Remove what killed processes had not finished; what somebody still writes stays."""
    for path in folder.glob(f"{_INCOMING}*"):
        try:
            with path.open("rb") as file:
                fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
        except OSError:
            continue


def _copy(source: Source, target: BinaryIO, sha256: str, size: int | None) -> int:
    digest, received = hashlib.sha256(), 0
    while block := source.read(_BLOCK):
        digest.update(block)
        received += len(block)
        if size is not None and received > size:
            raise ContentError(f"More than {size} bytes arrived.")
        target.write(block)
    if size is not None and received != size:
        raise ContentError(f"{received} of {size} bytes arrived.")
    if digest.hexdigest() != sha256:
        raise ContentError("What arrived has another checksum.")
    return received


class Holder:
    """What holds content items, in content-repo below its `path`."""

    path: Path

    def add_content(self, sha256: str, source: Source, *, size: int | None = None) -> int:
        """Copy `source` into content-repo; return its size. Raises ContentError: see `add`."""
        return add(self.path / "content-repo", sha256, source, size=size)

    def not_stored(self, error: OSError) -> str:
        """Return the sentence that says why content could not be kept here."""
        why = (error.strerror or str(error)).rstrip(".")
        return f"{NOT_STORED} {why} ({self.path / 'content-repo'})."

    def has_content(self, sha256: str) -> bool:
        """Return whether the content item is here, complete."""
        return self._content_path(sha256).is_file()

    def check_content(self, sha256: str) -> bool:
        """
        Return whether the content item is here and is still what its name says.

        One that was damaged is removed, so that it is fetched again. It is read as a whole: an item
        has some hundred kB.
        """
        try:
            with self.open_content(sha256) as file:
                digest = hashlib.sha256()
                while block := file.read(_BLOCK):
                    digest.update(block)
        except FileNotFoundError:
            return False
        if digest.hexdigest() != sha256:
            self.drop_content(sha256)
            return False
        return True

    def open_content(self, sha256: str) -> BinaryIO:
        """Open the content item for reading. Raises FileNotFoundError."""
        return self._content_path(sha256).open("rb")

    def drop_content(self, sha256: str) -> None:
        """Remove the content item if it is here."""
        files.remove(self._content_path(sha256))

    def content_items(self) -> list[str]:
        """Return the checksums of all content items that are here."""
        found = (self.path / "content-repo").glob("?" * 64)
        return sorted(path.name for path in found)

    def _content_path(self, sha256: str) -> Path:
        return path_of(self.path / "content-repo", sha256)
