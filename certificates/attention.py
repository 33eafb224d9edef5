"""
What somebody should look at in the zone: Home lists it, the three answers say the first of it.

Each question is asked of the database at most once, however many servers there are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

from django.urls import reverse

from certificates.models.operation import State as OperationState
from certificates.standing import Standing
from devices.listing import silent_url
from devices.models import Device
from devices.standing import Standing as Contact
from devices.standing import standing as contact
from systemupdates.models import Replication, SystemUpdate
from systemupdates.models.replication import State as ReplicationState
from zcc.ground.situation import Answer
from zcc.templatetags.numbers import count
from zcc.templatetags.times import coarse, planned_text, span

# From 90 days on the console warns that a CA ends (spec.md, section 10).
EXPIRY_WARNING = timedelta(days=90)
CONTENT_SHOWN = 8
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
class Server:
    """A Primary Server or Satellite and how it is."""

    device: Device
    standing: Contact
    role: str


class NeedsAttention:
    """The zone's servers, and what is wrong that cannot wait."""

    def __init__(self, standing: Standing) -> None:
        self.standing = standing
        self.zone, self.now = standing.zone, standing.now

    @cached_property
    def items(self) -> list[Attention]:
        """What is wrong, the most urgent first."""
        return [
            *self._operation_problems(),
            *self._expiring(),
            *self._failed_devices(),
            *self._silent_servers(),
            *self._wrong_clocks(),
            *self._missing_content(),
        ]

    def first(self) -> Answer | None:
        """What must be done next, when nothing else has to be."""
        if not self.items:
            return None
        first, others = self.items[0], len(self.items) - 1
        needs = "thing needs" if others == 1 else "things need"
        more = f"{others:,} more {needs} attention." if others else first.text
        return Answer(first.family, f"{first.title}.", more, first.url)

    @property
    def silent(self) -> list[Server]:
        return [server for server in self.servers if server.standing.is_silent]

    def but_silent(self, fine: Answer) -> Answer:
        """Return the answer that all is right, less those servers that are silent."""
        names = [server.device.name for server in self.silent]
        if fine.family != "ok" or not names:
            return fine
        which = "a server is" if len(names) == 1 else f"{len(names)} servers are"
        say = fine.say.removeprefix("All right. ").removesuffix(".")
        return Answer("warn", f"{say}, but {which} silent.", _first_of(names), silent_url("any"))

    @cached_property
    def servers(self) -> list[Server]:
        devices = Device.objects.filter(zone=self.zone).active()
        devices = devices.tls_servers() | devices.content_servers()
        rows = devices.select_related("heartbeat", "zone").order_by("kind", "name")
        intervals = self.zone.folders.intervals()
        return [
            Server(row, contact(row, now=self.now, intervals=intervals), self._role(row))
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

    def _operation_problems(self) -> Iterator[Attention]:
        operation = self.standing.operation
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
        if self.standing.open_operation and not ca.is_expired(self.now):
            return  # it is being replaced
        url = reverse("certificates:index")
        way = "Remint CA or Change CA" if ca.is_internal else "Change CA"
        on = planned_text(ca.expires_at)
        if ca.is_expired(self.now):
            title, family = "The Zone CA has expired", "bad"
            text = f"It ended {on}. {way} replaces it at once."
        else:
            days = (ca.expires_at - self.now).days
            title, family = f"The Zone CA will expire in {count(days, 'day')}", "warn"
            text = f"It ends {on}. {way} replaces it in time."
        yield Attention(family, "clock-history", title, text, url, "Certificates")

    def _failed_devices(self) -> Iterator[Attention]:
        operation, failed = self.standing.operation, self.standing.counts.failed
        if operation is None or not failed or operation.update.is_withdrawn:
            return
        url = reverse("systemupdates:status_by_device", args=[operation.update_id])
        title = f"The update failed on {count(failed, 'device')}"
        text = "The reason stands beside each; Redeploy starts it again."
        action = f"View all {failed:,}" if failed > 1 else "View it"
        yield Attention(
            "warn", "exclamation-triangle-fill", title, text, f"{url}?count=failed", action
        )

    def _silent_servers(self) -> Iterator[Attention]:
        for server in self.silent:
            device = server.device
            assert device.last_contact_at is not None  # one never heard of is not silent
            passed = coarse(span(self.now - device.last_contact_at))
            title = f"{device.name} has not reported for {passed}"
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
        for row in rows[:CONTENT_SHOWN]:
            title = f"{row.server.name} has not fetched {row.update.name}"
            url = reverse("systemupdates:replication_status", args=[row.update_id])
            yield Attention("warn", "hdd-network", title, row.last_error, url, "Replication status")


def _first_of(names: list[str]) -> str:
    rest = len(names) - SILENT_NAMES
    return f"{', '.join(names[:SILENT_NAMES])}{f' and {rest:,} more' if rest > 0 else ''}"
