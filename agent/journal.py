"""
A change of several files that is made completely or not at all, even by a killed process.

The whole change is written down first, in one file; then it is made; then the note is removed.
Whoever comes next makes a noted change again before anything else, which is harmless: it says what
files hold, not what to do to them.
"""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from agent import files

NOTE = "pending-change.json"
SECRET_NAMES = {"server.pem", "canary.pem", "rescue.pem", "server.key", "key.der", NOTE}


@dataclass
class Change:
    """What files below one folder are to hold; None for those that are to be gone."""

    contents: dict[str, bytes | None] = field(default_factory=dict)

    def set(self, name: str, data: bytes | None) -> None:
        """Let the file `name`, relative to the folder, hold `data`; None removes it."""
        self.contents[name] = data

    def differs_from(self, folder: Path) -> bool:
        """Return whether making this change would change anything."""
        return any(_differs(folder / name, data) for name, data in self.contents.items())


def _differs(path: Path, data: bytes | None) -> bool:
    return os.path.lexists(path) if data is None else files.read(path) != data


def make(change: Change, folder: Path) -> None:
    """
    Make `change` in `folder`, whose lock the caller holds.

    Raises OSError. Until the note is written nothing has changed; after it, the rest of the change
    is made by the next call of `finish`.
    """
    if change.differs_from(folder):
        files.write(folder / NOTE, _dump(change), 0o600)
        finish(folder)


def finish(folder: Path) -> None:
    """Make the change that somebody noted in `folder` and perhaps did not live to make."""
    note = files.read(folder / NOTE)
    if note is None:
        return
    for name, data in _load(note).contents.items():
        _set(folder / name, data)
    files.remove(folder / NOTE)


def _set(path: Path, data: bytes | None) -> None:
    if data is None:
        files.remove(path)
    elif files.read(path) != data:
        files.make_folder(path.parent)
        files.write(path, data, 0o600 if path.name in SECRET_NAMES else 0o644)


def _dump(change: Change) -> bytes:
    return json.dumps(
        {
            name: None if data is None else base64.b64encode(data).decode("ascii")
            for name, data in change.contents.items()
        }
    ).encode("ascii")


def _load(note: bytes) -> Change:
    return Change(
        {
            name: None if data is None else base64.b64decode(data)
            for name, data in json.loads(note).items()
        }
    )
