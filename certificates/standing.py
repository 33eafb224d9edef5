"""
How the zone's certificates stand at one instant: what both panes and the three answers are made of.

Each question is asked of the database at most once, and none costs more with more devices or
servers than one grouped query.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from certificates import guard, links
from certificates.cut_off import CutOff, cut_off
from certificates.devices_left_behind import LeftBehind
from certificates.models import (
    CertificateAuthority,
    LinkCertificate,
    Operation,
    OperationEvent,
    ServerProgress,
    VerifiedBackup,
)
from certificates.models.authority import State as CAState
from certificates.models.operation import State
from devices.models import Device, Zone
from systemupdates import overview
from systemupdates.models import Replication

# After the activation devices and late servers follow; then nothing moves by the second any more.
SETTLING = timedelta(minutes=10)


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
    def ca_server_is_away(self) -> str:
        """Why nothing can be done with the CA's key, nothing if its server runs."""
        server = self.authority.server if self.authority and self.authority.is_internal else None
        if server is None or server.is_alive(self.now):
            return ""
        return (
            f"{server.name}, which has the CA's key, does not run. Start it. If it is gone for "
            "good, use Restore CA with a backup."
        )

    @cached_property
    def backup(self) -> VerifiedBackup | None:
        """The last verified backup that holds the key of the active CA."""
        rows = VerifiedBackup.objects.filter(authority=self.authority).select_related("by")
        return rows.order_by("at").last() if self.authority else None

    @cached_property
    def earlier_backup(self) -> VerifiedBackup | None:
        """The last verified backup of an older CA, for when there is none of the active one."""
        rows = VerifiedBackup.objects.filter(authority__zone=self.zone).select_related("authority")
        return rows.order_by("at").last()

    @property
    def needs_backup(self) -> bool:
        """Whether the key of the active CA is on its server and nowhere else."""
        return bool(self.authority and self.authority.is_internal and self.backup is None)

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
        states = (State.CANCELLING, State.CANCEL_FAILED, State.CANCELLED)
        return self.operation is not None and self.operation.state in states

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
        rows = guard.lost(operation)
        number = rows.count()
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
        return 0 if operation.is_immediate else guard.lost(operation).count()

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
        rows = LeftBehind(operation).without_new
        return StrandedDevices(rows.count(), list(rows[:SHOWN]))

    @cached_property
    def cut_off(self) -> CutOff:
        """Who trusts no CA of the zone any more: the Certificate Updater Tool brings them back."""
        return cut_off(self.zone)

    @cached_property
    def proven(self) -> int:
        """How many devices hold a proof; Primary Servers need none."""
        return guard.proven(self.operation).count() if self.operation else 0

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
        return rows.missing().select_related("server").order_by("-due_at", "server__name").first()

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
    def future_certificates(self) -> int:
        if self.operation is None:
            return 0
        return self.operation.server_certificates.exclude(sha256="").count()

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
        return LinkCertificate.objects.filter(
            certified=self.authority,
            authority=links.oldest_beside(self.authority),
            revoked_at=None,
        ).first()

    @cached_property
    def others_superseded(self) -> int:
        """How many more old CAs are still trusted."""
        rows = CertificateAuthority.objects.filter(zone=self.zone, state=CAState.SUPERSEDED)
        return max(rows.count() - 1, 0) if self.superseded else 0
