"""
A canonical ZIP: one way to write it, and nothing else is read.

The members are stored as they are, in the given order, all with the same time and mode. Reading
writes the archive again from what it found and compares: whatever differs by one byte (a changed
header, a comment, a gap, another name, a symbolic link, a compressed bomb) is no such archive.
Everything stays in memory, and no size that a header claims is believed.
"""

import re
import struct
import zipfile
import zlib
from io import BytesIO

MAX_BYTES = 1024 * 1024
MAX_MEMBERS = 64
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,63}", re.ASCII)
_WRITTEN = (1980, 1, 1, 0, 0, 0)  # the earliest time that a ZIP can hold
_FILE_FOR_ITS_OWNER = 0o100600 << 16
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)


class NotCanonical(ValueError):
    """These bytes were not written by `write`."""


def write(members: dict[str, bytes]) -> bytes:
    """Return the archive of these members, in this order. Raises ValueError for an odd name."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no plain file name.")
            member = zipfile.ZipInfo(name, _WRITTEN)
            member.create_system = 3  # Unix: otherwise it differs by the machine that writes
            member.external_attr = _FILE_FOR_ITS_OWNER
            archive.writestr(member, data)
    return buffer.getvalue()


def read(data: bytes) -> dict[str, bytes]:
    """Return the members. Raises NotCanonical unless `data` is byte for byte what `write` made."""
    if len(data) > MAX_BYTES:
        raise NotCanonical(f"It is larger than {MAX_BYTES} bytes.")
    try:
        members = _members(data)
        if write(members) == data:
            return members
    except _UNREADABLE as error:
        raise NotCanonical("It is not such an archive, or it is damaged.") from error
    raise NotCanonical("It has been changed.")


def _members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(BytesIO(data)) as archive:
        found = archive.infolist()
        if len(found) > MAX_MEMBERS or sum(one.file_size for one in found) > MAX_BYTES:
            raise NotCanonical("It holds too much.")
        if any(one.compress_type != zipfile.ZIP_STORED for one in found):
            raise NotCanonical("It is compressed.")
        return {one.filename: archive.read(one) for one in found}
