"""
What an administrator puts into remint-repo by hand: a server's certificate and its private key.

Such files are looked at by the folder's descriptor, without following links, and taken only if
they are plain files of this user or of root that nobody else can write to. `home` writes there.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.held import HomeError

# "The file name has to be server and the extension can have the ... extensions." (manual)
NAMES = tuple(f"server.{ending}" for ending in ("der", "cer", "crt", "p7b", "pem", "cert"))
KEY = "key.der"
MOST = {KEY: 64 * 1024}  # bytes
MOST_OF_CERTIFICATE = 1024 * 1024
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFDIR: "a folder",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}


class Refused(HomeError):
    """What is there is not taken. The text is for the user."""


@dataclass(frozen=True)
class Found:
    """The name of the certificate's file, and what both files hold; not parsed yet."""

    name: str
    certificate: bytes
    key: bytes


def find(folder: Path, *, ours: bytes | None) -> Found | None:
    """
    Return the certificate and the key in `folder`, None while there is neither.

    A server.cer that holds exactly `ours` was put there by `home`, and gives way to another one.
    Raises Refused for one without the other, two certificates, and whatever is no plain file of
    this user or root, too large, or open to others for writing.
    """
    with _opened(folder) as descriptor:
        present = [name for name in NAMES if _is_there(name, descriptor)]
        if len(present) > 1 and ours is not None and "server.cer" in present:
            present = [name for name in present if _differs(name, descriptor, ours)]
        has_key = _is_there(KEY, descriptor)
        if not present and not has_key:
            return None
        _check_count(present, has_key)
        name = present[0]
        return Found(name, _read(name, descriptor), _read(KEY, descriptor))


def _differs(name: str, folder: int, ours: bytes) -> bool:
    return name != "server.cer" or _read(name, folder) != ours


def _check_count(present: list[str], has_key: bool) -> None:
    if len(present) > 1:
        raise Refused(
            f"remint-repo holds {' and '.join(present)}. Keep the one that is to be used."
        )
    if not present:
        raise Refused(f"{KEY} is in remint-repo, its certificate is not. Put server.pem beside it.")
    if not has_key:
        raise Refused(f"{present[0]} is in remint-repo, its key is not. Put {KEY} beside it.")


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise Refused("remint-repo is no folder of this server. Make it anew.") from error
    try:
        _check_owner("remint-repo", os.fstat(descriptor))
        yield descriptor
    finally:
        os.close(descriptor)


def _is_there(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _read(name: str, folder: int) -> bytes:
    most = MOST.get(name, MOST_OF_CERTIFICATE)
    # Looked at before it is opened: opening a device may already do something.
    _check(name, os.stat(name, dir_fd=folder, follow_symlinks=False), most)
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError as error:
        raise Refused(f"{name} in remint-repo cannot be read: {error.strerror}.") from error
    with open(descriptor, "rb") as file:
        _check(name, os.fstat(descriptor), most)  # it may have been exchanged meanwhile
        data = file.read(most + 1)
    if len(data) > most:
        raise Refused(_too_large(name, most))
    return data


def _check(name: str, found: os.stat_result, most: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "no plain file")
        raise Refused(f"{name} in remint-repo is {kind}. Put the file itself there.")
    _check_owner(name, found)
    if found.st_size > most:
        raise Refused(_too_large(name, most))


def _too_large(name: str, most: int) -> str:
    return (
        f"{name} in remint-repo is larger than {most // 1024:,} KiB. It is not what it should be."
    )


def _check_owner(name: str, found: os.stat_result) -> None:
    if found.st_uid not in (os.geteuid(), 0):
        raise Refused(
            f"{name} belongs to another user (number {found.st_uid}). Give it to this server's."
        )
    if found.st_mode & _OTHERS_WRITE:
        raise Refused(f"{name} can be written to by others. Run chmod go-w on it.")
