"""
A rehearsal of a change of the CA, with one that is thrown away; test devices take part.

What a server sends is signed with the zone update key under a prefix of its own, so that it is no
trust manifest and a trust manifest is none of these. All that a device keeps of it is in
`rehearsal/` of its home. The trust file is read, to report that it is what it was; never written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent import client, manifest, pem, trust
from agent.client import NoAnswer
from agent.home import Home
from agent.hot_context import HotContext
from agent.manifest import ManifestError, format_time, parse_time
from agent.state import Identity

PREFIX = b"zcc-rehearsal-1\n"
DOMAIN = "rehearsal.invalid"  # RFC 2606: no name server knows it
STAGES = ("trust", "switch", "end")
FUTURE, ACTIVE = "future", "active"
FOLDER = "rehearsal"
STATE, ANCHOR = f"{FOLDER}/state.json", f"{FOLDER}/anchor.pem"
MAX_CANARIES, MAX_PROBLEM = 20, 400

Log = Callable[[str], None]


def server_name(which: str, rehearsal: str) -> str:
    """Return the name by which a canary is asked for the rehearsal's certificate."""
    return f"{which}.{rehearsal}.{DOMAIN}"


def server_file(which: str) -> str:
    """Return where a server has that certificate and its key, relative to its home."""
    return f"{FOLDER}/{which}.pem"


def shown(home: Home, *, log: Log) -> dict[str, HotContext]:
    """Return what the canary port of a server shows of a rehearsal, as long as there is one."""
    return {
        which: HotContext(home.path / server_file(which), log=log, comes_and_goes=True)
        for which in (FUTURE, ACTIVE)
    }


@dataclass(frozen=True)
class Rehearsal:
    """What a server told: `stage` says how far these devices are to go with `anchor`."""

    id: str
    zone: str
    devices: tuple[str, ...]
    stage: str
    issued_at: datetime
    expires_at: datetime
    anchor: bytes
    canaries: tuple[str, ...]


def read(envelope: bytes, update_key: bytes) -> Rehearsal:
    """Return the rehearsal in `envelope`. Raises ManifestError if the zone has signed none."""
    data = manifest.opened(envelope, update_key, prefix=PREFIX)
    try:
        return _rehearsal(data)
    except (KeyError, TypeError, ValueError) as error:
        raise ManifestError("It is signed, but not a rehearsal.") from error


def _rehearsal(data: dict[str, Any]) -> Rehearsal:
    (anchor,) = pem.split(data["anchor"].encode("ascii"))
    if data["version"] != 1 or data["stage"] not in STAGES or not pem.is_root(anchor):
        raise ValueError("unknown version or stage, or no root")
    canaries = tuple(str(url) for url in data["canaries"])
    if len(canaries) > MAX_CANARIES or not all(map(client.is_address, canaries)):
        raise ValueError("no addresses")
    return Rehearsal(
        id=str(data["id"]),
        zone=str(data["zone"]),
        devices=tuple(str(device) for device in data["devices"]),
        stage=data["stage"],
        issued_at=parse_time(data["issued_at"]),
        expires_at=parse_time(data["expires_at"]),
        anchor=anchor,
        canaries=canaries,
    )


def _written(at: datetime) -> str:
    """Return the instant always as long, so that it sorts like its time."""
    return f"{at:%Y-%m-%dT%H:%M:%S.%fZ}"


