"""
The file of an evidence pack: a ZIP whose comment is the zone's signature over everything before it.

So every byte counts, any tool opens it, and `openssl pkeyutl -verify -rawin` checks the signature
alone (docs/evidence-pack.md). The message begins as a ZIP does, and a trust manifest's begins with
a prefix of its own: neither can be taken for the other.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agent import ed25519
from agent.manifest import ManifestError, parse_object

FORMAT = "zcc-evidence-pack-1"
SIGNATURE = 88  # characters at the end: the Base64 of 64 bytes
BEGINS = b"PK\x03\x04"
MAX_BYTES = 512 * 1024 * 1024
README, KEY, OPERATION = "README.txt", "update-key.pem", "operation.json"
AUTHORITIES, SERVERS, SIGN_OFFS = "authorities.json", "servers.json", "sign-offs.json"
EVENTS, DEVICES, IGNORED, TRUST = "events.jsonl", "devices.jsonl", "ignored.jsonl", "trust.jsonl"
MEMBERS = {
    *(README, KEY, OPERATION, AUTHORITIES, SERVERS, SIGN_OFFS),
    *(EVENTS, DEVICES, IGNORED, TRUST),
}
_CERTIFICATE = re.compile(r"certificates/([0-9a-f]{64})\.pem", re.ASCII)


class EvidenceError(Exception):
    """It is no evidence, or it does not fit together. The text says why."""


class Pack:
    """What an evidence pack holds. Only for one whose signature was verified."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        names = archive.namelist()
        self._archive = archive
        self.certificates = {
            found.group(1): found.group(0) for found in map(_CERTIFICATE.fullmatch, names) if found
        }
        if sorted(names) != sorted([*MEMBERS, *self.certificates.values()]):
            raise EvidenceError("It is signed, but it does not hold what an evidence pack holds.")

    def object(self, name: str) -> dict[str, Any]:
        """Return the JSON object in the member `name`."""
        return _parsed(name, self.read(name))

    def rows(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield the JSON objects of the member `name`, one a line."""
        with self._archive.open(name) as member:
            for line in member:
                yield _parsed(name, line)

    def read(self, name: str) -> bytes:
        """Return the bytes of the member `name`."""
        return self._archive.read(name)


def open_pack(path: Path, key: bytes) -> Pack:
    """
    Return the evidence pack in the file `path`.

    Raises EvidenceError unless the zone update key `key` (32 bytes) has signed all of it; OSError.
    """
    if path.stat().st_size > MAX_BYTES:
        raise EvidenceError(f"The file is larger than {MAX_BYTES} bytes: it is no evidence pack.")
    data = path.read_bytes()
    signed, signature = data[:-SIGNATURE], _signature(data[-SIGNATURE:])
    if not signed.startswith(BEGINS) or signature is None:
        raise EvidenceError("This is not an evidence pack, or it is cut off.")
    if not ed25519.verify(key, signed, signature):
        raise EvidenceError(
            "It is not signed with this zone update key, or it was changed afterwards."
        )
    try:
        return Pack(zipfile.ZipFile(io.BytesIO(data)))
    except zipfile.BadZipFile as error:
        raise EvidenceError("It is signed, but not an evidence pack.") from error


def _signature(text: bytes) -> bytes | None:
    """Return the signature at the end of the file, None if it is not written as one."""
    try:
        signature = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    # Some characters differ in bits that do not count; here every byte does.
    return signature if base64.b64encode(signature) == text else None


def _parsed(name: str, data: bytes) -> dict[str, Any]:
    try:
        return parse_object(data)
    except ManifestError as error:
        raise EvidenceError(f"{name} cannot be read. {error}") from error
