"""
What an evidence pack says of an operation, read from rows and written into a ZIP as it is read.

`agent/evidence.py` reads it, and must be told of whatever changes here. The rows of 100,000 devices
pass through one after the other. Names are those of the console, instants are UTC.
"""

import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agent import evidence_pack as pack
from certificates import evidence_facts as facts
from certificates.models import Operation, OperationEvent
from pki import evidence as signing
from systemupdates.models import DeviceUpdate, DeviceUpdateEvent
from systemupdates.models.device_update import State as DeviceState

ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a ZIP can hold
ROWS_AT_ONCE = 2000


def build(
    operation: Operation, key: Ed25519PrivateKey, *, covers: int, now: datetime
) -> tuple[bytes, dict[str, Any]]:
    """
    Return the signed pack of the operation, and the counts that are in it.

    It stands where the event with the id `covers` has left it, whatever has happened meanwhile.
    """
    buffer = io.BytesIO()
    # Not by time: whoever looked at the clock first may have written last.
    own = list(operation.events.filter(pk__lte=covers).select_related("by").order_by("pk"))
    operation.state = own[-1].state
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = signing.ROOM
        counts = _write(archive, operation, own, key, now=now)
    return signing.sign(buffer.getvalue(), key), counts


def _write(
    archive: zipfile.ZipFile,
    operation: Operation,
    own: list[OperationEvent],
    key: Ed25519PrivateKey,
    *,
    now: datetime,
) -> dict[str, Any]:
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    _add(archive, pack.README, [facts.README.encode()])
    _add(archive, pack.KEY, [public])
    certificates = facts.Certificates(operation)
    for sha256, pem in certificates.pem.items():
        _add(archive, f"certificates/{sha256}.pem", [pem])
    servers, sign_offs = certificates.servers(), list(facts.sign_offs(operation))
    _add_object(archive, pack.AUTHORITIES, certificates.authorities())
    _add_object(archive, pack.SERVERS, {"servers": servers, "issued": certificates.issued})
    _add_object(archive, pack.SIGN_OFFS, {"sign_offs": sign_offs})
    counts: dict[str, Any] = {"servers": len(servers), "sign_offs": len(sign_offs)}
    for name, member, rows in (
        ("events", pack.EVENTS, facts.events(operation, own)),
        ("ignored", pack.IGNORED, _ignored(operation)),
        ("manifests", pack.TRUST, facts.manifests(operation)),
    ):
        counts[name] = _add_rows(archive, member, rows)
    devices = _Devices(operation, leaves=certificates.leaves)
    counts["devices"] = _add_rows(archive, pack.DEVICES, devices)
    counts |= {"states": dict(devices.states), "proven": devices.proven}
    _add_object(archive, pack.OPERATION, facts.about(operation, counts, now=now))
    return counts


def _add(archive: zipfile.ZipFile, name: str, parts: Iterable[bytes]) -> None:
    entry = zipfile.ZipInfo(name, ZIP_EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    with archive.open(entry, "w", force_zip64=True) as member:
        for part in parts:
            member.write(part)


def _add_object(archive: zipfile.ZipFile, name: str, what: dict[str, Any]) -> None:
    _add(archive, name, [json.dumps(what, indent=1).encode() + b"\n"])


def _add_rows(archive: zipfile.ZipFile, name: str, rows: Iterable[dict[str, Any]]) -> int:
    """Write one line of JSON a row; return how many there were."""
    number = 0

    def lines() -> Iterator[bytes]:
        nonlocal number
        for row in rows:
            number += 1
            yield json.dumps(row, separators=(",", ":")).encode() + b"\n"

    _add(archive, name, lines())
    return number


class _Devices:
    """Yields what became of every device, and counts as it goes."""

    def __init__(self, operation: Operation, *, leaves: set[str]) -> None:
        self.operation, self.leaves = operation, leaves
        self.states: Counter[str] = Counter()
        self.proven = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        rows = DeviceUpdate.objects.filter(update=self.operation.update_id)
        for row in rows.select_related("device").order_by("pk").iterator(ROWS_AT_ONCE):
            leaf = row.proof_leaf if row.proof_leaf in self.leaves else ""
            self.states[row.state] += 1
            self.proven += bool(leaf)
            yield facts.device(row, leaf=leaf)


def _ignored(operation: Operation) -> Iterator[dict[str, Any]]:
    """Who was left out, by whom and when."""
    events = DeviceUpdateEvent.objects.filter(
        device_update__update=operation.update_id, state=DeviceState.IGNORED
    )
    for event in events.select_related("device_update__device", "by").iterator(ROWS_AT_ONCE):
        device = event.device_update.device
        yield {
            "device": device.pk,
            "name": device.name,
            "at": facts.instant(event.at),
            "by": facts.person(event.by),
        }
