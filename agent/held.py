"""What a home holds, and that it does not hold what was asked for, as others are told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from agent import manifest


class HomeError(Exception):
    """What was asked for does not fit what the home holds. The text is for the user."""


@dataclass(frozen=True)
class Live:
    """The certificate that listeners show, and the operation it came with, if any."""

    leaf_sha256: str
    chain_pem: bytes
    operation: str | None


@dataclass(frozen=True)
class Staged:
    """The certificate that waits in remint-repo, without link or bridge."""

    leaf_sha256: str
    chain_pem: bytes
    operation: str


@dataclass(frozen=True)
class GoAhead:
    """The signed permission to switch at `activate_at` without asking anybody."""

    operation: str
    activate_at: datetime


def go_ahead(envelope: bytes | None, update_key: bytes, *, operation: str | None) -> GoAhead | None:
    """
    Return the go-ahead for `operation` if `envelope` is one, signed with the pinned `update_key`.

    Its expiry does not count: a server that was cut off after arming switches nevertheless.
    """
    if envelope is None:
        return None
    try:
        update = manifest.read(envelope, update_key).update
    except manifest.ManifestError:
        return None
    if update is None or not update.armed or update.operation != operation:
        return None
    return GoAhead(update.operation, update.activate_at)
