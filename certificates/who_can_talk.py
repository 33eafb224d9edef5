"""
Who can talk to whom: what each server sends, against each set of CAs that devices report.

For now, after the activation, after the retirement of the old CA and after a rollback. Of the
future only the servers are known: of devices it is taken that they trust then what they report now.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from cryptography import x509
from django.db.models import Count, Min

from certificates import sent as sending
from certificates.actions import decisions
from certificates.models import CertificateAuthority, Operation
from certificates.models.authority import TRUSTED_STATES, distinct
from certificates.models.authority import State as CAState
from certificates.models.operation import LIVE_STATES, State
from certificates.sent import ACTIVATION, NOW, RETIREMENT, ROLLBACK, Server
from certificates.wording import day_text
from devices.models import Device, DeviceQuerySet, Zone
from pki.reach import Judge, Way, WhyNot
from zcc.templatetags.numbers import count

SHOWN = 6
# Devices of one zone have a handful of different sets; what is beyond is not shown one by one.
MOST_SETS = 30
TITLES = {
    NOW: "Now",
    ACTIVATION: "After activation",
    RETIREMENT: "After retirement",
    ROLLBACK: "After rollback",
}
UNKNOWN = "Not known"
_BEFORE_ARMED = (State.REPLICATING, State.ASSIGNED)
_TAKEN_BACK = (State.CANCELLING, State.CANCEL_FAILED)
_JUDGE = Judge()  # what has been judged once is not judged again by this process


@dataclass(frozen=True)
class TrustSet:
    """The CAs that some devices report, those of the zone by row, and how many devices do."""

    digest: str
    known: list[CertificateAuthority]
    strangers: int
    number: int

    @property
    def is_reported(self) -> bool:
        return bool(self.known or self.strangers)


@dataclass(frozen=True)
class Cell:
    """Whether the devices of a row get through to a server, and why not."""

    server: Device
    word: str
    why: str = ""


@dataclass(frozen=True)
class Row:
    """Devices that report the same CAs."""

    trusts: TrustSet
    label: str
    cells: list[Cell]

    @property
    def number(self) -> int:
        return self.trusts.number

    @property
    def is_known(self) -> bool:
        return all(cell.word != UNKNOWN for cell in self.cells)

    @property
    def refusing(self) -> list[Device]:
        """The servers that its devices do not get through to."""
        return [cell.server for cell in self.cells if cell.word == Way.NO.value]

    @property
    def is_cut_off(self) -> bool:
        """Whether some server is out of reach."""
        return bool(self.refusing)

    @property
    def is_lost(self) -> bool:
        """Whether every server is."""
        return bool(self.cells) and len(self.refusing) == len(self.cells)


@dataclass(frozen=True)
class Table:
    """One state of the zone."""

    state: str
    servers: list[Server]
    rows: list[Row]
    missing: list[str]  # servers without a certificate

    @property
    def title(self) -> str:
        return TITLES[self.state]

    @property
    def cannot(self) -> int:
        return sum(row.number for row in self.rows if row.is_cut_off)

    @property
    def lost(self) -> int:
        """How many devices get through to no server at all."""
        return sum(row.number for row in self.rows if row.is_lost)

    @property
    def unknown(self) -> int:
        return sum(row.number for row in self.rows if not row.is_cut_off and not row.is_known)

    @property
    def total(self) -> int:
        return sum(row.number for row in self.rows)

    @property
    def can(self) -> int:
        return self.total - self.cannot - self.unknown

    @property
    def late(self) -> list[str]:
        """The servers that are away and are taken to stay as they are."""
        return [server.device.name for server in self.servers if server.is_late]


class WhoCanTalk:
    """The tables of a zone at one instant."""

    def __init__(self, zone: Zone, *, now: datetime) -> None:
        self.zone, self.now = zone, now

    @cached_property
    def operation(self) -> Operation | None:
        rows = Operation.objects.filter(zone=self.zone, state__in=LIVE_STATES, new_ca__isnull=False)
        return rows.select_related("old_ca", "new_ca", "update").order_by("pk").last()

    @property
    def states(self) -> list[str]:
        """The states that may come: without an operation it is only how it is now."""
        operation = self.operation
        if operation is None or operation.state in _TAKEN_BACK:
            return [NOW]
        if operation.state == State.ROLLING_BACK:
            return [NOW, ROLLBACK]
        found = [NOW]
        if operation.activated_at is None or operation.state == State.ACTIVATING:
            found.append(ACTIVATION)
        if not operation.is_strict:  # in Strict the activation is the retirement
            found.append(RETIREMENT)
        is_before = operation.activated_at is None and not operation.is_immediate
        if is_before or not decisions.why_not_rolled_back(operation):
            found.append(ROLLBACK)
        return found

    def table(self, state: str) -> Table:
        """Return what is so in that state; each chain is judged once for each set of CAs."""
        every = self._servers.in_state(state)
        servers = [server for server in every if server.sent is not None]
        rows = [self._row(trusts, state) for trusts in self._trust_sets]
        if self._others:
            others = TrustSet("", [], 0, self._others)
            unknown = [Cell(server.device, UNKNOWN) for server in servers]
            rows.append(Row(others, "Other sets of CAs", unknown))
        missing = [server.device.name for server in every if server.sent is None]
        return Table(state, servers, rows, missing)

    def devices_of(self, row: Row) -> list[Device]:
        """The first devices of a row, by name."""
        return list(self._devices.filter(trust_set=row.trusts.digest).order_by("name")[:SHOWN])

    def is_helped_by_refresh(self, row: Row, state: str) -> bool:
        """Whether its devices get through to a server now, and to all with what they get there."""
        if state == NOW or self.operation is None or self.operation.new_ca is None:
            return False
        told = [ca for ca in self._authorities.values() if ca.state in TRUSTED_STATES]
        told = [self.operation.new_ca] if state == RETIREMENT else [*told, self.operation.new_ca]
        follower = TrustSet("", distinct(told), 0, 1)
        at, servers = self._instant(state), self._servers.in_state(state)
        there = [one for one in servers if one.sent is not None and not one.is_late]
        then = [self._cell(one, follower, state, at).word for one in there]
        return Way.NO.value not in then and not self._row(row.trusts, NOW).is_lost

    @cached_property
    def _servers(self) -> sending.Servers:
        return sending.Servers(self.zone, self.operation, now=self.now)

    def _instant(self, state: str) -> datetime:
        planned = self.operation.activate_at if self.operation else self.now
        return self.now if state == NOW else max(self.now, planned)

    # Rows

    def _row(self, trusts: TrustSet, state: str) -> Row:
        at, servers = self._instant(state), self._servers.in_state(state)
        cells = [self._cell(one, trusts, state, at) for one in servers if one.sent is not None]
        return Row(trusts, self._label(trusts), cells)

    @property
    def _devices(self) -> DeviceQuerySet:
        return Device.objects.filter(zone=self.zone).active().exclude_primary_servers()

    @cached_property
    def _counts(self) -> list[tuple[str, int, str]]:
        """Each set's digest, how many devices report it, and the name of one of them."""
        rows = self._devices.values_list("trust_set").annotate(Count("pk"), Min("name")).order_by()
        return sorted(rows, key=lambda row: -row[1])

    @property
    def _others(self) -> int:
        return sum(number for _, number, _ in self._counts[MOST_SETS:])

    @cached_property
    def _trust_sets(self) -> list[TrustSet]:
        """The sets with most devices; who has reported nothing comes last."""
        shown = self._counts[:MOST_SETS]
        one_each = self._devices.filter(name__in=[name for *_, name in shown])
        reported = dict(one_each.values_list("trust_set", "trusted_fingerprints"))
        found = []
        for digest, number, _ in shown:
            fingerprints = set(reported.get(digest, []))
            known = [ca for sha256, ca in self._authorities.items() if sha256 in fingerprints]
            found.append(TrustSet(digest, known, len(fingerprints) - len(known), number))
        return sorted(found, key=lambda one: not one.is_reported)

    @cached_property
    def _authorities(self) -> dict[str, CertificateAuthority]:
        rows = CertificateAuthority.objects.filter(zone=self.zone).exclude(der=None)
        return {ca.sha256: ca for ca in rows.order_by("generation")}

    @cached_property
    def _loaded(self) -> dict[str, x509.Certificate]:
        return {sha256: ca.x509() for sha256, ca in self._authorities.items()}

    def _label(self, trusts: TrustSet) -> str:
        if not trusts.is_reported:
            return "Nothing reported"
        if self.operation is not None and not trusts.strangers:
            words = {self.operation.old_ca.sha256: "old", self._new_sha256: "new"}
            roles = [words.get(ca.sha256, "") for ca in trusts.known]
            if roles == ["old", "new"]:
                return "Old and new CA"
            if len(roles) == 1 and roles[0]:
                return f"Only the {roles[0]} CA"
        return " and ".join(self._parts(trusts))

    @property
    def _new_sha256(self) -> str:
        new = self.operation.new_ca if self.operation else None
        return new.sha256 if new else ""

    def _parts(self, trusts: TrustSet) -> Iterator[str]:
        for ca in trusts.known:
            gone = ca.retired_at if ca.state == CAState.RETIRED else None
            yield f"{ca.named}, retired {day_text(gone)}" if gone else ca.named
        if trusts.strangers:
            yield count(trusts.strangers, "CA not of this zone,CAs not of this zone")

    # Cells

    def _cell(self, server: Server, trusts: TrustSet, state: str, at: datetime) -> Cell:
        if not trusts.is_reported:
            return Cell(server.device, UNKNOWN)
        assert server.sent is not None  # one without a certificate is no column
        anchors = [self._loaded[ca.sha256] for ca in trusts.known]
        found = _JUDGE.way(server.sent, anchors, at=at)
        if found is not Way.NO:
            return Cell(server.device, found.value)
        because = _JUDGE.why_not(server.sent, anchors, at=at)
        return Cell(server.device, found.value, self._why_not(server, trusts, state, because))

    def _why_not(self, server: Server, trusts: TrustSet, state: str, because: WhyNot) -> str:
        if because is WhyNot.WRONG_NAME:
            return f"its certificate does not name {server.device.address}"
        if because is WhyNot.EXPIRED:
            return "the path has expired" if state == NOW else "the path will have expired"
        if not trusts.known:
            return "no CA of this zone"
        if all(ca.state in (CAState.RETIRED, CAState.CANCELLED) for ca in trusts.known):
            return "nothing leads to a CA that is retired"
        return self._why_no_path(server, state)

    def _why_no_path(self, server: Server, state: str) -> str:
        assert server.sent is not None  # otherwise nothing is known
        operation = self.operation
        if server.sent.link is not None:
            return "the link speaks for another CA"
        if server.is_late:
            return "it is away and sends no link"
        if state == RETIREMENT:
            return "the link has ended"
        if operation is not None and operation.is_strict:
            return "Strict: no link is sent"
        if operation is not None and state == NOW and operation.state in _BEFORE_ARMED:
            return "no link before it is armed"
        return "no link is sent"
