"""Files that somebody uploads, archives among them: a flat list, within bounds, nothing on disk."""

import io
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pki import chains, names

MAX_FILES = 500
MAX_TOTAL = 16 * 1024 * 1024  # bytes, unpacked
MAX_NAME = 120
_ZIP = b"PK\x03\x04"
_EMPTY_ZIP = b"PK\x05\x06"
# What packers leave beside what was packed.
_LITTER = ("__MACOSX/", ".DS_Store", "Thumbs.db")


@dataclass(frozen=True)
class File:
    """One file as it came, or the reason why it was not opened."""

    name: str
    data: bytes = b""
    problem: str = ""


def flat(uploaded: Iterable[tuple[str, bytes]]) -> list[File]:
    """
    Return the files, those in ZIP archives included; never more than MAX_FILES or MAX_TOTAL.

    What is too large, broken, encrypted, or an archive within an archive comes with its problem.
    """
    found: list[File] = []
    total = 0
    for file in _each(uploaded):
        total += len(file.data)
        if len(found) >= MAX_FILES or total > MAX_TOTAL:
            reason = "Too much at once: it was not opened. Upload it by itself."
            return [*found, File(file.name, problem=reason)]
        found.append(file)
    return found


def _each(uploaded: Iterable[tuple[str, bytes]]) -> Iterator[File]:
    for given, data in uploaded:
        name = shown(given)
        if data.startswith((_ZIP, _EMPTY_ZIP)):
            yield from _unpacked(name, data)
        elif len(data) > chains.MAX_FILE:
            yield File(name, problem="The file is larger than 1 MiB. Choose the certificate file.")
        else:
            yield File(name, data)


def shown(name: str) -> str:
    """Return the last part of a file's name as it can be shown: strangers choose such names."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return names.printable(last[:MAX_NAME]) or "a file without a name"


def _unpacked(name: str, data: bytes) -> Iterator[File]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        yield File(name, problem=f"The archive cannot be opened: {_reason(error)}.")
        return
    if len(entries) > MAX_FILES:
        yield File(name, problem=f"The archive holds more than {MAX_FILES} files.")
        return
    for entry in entries:
        if not entry.is_dir() and not any(part in entry.filename for part in _LITTER):
            yield _member(archive, entry)


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> File:
    name = shown(entry.filename)
    if entry.flag_bits & 1:
        return File(name, problem="It is encrypted. Pack it without a password.")
    if entry.file_size > chains.MAX_FILE:
        return File(name, problem="It is larger than 1 MiB: this is no certificate file.")
    try:
        with archive.open(entry) as file:
            data = file.read(chains.MAX_FILE + 1)  # whatever its size is said to be
    except (zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, OSError) as error:
        return File(name, problem=f"It cannot be unpacked: {_reason(error)}.")
    except (EOFError, RuntimeError):
        return File(name, problem="It cannot be unpacked: the archive is damaged.")
    if len(data) > chains.MAX_FILE:
        return File(name, problem="It is larger than 1 MiB: this is no certificate file.")
    if data.startswith(_ZIP):
        return File(name, problem="It is an archive within an archive. Upload it by itself.")
    return File(name, data)


def _reason(error: Exception) -> str:
    return names.printable(str(error))[:120].rstrip(".") or "it is damaged"