class Rehearsing:
    """The part of one device in a rehearsal, as it is on its disk."""

    def __init__(self, home: Home, identity: Identity, *, log: Log) -> None:
        self.home, self.identity, self.log = home, identity, log
        known = json.loads(home.read_file(STATE) or b"{}")
        self._ended: str = known.get("ended", "")  # when the last one that is over was issued
        self._held: dict[str, Any] | None = known.get("held")
        self._sent: dict[str, Any] | None = None

    def follow(self, envelope: str, *, now: datetime) -> None:
        """Take in what a server told. Raises ManifestError; then everything stays as it is."""
        told = read(envelope.encode(), self.identity.key())
        self._check(told, now=now)
        held = self._held
        if held is None or held["id"] != told.id:
            held = {"id": told.id, "issued_at": _written(told.issued_at), "steps": []}
        facts = {
            "stage": told.stage,
            "expires_at": format_time(told.expires_at),
            "canaries": list(told.canaries),
        }
        if told.stage != "end" and self._anchor() != told.anchor:
            self.home.write_file(ANCHOR, told.anchor, 0o600)
        self._keep({**held, **facts})

    def go_on(self, *, now: datetime) -> None:
        """Do what is due: connect to a canary by the throw-away CA alone, or clean up."""
        held = self._held
        if held is None or "cleaned" in held["steps"]:
            return
        if held["stage"] == "end" or now >= parse_time(held["expires_at"]):
            self._clean()
        elif held["stage"] == "trust" and "proven" not in held["steps"]:
            self._probe(FUTURE, "proven")
        elif held["stage"] == "switch" and "switched" not in held["steps"]:
            self._probe(ACTIVE, "switched")

    def report(self) -> dict[str, Any] | None:
        """Return what a server is to know; None if this device takes part in nothing."""
        held = self._held
        if held is None:
            return None
        digest = hashlib.sha256(trust.current(self.home)).hexdigest()
        said = {"id": held["id"], "steps": held["steps"], "problem": held.get("problem", "")}
        self._sent = {**said, "trust": digest}
        return self._sent

    def has_news(self) -> bool:
        """Return whether a server does not know yet how far this device is."""
        held = self._held
        return held is not None and not held.get("reported", False)

    def note_reported(self) -> None:
        """A server has the last report. Of a rehearsal that is over nothing but its date stays."""
        held, sent = self._held, self._sent
        if held is None or sent is None or held["id"] != sent["id"]:
            return
        if "cleaned" in sent["steps"]:
            self._keep(None)
        elif (held["steps"], held.get("problem", "")) == (sent["steps"], sent["problem"]):
            self._keep({**held, "reported": True})

    def _check(self, told: Rehearsal, *, now: datetime) -> None:
        if told.zone != self.identity.zone or self.identity.device not in told.devices:
            raise ManifestError("The rehearsal is for another zone or another device.")
        if now >= told.expires_at:
            raise ManifestError(f"The rehearsal expired at {format_time(told.expires_at)}.")
        issued_at, held = _written(told.issued_at), self._held
        if issued_at <= self._ended:
            raise ManifestError("The rehearsal is over, and told again.")
        if held is None:
            return
        is_older = issued_at < held["issued_at"]
        is_back = told.id == held["id"] and STAGES.index(told.stage) < STAGES.index(held["stage"])
        if is_older or is_back:
            raise ManifestError("The rehearsal is older than what was told before.")

    def _probe(self, which: str, step: str) -> None:
        held = self._held or {}
        name, anchor = server_name(which, held["id"]), self._anchor()
        steps = [*held["steps"]]
        if anchor is not None and "trusted" not in steps:
            steps.append("trusted")
        try:
            if anchor is None:
                raise NoAnswer("The certificate of the throw-away CA is not on the disk.")
            answer = client.probe(held["canaries"], anchor, name=name)
        except (NoAnswer, OSError, ValueError) as error:
            problem = f"The connection by the throw-away CA failed: {error}"[:MAX_PROBLEM]
            self.log(problem)
        else:
            problem = ""
            steps.append(step)
            self.log(f"Rehearsal: {answer.server} verifies by the throw-away CA alone.")
        is_known = steps == held["steps"] and problem == held.get("problem", "")
        if not is_known:
            self._keep({**held, "steps": steps, "problem": problem, "reported": False})

    def _clean(self) -> None:
        held = self._held or {}
        self.home.remove_file(ANCHOR)
        self._ended = max(self._ended, held["issued_at"])
        self._keep({**held, "steps": [*held["steps"], "cleaned"], "reported": False})
        self.log("Rehearsal: the throw-away CA is removed.")

    def _anchor(self) -> bytes | None:
        return self.home.read_file(ANCHOR)

    def _keep(self, held: dict[str, Any] | None) -> None:
        self._held = held
        known = {"ended": self._ended, "held": held}
        self.home.write_secret(STATE, json.dumps(known).encode())
