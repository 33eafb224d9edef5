"""
The trust manifest: what a device of the zone is to trust, signed with the zone update key.

    envelope = {"payload": base64(JSON), "signature": base64(Ed25519(PREFIX + JSON))}

`read` says whether the zone signed it, `check` whether it may be followed now. No clock here.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from agent import ed25519, pem

PREFIX = b"zcc-trust-manifest-1\n"
MAX_BYTES = 256 * 1024
MAX_ANCHORS = 20
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(?:Z|\+00:00)", re.ASCII)


class ManifestError(Exception):
    """The manifest is not to be followed. The text says why."""


@dataclass(frozen=True)
class Update:
    """The update by which the zone changes its CA: from `old_anchor` to `new_anchor` (SHA-256)."""

    id: str
    name: str
    sha256: str
    size: int
    operation: str
    new_anchor: str
    old_anchor: str
    activate_at: datetime
    armed: bool
    activated: bool


@dataclass(frozen=True)
class Manifest:
    """What the zone's devices are to trust from `epoch` on: `anchors`, each a PEM certificate."""

    zone: str
    epoch: int
    issued_at: datetime
    expires_at: datetime
    anchors: tuple[bytes, ...]
    update: Update | None

    def fingerprints(self) -> list[str]:
        """Return the SHA-256 of each anchor, sorted."""
        return sorted(pem.fingerprint(anchor) for anchor in self.anchors)


def read(envelope: bytes, update_key: bytes) -> Manifest:
    """
    Return the manifest in `envelope`.

    Raises ManifestError if it is too large, cut off, not signed with `update_key`, or not one.
    """
    try:
        return _manifest(opened(envelope, update_key))
    except (KeyError, TypeError, ValueError) as error:
        raise ManifestError("The manifest is signed, but not a manifest.") from error


def opened(envelope: bytes, update_key: bytes, *, prefix: bytes = PREFIX) -> dict[str, Any]:
    """
    Return what the zone has signed with `update_key` under `prefix`, which says for what purpose.

    Raises ManifestError if it is too large, cut off, or not signed with that key.
    """
    payload, signature = _parts(envelope)
    if not ed25519.verify(update_key, prefix + payload, signature):
        raise ManifestError("The manifest is not signed with the zone's update key.")
    return parse_object(payload)


def unproven(envelope: bytes) -> dict[str, Any]:
    """Return what an envelope holds, signed or not. Raises ManifestError if it is none."""
    return parse_object(_parts(envelope)[0])


def _parts(envelope: bytes) -> tuple[bytes, bytes]:
    if len(envelope) > MAX_BYTES:
        raise ManifestError(f"The manifest is larger than {MAX_BYTES} bytes.")
    outer = parse_object(envelope)
    return _base64(outer.get("payload")), _base64(outer.get("signature"))


def check(manifest: Manifest, *, zone: str, epoch: int, now: datetime) -> None:
    """Raise ManifestError unless the manifest is for `zone`, not older than `epoch`, in force."""
    if manifest.zone != zone:
        raise ManifestError("The manifest is for another zone.")
    if manifest.epoch < epoch:
        raise ManifestError(f"The manifest is older (epoch {manifest.epoch}) than ours ({epoch}).")
    if now >= manifest.expires_at:
        raise ManifestError(f"The manifest expired at {format_time(manifest.expires_at)}.")


def parse_object(data: bytes) -> dict[str, Any]:
    """Return the JSON object in `data`. Raises ManifestError; also for a name that comes twice."""
    try:
        parsed = json.loads(data.decode("utf-8"), object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise ManifestError("It is not JSON, or it is cut off.") from error
    if not isinstance(parsed, dict):
        raise ManifestError("It is not a JSON object.")
    return parsed


def parse_time(text: str) -> datetime:
    """Return the instant written as `2026-11-24T02:00:00Z`, perhaps with parts of a second."""
    found = _INSTANT.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not an instant in UTC.")
    at = datetime.strptime(found.group(1), "%Y-%m-%dT%H:%M:%S")
    microsecond = int((found.group(2) or "").ljust(6, "0"))
    return at.replace(microsecond=microsecond, tzinfo=timezone.utc)


def format_time(at: datetime) -> str:
    """Return the instant as `2026-11-24T02:00:00Z`."""
    return at.astimezone(timezone.utc).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError("A name comes twice.")
    return dict(pairs)


def _base64(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise ManifestError("The manifest is not Base64, or it is cut off.") from error


def _manifest(data: dict[str, Any]) -> Manifest:
    if data["version"] != 1:
        raise ValueError("unknown version")
    anchors = tuple(_anchor(text) for text in data["anchors"])
    if not 1 <= len(anchors) <= MAX_ANCHORS:
        raise ValueError("no anchors, or too many")
    return Manifest(
        zone=_of(str, data["zone"]),
        epoch=_of(int, data["epoch"]),
        issued_at=parse_time(data["issued_at"]),
        expires_at=parse_time(data["expires_at"]),
        anchors=anchors,
        update=None if data["update"] is None else _update(data["update"]),
    )


def _update(data: dict[str, Any]) -> Update:
    return Update(
        id=_of(str, data["id"]),
        name=_of(str, data["name"]),
        sha256=_of(str, data["content"]["sha256"]),
        size=_of(int, data["content"]["size"]),
        operation=_of(str, data["operation"]),
        new_anchor=_of(str, data["new_anchor"]),
        old_anchor=_of(str, data["old_anchor"]),
        activate_at=parse_time(data["activate_at"]),
        armed=_of(bool, data["armed"]),
        activated=_of(bool, data["activated"]),
    )


def _anchor(text: str) -> bytes:
    (certificate,) = pem.split(text.encode("ascii"))
    return certificate


def _of(kind: Any, value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{value!r} is not of type {kind.__name__}")
    return value
