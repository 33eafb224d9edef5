"""
Files that are either the old ones or the new ones, whatever happens in between.

Written to a temporary name, synced, renamed, and the folder synced: a file rewritten in place on a
full disk is lost. The temporary name is always the same, so writers of one file need one lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from agent.faults import fault_point

TEMPORARY = ".tmp"


def write(path: Path, data: bytes, mode: int = 0o644) -> None:
    """
    Replace the file `path` by `data`, or leave it as it is.

    Raises OSError (a full disk, say); the old file is then untouched.
    """
    temporary = path.with_name(f".{path.name}{TEMPORARY}")
    try:
        _write_new(temporary, data, mode)
        fault_point("file.written")
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    fault_point("file.renamed")
    sync_folder(path.parent)


def _write_new(path: Path, data: bytes, mode: int) -> None:
    path.unlink(missing_ok=True)  # a leftover might have another mode
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        fault_point("file.created")
        os.fchmod(descriptor, mode)
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def remove(path: Path) -> None:
    """Remove the file `path` if it is there, of whatever kind."""
    if os.path.lexists(path):
        path.unlink()
        fault_point("file.removed")
        sync_folder(path.parent)


def read(path: Path) -> bytes | None:
    """Return what the file `path` holds, None if there is none: no link, no pipe, no device."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:
        return file.read()


def make_folder(path: Path) -> None:
    """Make the folder `path`, for this user alone, and those above it that are missing."""
    for folder in [*reversed(path.parents), path]:
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)
            sync_folder(folder.parent)


def sync_folder(path: Path) -> None:
    """Make renames and removals in the folder `path` survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def clear_temporaries(folder: Path) -> None:
    """Remove what killed writers left in `folder`. The caller holds their lock."""
    for leftover in folder.glob(f".*{TEMPORARY}"):
        remove(leftover)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path` against other threads and processes. It is not reentrant."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)  # which also ends the lock
