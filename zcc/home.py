"""What Home answers: is the zone all right, what is happening, what must be done next."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

from django.urls import reverse

from certificates.answers import EXPIRY_WARNING, answers
from certificates.devices_at_risk import at_risk
from certificates.models import CertificateAuthority, Operation, OperationEvent, ServerCertificate
from certificates.models.operation import State as OperationState
from certificates.server_rows import server_rows
from certificates.standing import Standing
from devices.models import Device, Zone
from devices.standing import Standing as Contact
from devices.standing import standing
from systemupdates import overview
from systemupdates.models import Replication, SystemUpdate
from systemupdates.models.replication import State as ReplicationState
from zcc.ground.situation import Answer, Answers
from zcc.templatetags.numbers import count
from zcc.templatetags.times import planned_text, span

ACTIVITY = 8
EXPIRIES = 5
SILENT_NAMES = 3


@dataclass(frozen=True)
class Attention:
    """One thing that somebody should look at, and where."""

    family: str
    icon: str
    title: str
    text: str
    url: str
    action: str


@dataclass(frozen=True)
class Expiry:
    """What expires when."""

    name: str
    valid_from: datetime
    expires_at: datetime


@dataclass(frozen=True)
class Server:
    """A Primary Server or Satellite and how it is."""

    device: Device
    standing: Contact
    role: str


class Home:
    """The parts of the page, each from a fixed number of queries."""

    def __init__(self, zone: Zone, *, now: datetime) -> None:
        self.zone, self.now = zone, now

    @cached_property
    def standing(self) -> Standing:
        """How the certificates stand: Configuration > Certificates says the same."""
        return Standing(self.zone, now=self.now)

    @property
    def operation(self) -> Operation | None:
        """The operation in which something is still to be done, if any."""
        return self.standing.operation

    @property
    def counts(self) -> overview.Counts:
        """How far the devices are with that operation's update."""
        return self.standing.counts

    @cached_property
    def certificates(self) -> list[ServerCertificate]:
        rows = ServerCertificate.objects.current().filter(device__retired_at=None)
        return list(rows.select_related("device").order_by("expires_at", "device__name"))

    @cached_property
    def servers(self) -> list[Server]:
        devices = Device.objects.filter(zone=self.zone).active()
        devices = devices.tls_servers() | devices.content_servers()
        rows = devices.select_related("heartbeat", "zone").order_by("kind", "name")
        intervals = self.zone.folders.intervals()
        return [
            Server(row, standing(row, now=self.now, intervals=intervals), self._role(row))
            for row in rows
        ]

    def _role(self, device: Device) -> str:
        if not device.is_primary_server:
            return f"{' and '.join(device.roles)} Satellite"
        ca = self.standing.authority
        return (
            "Primary Server, CA role"
            if ca is not None and ca.is_role_of(device)
            else "Primary Server"
        )

    @cached_property
    def activity(self) -> list[OperationEvent]:
        rows = OperationEvent.objects.filter(operation__zone=self.zone)
        return list(rows.select_related("by", "operation").order_by("-at", "-pk")[:ACTIVITY])

    @cached_property
    def expiries(self) -> list[Expiry]:
        """The CA, then the servers' certificates, those that end on one day together."""
        found = (
            [Expiry("Zone CA", *_life(self.standing.authority))] if self.standing.authority else []
        )
        by_day: dict[object, list[ServerCertificate]] = {}
        for row in self.certificates:
            if row.expires_at:
                by_day.setdefault(row.expires_at.date(), []).append(row)
        for rows in by_day.values():
            names = ", ".join(row.device.name for row in rows)
            found.append(Expiry(names, *_life(rows[0])))
        return sorted(found, key=lambda expiry: expiry.expires_at)[:EXPIRIES]

    @cached_property
    def attention(self) -> list[Attention]:
        return [
            *self._operation_problems(),
            *self._expiring(),
            *self._failed_devices(),
            *self._silent_servers(),
            *self._wrong_clocks(),
            *self._missing_content(),
        ]

    def _operation_problems(self) -> Iterator[Attention]:
        operation = self.operation
        if operation is None:
            return
        url = reverse("certificates:index")
        if operation.state == OperationState.CANCEL_FAILED:
            title = f"{operation.get_kind_display()} could not be canceled"
            yield Attention("bad", "x-octagon-fill", title, operation.problem, url, "Certificates")
        if operation.held_reason:
            title = f"{operation.get_kind_display()} is held"
            text = operation.held_reason
            yield Attention("warn", "pause-circle-fill", title, text, url, "Certificates")

    def _expiring(self) -> Iterator[Attention]:
        ca = self.standing.authority
        if ca is None or ca.expires_at is None or ca.expires_at > self.now + EXPIRY_WARNING:
            return
        url = reverse("certificates:index")
        if ca.is_expired(self.now):
            title, family = "The Zone CA has expired", "bad"
        else:
            days = (ca.expires_at - self.now).days
            title, family = f"The Zone CA will expire in {count(days, 'day')}", "warn"
        way = "Remint CA or Change CA" if ca.is_internal else "Change CA"
        text = f"It ends {planned_text(ca.expires_at)}. {way} replaces it in time."
        yield Attention(family, "clock-history", title, text, url, "Certificates")

    def _failed_devices(self) -> Iterator[Attention]:
        failed = self.counts.failed
        if self.operation is None or not failed:
            return
        url = reverse("systemupdates:status_by_device", args=[self.operation.update_id])
        title = f"The update failed on {count(failed, 'device')}"
        text = "The reason stands beside each; Redeploy starts it again."
        action = f"View all {failed:,}" if failed > 1 else "View it"
        yield Attention(
            "warn", "exclamation-triangle-fill", title, text, f"{url}?count=failed", action
        )

    def _silent_servers(self) -> Iterator[Attention]:
        for server in self.servers:
            device = server.device
            if server.standing.family != "warn" or device.last_contact_at is None:
                continue
            title = f"{device.name} has not reported for {span(self.now - device.last_contact_at)}"
            text = (
                f"{server.role}. An operation does not wait for it; it catches up when it is back."
            )
            url = reverse("devices:summary", args=[device.pk])
            yield Attention("warn", "hdd-network", title, text, url, "Open")

    def _wrong_clocks(self) -> Iterator[Attention]:
        for server in self.servers:
            beat = getattr(server.device, "heartbeat", None)
            if beat is None or not beat.has_wrong_clock:
                continue
            side = "fast" if beat.skew > timedelta() else "slow"
            title = f"The clock of {server.device.name} is {span(abs(beat.skew))} {side}"
            text = "Operations go by the database's clock; logs of this server do not."
            url = reverse("devices:summary", args=[server.device.pk])
            yield Attention("warn", "clock", title, text, url, "Open")

    def _missing_content(self) -> Iterator[Attention]:
        rows = Replication.objects.filter(
            update__in=SystemUpdate.objects.open(),
            server__retired_at=None,
            state=ReplicationState.FAILED,
        ).select_related("server", "update")
        for row in rows[:ACTIVITY]:
            title = f"{row.server.name} has not fetched {row.update.name}"
            url = reverse("systemupdates:replication_status", args=[row.update_id])
            yield Attention("warn", "hdd-network", title, row.last_error, url, "Replication status")

    @cached_property
    def answers(self) -> Answers:
        """Say what Certificates says, and what else there is in the zone."""
        rows, risk = server_rows(self.standing), at_risk(self.standing)
        said = answers(self.standing, rows, risk)
        happening = said.happening
        if self.operation is not None and not happening.url:
            happening = replace(happening, url=reverse("certificates:index"))
        return Answers(self._all_right(said.all_right), happening, self._next(said.next))

    def _all_right(self, said: Answer) -> Answer:
        silent = [row.device.name for row in self.servers if row.standing.family == "warn"]
        if said.family != "ok" or not silent:
            return said
        which = "a server is" if len(silent) == 1 else f"{len(silent)} servers are"
        say = f"All certificates are in force, but {which} silent."
        return Answer("warn", say, ", ".join(silent[:SILENT_NAMES]))

    def _next(self, said: Answer) -> Answer:
        if said.family != "next" or not self.attention:
            return said
        first, others = self.attention[0], len(self.attention) - 1
        more = f"And {count(others, 'thing')} more below." if others else first.text
        return Answer(first.family, f"{first.title}.", more, first.url)


def _life(row: CertificateAuthority | ServerCertificate) -> tuple[datetime, datetime]:
    assert row.valid_from is not None and row.expires_at is not None
    return row.valid_from, row.expires_at
