"""What a device remembers: who it is (identity.json) and how far it has come (state.json)."""

from __future__ import annotations

import base64
import dataclasses
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from agent import manifest
from agent.home import Home
from agent.manifest import Manifest, format_time

IDENTITY = "identity.json"
STATE = "state.json"


class NotEnrolled(Exception):
    """There is no device in this folder."""


@dataclass(frozen=True)
class Identity:
    """What enrolment gave this device, and what it said about itself."""

    device: str
    token: str
    update_key: str
    zone: str
    name: str
    dns_name: str
    addresses: list[str]
    roles: list[str]
    # Whether the host said these when it enrolled: then they follow it (whereabouts.found).
    # None: an older agent enrolled it, and did not note it.
    finds_dns_name: bool | None = None
    finds_addresses: bool | None = None

    def key(self) -> bytes:
        """Return the zone update key that was pinned at enrolment."""
        return base64.b64decode(self.update_key)

    @classmethod
    def load(cls, home: Home) -> Identity:
        """Return the identity in `home`. Raises NotEnrolled."""
        data = home.read_file(IDENTITY)
        if data is None:
            raise NotEnrolled(f"There is no enrolled device in {home.path}.")
        return cls(**json.loads(data))

    def save(self, home: Home) -> None:
        """Write the identity into `home`."""
        home.write_secret(IDENTITY, json.dumps(dataclasses.asdict(self)).encode())


@dataclass
class Progress:
    """How far this device is with an attempt at an update; `state` as it was reported last."""

    update: str
    attempt: int
    state: str
    new_anchor: str


@dataclass
class State:
    """Everything that must survive a restart. Written whole, atomically."""

    servers: list[str]
    # When a server other than the one that is preferred was last tried first; None: not yet.
    opinion_at: str | None = None
    former: list[str] = field(default_factory=list)  # servers no longer named: asked last
    epoch: int = 0
    manifest: str = ""
    interval: float = 60.0  # seconds between two refreshes, as the server said last
    offset: float = 0.0  # seconds by which the server's clock is ahead of ours
    order: dict[str, Any] | None = None
    progress: Progress | None = None
    steps: list[dict[str, Any]] = field(default_factory=list)
    content: list[dict[str, Any]] = field(default_factory=list)
    certificates: list[dict[str, Any]] = field(default_factory=list)
    prove: dict[str, Any] | None = None  # what a server asked to be proven, until it is tried
    proof: dict[str, Any] | None = None  # how the last try ended
    proof_is_news: bool = False
    # What a server sent that was refused, until another server has been told of it.
    refusal: dict[str, Any] | None = None

    @classmethod
    def load(cls, home: Home) -> State:
        """Return the state in `home`. Raises NotEnrolled."""
        data = home.read_file(STATE)
        if data is None:
            raise NotEnrolled(f"There is no enrolled device in {home.path}.")
        values = json.loads(data)
        progress = values.pop("progress")
        return cls(**values, progress=None if progress is None else Progress(**progress))

    def save(self, home: Home) -> None:
        """Write the state into `home`, if it is another one than there."""
        home.write_secret(STATE, json.dumps(dataclasses.asdict(self)).encode())

    def read_manifest(self, update_key: bytes) -> Manifest:
        """Return the manifest that was accepted last."""
        return manifest.read(self.manifest.encode(), update_key)

    def advance(self, progress: Progress, *, reason: str = "", at: datetime) -> None:
        """Note a step of an update, and that it has to be reported."""
        self.progress = progress
        self.steps.append(
            {
                "update": progress.update,
                "attempt": progress.attempt,
                "state": progress.state,
                "reason": reason,
                "at": format_time(at),
            }
        )
