"""
How the zone's certificates stand at one instant: what both panes and the three answers are made of.

Each question is asked of the database at most once, and none costs more with more devices or
servers than one grouped query.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django.db.models import QuerySet

from certificates import guard, identity_cas, links, readiness
from certificates.cut_off import CutOff, cut_off
from certificates.devices_left_behind import LeftBehind
from certificates.mobiles_to_enrol import Numbers, numbers, to_enrol
from certificates.models import (
    CertificateAuthority,
    IdentityCA,
    LinkCertificate,
    Operation,
    OperationEvent,
    ServerProgress,
    VerifiedBackup,
)
from certificates.models.authority import State as CAState
from certificates.models.operation import State
from certificates.models.server_certificate import State as CertificateState
from devices.models import Device, Zone
from devices.standing import silent
from systemupdates import overview
from systemupdates.models import Replication
from zcc.ground import counting

# After the activation devices and late servers follow; then nothing moves by the second any more.
SETTLING = timedelta(minutes=10)
# Then what servers had is canceled because the operation ends, not because it was replaced.
_TAKING_BACK = (State.CANCELLING, State.CANCEL_FAILED, State.ROLLING_BACK)

SHOWN = 6


@dataclass(frozen=True)
class LostDevices:
    """How many would be lost, the first of them, and whether they are signed off."""

    number: int = 0
    first: list[guard.Lost] = field(default_factory=list)
    signed: bool = False

    @property
    def rest(self) -> int:
        return self.number - len(self.first)


@dataclass(frozen=True)
class StrandedDevices:
    """How many devices an expired CA has left behind, and the first of them."""

    number: int = 0
    first: list[Device] = field(default_factory=list)

    @property
    def rest(self) -> int:
        return self.number - len(self.first)


class Standing:
    """The zone's CA, its operation, and how far servers and devices are with it."""

    def __init__(self, zone: Zone, *, now: datetime) -> None:
        self.zone, self.now = zone, now

    @cached_property
    def authority(self) -> CertificateAuthority | None:
        rows = CertificateAuthority.objects.filter(zone=self.zone, state=CAState.ACTIVE)
        return rows.select_related("server__heartbeat", "zone").first()

    @cached_property
    def identity_ca(self) -> IdentityCA | None:
        """Who signs identities of mobile devices while the CA is an external one."""
        return identity_cas.in_force(self.authority) if self.authority else None

    @cached_property
    def identity_ca_problem(self) -> str:
        """Why that one could not be made yet, nothing if nobody knows."""
        rows = IdentityCA.objects.in_force().filter(authority=self.authority, der=None)
        return rows.values_list("problem", flat=True).first() or ""

    @cached_property
    def ca_server_is_away(self) -> str:
        """Why nothing can be done with the CA's key, or the update key; nothing if it can."""
        authority, server = self.authority, self.authority.server if self.authority else None
        if authority is None or server is None or server.is_alive(self.now):
            return ""
        has = (
            "has the CA's key" if authority.is_internal else "signs what devices are told to trust"
        )
        return (
            f"{server.name}, which {has}, does not run. Start it. If it is gone for good, use "
            "Restore CA with a backup."
        )

    @cached_property
    def backup(self) -> VerifiedBackup | None:
        """The last verified backup with the key of the active CA; of an external one, of all."""
        if self.authority is None:
            return None
        if not self.authority.is_internal:
            return self.earlier_backup  # each has the update key
        rows = VerifiedBackup.objects.filter(authority=self.authority).select_related("by")
        return rows.order_by("at").last()

    @cached_property
    def earlier_backup(self) -> VerifiedBackup | None:
        """The last verified backup of an older CA, for when there is none of the active one."""
        rows = VerifiedBackup.objects.filter(authority__zone=self.zone)
        return rows.select_related("authority", "by").order_by("at").last()

    @property
    def needs_backup(self) -> bool:
        """Whether the active CA's key, or beside an external CA the update key, exists once."""
        return self.authority is not None and self.backup is None

    @cached_property
    def operation(self) -> Operation | None:
        """The newest operation in which something is still to be done, if any."""
        rows = Operation.objects.filter(zone=self.zone).live().order_by("pk")
        return rows.select_related(
            "update", "old_ca", "new_ca", "initiating_server", "created_by", "zone"
        ).last()

    @cached_property
    def open_operation(self) -> Operation | None:
        """The operation that is in the way of another one."""
        return self.operation if self.operation and self.operation.is_open else None

    @cached_property
    def notice(self) -> Operation | None:
        """An operation whose failure somebody must see and put away."""
        ended = Operation.objects.filter(zone=self.zone).exclude(problem="")
        return ended.filter(state__in=[State.CANCEL_FAILED, State.FAILED]).order_by("pk").last()

    @cached_property
    def last_operation(self) -> Operation | None:
        return Operation.objects.filter(zone=self.zone).order_by("pk").last()

    @cached_property
    def is_moving(self) -> bool:
        """Whether the page should look every two seconds: something may change any moment."""
        operation = self.operation
        if operation is None:
            return False
        activated = operation.activated_at
        return operation.is_open or (activated is not None and self.now < activated + SETTLING)

    @property
    def is_taken_back(self) -> bool:
        """Whether the operation is being cancelled: nobody has to get ready for it any more."""
        return self.operation is not None and self.operation.is_taken_back

    @cached_property
    def counts(self) -> overview.Counts:
        if self.operation is None:
            return overview.Counts()
        return overview.count_devices([self.operation.update])[self.operation.update_id]

    @cached_property
    def lost(self) -> LostDevices:
        """Who would be lost; in Strict everybody at first, so it is said when it is held."""
        operation = self.operation
        if operation is None or operation.state not in (State.ASSIGNED, State.ARMED):
            return LostDevices()
        if operation.is_immediate:
            return LostDevices()  # there was no activation to get ready for: see `stranded`
        if operation.is_strict and operation.state == State.ASSIGNED and not operation.is_held:
            return LostDevices()
        rows, number = guard.lost(operation), self.would_be_lost
        if not number:
            return LostDevices()
        signed = not guard.unsigned(operation, guard.standing_sign_off(operation)).exists()
        return LostDevices(number, guard.why_lost(rows[:SHOWN], operation), signed)

    @cached_property
    def would_be_lost(self) -> int:
        """How many the operation would lose if it were activated as things stand."""
        operation = self.operation
        if operation is None or operation.state not in (State.ASSIGNED, State.ARMED):
            return 0
        return 0 if operation.is_immediate else self._number("lost", guard.lost(operation))

    def _number(self, word: str, rows: QuerySet[Any]) -> int:
        """Count devices in the operation; in a large zone it is kept for a moment."""
        assert self.operation is not None

        def count() -> dict[str, int]:
            number = rows.count()
            return {"these": number, "others": max(self.devices - number, 0)}

        key = (word, self.operation.guid, self.operation.state, self.operation.activate_at)
        return counting.kept(key, count)["these"]

    @property
    def signed_off(self) -> bool:
        """Whether somebody accepted that the operation loses devices."""
        return self.operation is not None and self.operation.sign_offs.exists()

    @cached_property
    def stranded(self) -> StrandedDevices:
        """After an Immediate activation: who has not reported the new CA yet."""
        operation = self.operation
        if operation is None or not operation.is_immediate or operation.activated_at is None:
            return StrandedDevices()
        links_help = to_enrol(self.zone, now=self.now).values("pk")
        rows = LeftBehind(operation).without_new.exclude(pk__in=links_help)
        return StrandedDevices(rows.count(), list(rows[:SHOWN]))

    @cached_property
    def mobiles_to_enrol(self) -> Numbers:
        """Mobiles that cannot call any more: each needs a link."""
        return numbers(self.zone, now=self.now)

    @cached_property
    def cut_off(self) -> CutOff:
        """Who trusts no CA of the zone any more: the Certificate Updater Tool brings them back."""
        return cut_off(self.zone)

    @cached_property
    def readiness(self) -> readiness.Readiness | None:
        """How many are ready for the activation; None once it is over, or was taken back."""
        operation = self.operation
        if operation is None or operation.activated_at or operation.is_taken_back:
            return None
        ready = readiness.counted(operation).filter(readiness.is_ready(operation))
        return readiness.Readiness(
            self._number("ready", ready),
            self._number("proven", guard.proven(operation)),
            readiness.without_certificate(operation).count(),
        )

    @property
    def ready_percent(self) -> int:
        """Rounded down: never 100 while one is missing."""
        ready = self.readiness.ready if self.readiness else 0
        return ready * 100 // self.counts.counted if self.counts.counted else 0

    @cached_property
    def replicas(self) -> overview.Replicated:
        if self.operation is None:
            return overview.Replicated()
        return overview.count_replicas([self.operation.update])[self.operation.update_id]

    @cached_property
    def behind(self) -> Replication | None:
        """The content server that will have the content last."""
        if self.operation is None:
            return None
        rows = Replication.objects.filter(update=self.operation.update, server__retired_at=None)
        return (
            rows.missing()
            .select_related("server__zone")
            .order_by("-due_at", "server__name")
            .first()
        )

    @cached_property
    def progress(self) -> list[ServerProgress]:
        """How far each server is in the operation, retired ones left out."""
        if self.operation is None:
            return []
        rows = self.operation.servers.filter(device__retired_at=None)
        return list(
            rows.select_related("device__heartbeat", "device__zone").order_by("device__name")
        )

    @cached_property
    def late_servers(self) -> list[Device]:
        """Primary Servers without a heartbeat: nobody waits for them."""
        servers = [row.device for row in self.progress if row.device.is_primary_server]
        return [server for server in servers if not server.is_alive(self.now)]

    @cached_property
    def unswitched(self) -> list[Device]:
        """Servers that still show their old certificate."""
        return [row.device for row in self.progress if row.activated_at is None]

    def how_many(self, column: str) -> int:
        """Return how many servers have come to a step, by the column that notes it."""
        return sum(getattr(row, column) is not None for row in self.progress)

    @cached_property
    def events(self) -> dict[str, OperationEvent]:
        """When the operation came into each state, and who moved it: the last time."""
        if self.operation is None:
            return {}
        found: dict[str, OperationEvent] = {}
        before = ""
        for row in self.operation.events.select_related("by"):
            if row.state != before:  # otherwise a note: held, postponed, signed off
                found[row.state] = row
            before = row.state
        return found

    @cached_property
    def devices(self) -> int:
        return Device.objects.filter(zone=self.zone).active().count()

    @cached_property
    def silent(self) -> int:
        """How many devices are silent, each by its own schedule."""

        def count() -> dict[str, int]:
            number = Device.objects.filter(silent(self.zone, now=self.now)).count()
            return {"these": number, "others": max(self.devices - number, 0)}

        return counting.kept(("silent", self.zone.pk), count)["these"]

    @cached_property
    def future_certificates(self) -> int:
        """How many servers have a certificate of the operation; one that was replaced is none."""
        if self.operation is None:
            return 0
        rows = self.operation.server_certificates.exclude(sha256="")
        if self.operation.is_live and self.operation.state not in _TAKING_BACK:
            rows = rows.exclude(state=CertificateState.CANCELLED)
        servers = self.operation.servers.filter(device__retired_at=None).values("device")
        return rows.filter(device__in=servers).values("device").distinct().count()

    @cached_property
    def superseded(self) -> CertificateAuthority | None:
        """The old CA that is still trusted beside the active one; of several the newest."""
        rows = CertificateAuthority.objects.filter(zone=self.zone, state=CAState.SUPERSEDED)
        return rows.order_by("generation").last()

    @cached_property
    def link(self) -> LinkCertificate | None:
        """The active CA signed by the oldest one that is still trusted: what servers send."""
        if self.authority is None or self.superseded is None:
            return None
        rows = LinkCertificate.objects.filter(certified=self.authority, revoked_at=None)
        rows = rows.filter(authority=links.oldest_beside(self.authority))
        return rows.select_related("authority").first()

    @cached_property
    def others_superseded(self) -> int:
        """How many more old CAs are still trusted."""
        rows = CertificateAuthority.objects.filter(zone=self.zone, state=CAState.SUPERSEDED)
        return max(rows.count() - 1, 0) if self.superseded else 0
