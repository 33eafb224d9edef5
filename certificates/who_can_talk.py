"""
Who can talk to whom: what each server sends, against each set of CAs that devices report.

For now, after the activation, after the retirement of the old CA and after a rollback. Of the
future only the servers are known: of devices it is taken that they trust then what they report now.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.db.models import Count, QuerySet, TextField
from django.db.models.functions import Cast

from certificates import links
from certificates.models import (
    CertificateAuthority,
    LinkCertificate,
    Operation,
    ServerCertificate,
)
from certificates.models.operation import LIVE_STATES, State
from certificates.models.server_certificate import State as CertificateState
from devices.models import Device, Zone
from pki.reach import Sent, Way, way
from zcc.templatetags.numbers import count

SHOWN = 6
NOW, ACTIVATION, RETIREMENT, ROLLBACK = "now", "activation", "retirement", "rollback"
TITLES = {
    NOW: "Now",
    ACTIVATION: "After activation",
    RETIREMENT: "After retirement",
    ROLLBACK: "After rollback",
}
UNKNOWN = "Not known"
# From then on it is too late to cancel, and the old certificate is sent with the bridge.
_ARMED = (State.ARMED,)
_SWITCHED = (State.ACTIVATING, State.OVERLAP)


@dataclass(frozen=True)
class Server:
    """A column: the server, and in words what it sends."""

    device: Device
    says: str
    sent: Sent | None


@dataclass(frozen=True)
class Cell:
    """Whether the devices of a row get through to a server, and why not."""

    server: Device
    word: str
    why: str = ""


@dataclass(frozen=True)
class Row:
    """Devices that report the same CAs."""

    reported: str
    label: str
    number: int
    cells: list[Cell]

    @property
    def is_known(self) -> bool:
        return all(cell.word != UNKNOWN for cell in self.cells)

    @property
    def is_cut_off(self) -> bool:
        """Whether some server is out of reach."""
        return any(cell.word == Way.NO.value for cell in self.cells)

    @property
    def is_lost(self) -> bool:
        """Whether every server is."""
        return bool(self.cells) and all(cell.word == Way.NO.value for cell in self.cells)


@dataclass(frozen=True)
class Table:
    """One state of the zone."""

    state: str
    servers: list[Server]
    rows: list[Row]

    @property
    def title(self) -> str:
        return TITLES[self.state]

    @property
    def cannot(self) -> int:
        return sum(row.number for row in self.rows if row.is_cut_off)

    @property
    def unknown(self) -> int:
        return sum(row.number for row in self.rows if not row.is_known)

    @property
    def total(self) -> int:
        return sum(row.number for row in self.rows)

    @property
    def can(self) -> int:
        return self.total - self.cannot - self.unknown


class WhoCanTalk:
    """The tables of a zone at one instant."""

    def __init__(self, zone: Zone, *, now: datetime) -> None:
        self.zone, self.now = zone, now

    @cached_property
    def operation(self) -> Operation | None:
        rows = Operation.objects.filter(zone=self.zone, state__in=LIVE_STATES, new_ca__isnull=False)
        return rows.select_related("old_ca", "new_ca").order_by("pk").last()

    @property
    def states(self) -> list[str]:
        """The states that there are: without an operation it is only how it is now."""
        if self.operation is None:
            return [NOW]
        is_over = self.operation.activated_at is not None
        return [NOW, RETIREMENT, ROLLBACK] if is_over else [NOW, ACTIVATION, RETIREMENT, ROLLBACK]

    def table(self, state: str) -> Table:
        """Return what is so in that state; each chain is judged once for each set of CAs."""
        at = self._instant(state)
        servers = [self._server(device, state) for device in self._devices]
        rows = []
        for reported, number in self._reported:
            cells = [self._cell(server, reported, at=at) for server in servers]
            rows.append(Row(reported, self._label(reported), number, cells))
        return Table(state, servers, rows)

    def devices_of(self, row: Row) -> "QuerySet[Device]":
        """The devices of a row, by name."""
        return _reporting(self.zone).filter(reported=row.reported).order_by("name")

    def _instant(self, state: str) -> datetime:
        planned = self.operation.activate_at if self.operation else self.now
        return self.now if state == NOW else max(self.now, planned)

    # Rows

    @cached_property
    def _reported(self) -> list[tuple[str, int]]:
        rows = _reporting(self.zone).values_list("reported").annotate(number=Count("pk"))
        return sorted(rows, key=lambda row: (row[0] == "[]", -row[1]))

    @cached_property
    def _authorities(self) -> dict[str, CertificateAuthority]:
        rows = CertificateAuthority.objects.filter(zone=self.zone).exclude(der=None)
        return {ca.sha256: ca for ca in rows.order_by("generation")}

    def _anchors(self, reported: str) -> list[x509.Certificate]:
        known = (self._authorities.get(sha256) for sha256 in json.loads(reported))
        return [ca.x509() for ca in known if ca is not None]

    def _label(self, reported: str) -> str:
        fingerprints = json.loads(reported)
        if not fingerprints:
            return "Nothing reported"
        known = [ca for sha256, ca in self._authorities.items() if sha256 in fingerprints]
        strangers = len(fingerprints) - len(known)
        said = [ca.named for ca in known]
        if self.operation is not None and len(known) == len(fingerprints):
            of_operation = {self.operation.old_ca_id: "old", self.operation.new_ca_id: "new"}
            words = [of_operation.get(ca.pk) for ca in known]
            if words == ["old", "new"]:
                return "Old and new CA"
            if len(words) == 1 and words[0]:
                return f"Only the {words[0]} CA"
        if strangers:
            said.append(count(strangers, "unknown CA"))
        return " and ".join(said)

    def _cell(self, server: Server, reported: str, *, at: datetime) -> Cell:
        if reported == "[]":
            return Cell(server.device, UNKNOWN)
        if server.sent is None:
            return Cell(server.device, Way.NO.value, "it has no certificate")
        found = way(server.sent, self._anchors(reported), at=at)
        why = _why_not(server) if found is Way.NO else ""
        return Cell(server.device, found.value, why)

    # Columns

    @cached_property
    def _devices(self) -> list[Device]:
        servers = Device.objects.filter(zone=self.zone).active().tls_servers()
        return list(servers.select_related("heartbeat").order_by("-kind", "name"))

    @cached_property
    def _certificates(self) -> dict[int, list[ServerCertificate]]:
        """The certificates of each server, newest first: future, current, those before."""
        found: dict[int, list[ServerCertificate]] = {device.pk: [] for device in self._devices}
        rows = ServerCertificate.objects.filter(device__in=found).exclude(der=None)
        for row in rows.select_related("authority").order_by("-pk"):
            found[row.device_id].append(row)
        return found

    def _one(self, device: Device, *states: str, old: bool = False) -> ServerCertificate | None:
        rows = [row for row in self._certificates[device.pk] if row.state in states]
        if old and self.operation is not None:
            rows = [row for row in rows if row.authority_id == self.operation.old_ca_id]
        return rows[0] if rows else None

    def _server(self, device: Device, state: str) -> Server:
        current = self._one(device, CertificateState.CURRENT)
        if state == NOW or self.operation is None:
            return self._as_it_is(device, current)
        future = self._one(device, CertificateState.FUTURE)
        is_late = device.is_primary_server and not device.is_alive(self.now)
        if state == ROLLBACK:
            return self._rolled_back(device, current)
        shown = current if is_late or future is None else future
        if shown is None or shown.authority_id != self.operation.new_ca_id:
            return self._column(device, shown, "late: old certificate")
        if state == RETIREMENT:
            return self._column(device, shown, "new certificate")
        before = None if self.operation.is_strict else current
        return self._column(
            device, shown, "new certificate", link=links.carrier(self.operation), rescue=before
        )

    def _as_it_is(self, device: Device, current: ServerCertificate | None) -> Server:
        operation = self.operation
        if current is None or current.authority is None:
            return self._column(device, current, "certificate")
        if operation is None or current.authority_id == operation.old_ca_id:
            is_armed = operation is not None and operation.state in _ARMED
            bridge = links.bridge(operation) if operation is not None and is_armed else None
            link = bridge or links.for_leaf_of(current.authority)
            is_backward = bridge is not None or _is_older(current.authority)
            return self._column(device, current, "certificate", link=link, is_backward=is_backward)
        has_old_chain = operation.state in _SWITCHED and not operation.is_strict
        before = self._one(device, CertificateState.PREVIOUS, old=True) if has_old_chain else None
        link = links.for_leaf_of(current.authority)
        return self._column(device, current, "new certificate", link=link, rescue=before)

    def _rolled_back(self, device: Device, current: ServerCertificate | None) -> Server:
        """The old certificate with the backward link; the rescue port shows the new chain."""
        assert self.operation is not None  # only of an operation one can go back
        states = (CertificateState.CURRENT, CertificateState.PREVIOUS)
        shown = self._one(device, *states, old=True) or current
        new = current if current is not shown else self._one(device, CertificateState.FUTURE)
        return self._column(
            device,
            shown,
            "old certificate",
            link=_backward(self.operation),
            is_backward=True,
            rescue=new,
        )

    def _column(
        self,
        device: Device,
        row: ServerCertificate | None,
        says: str,
        *,
        link: bytes | None = None,
        is_backward: bool = False,
        rescue: ServerCertificate | None = None,
    ) -> Server:
        if row is None:
            return Server(device, "no certificate", None)
        linked = x509.load_pem_x509_certificate(link) if link else None
        name = device.address
        shown = tuple(_chain(rescue)) if rescue is not None else ()
        sent = Sent(name, tuple(_chain(row)), linked, is_backward, shown)
        words = {False: "link", True: "backward link"}
        return Server(device, f"{says}, {words[is_backward]}" if linked else says, sent)


def _reporting(zone: Zone) -> "QuerySet[Any]":
    devices = Device.objects.filter(zone=zone).active().exclude_primary_servers()
    return devices.annotate(reported=Cast("trusted_fingerprints", TextField()))


def _chain(row: ServerCertificate) -> Iterator[x509.Certificate]:
    yield row.x509()
    if row.intermediates:
        yield from x509.load_pem_x509_certificates(row.intermediates.encode())


def _is_older(authority: CertificateAuthority) -> bool:
    """Whether the CA in whose name the link to this one is sent came after it: rolled back."""
    beside = links.oldest_beside(authority)
    return beside is not None and beside.generation > authority.generation


def _backward(operation: Operation) -> bytes | None:
    found = LinkCertificate.objects.filter(
        certified=operation.old_ca_id, authority=operation.new_ca_id, revoked_at=None
    )
    link = found.order_by("pk").last()
    return link.x509().public_bytes(Encoding.PEM) if link else None


def _why_not(server: Server) -> str:
    assert server.sent is not None  # that was said already
    if server.says.startswith("late"):
        return "late: old certificate without link"
    without = [] if server.sent.link else ["no link"]
    without += [] if server.sent.rescue else ["no rescue port"]
    return " and ".join(without) or "neither link nor rescue port speaks for its CAs"
