"""What Home answers: is the zone all right, what is happening, what must be done next."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from django.urls import reverse

from certificates.answers import answers
from certificates.attention import Attention, NeedsAttention, Server
from certificates.devices_at_risk import at_risk
from certificates.models import CertificateAuthority, Operation, OperationEvent, ServerCertificate
from certificates.server_rows import server_rows
from certificates.standing import Standing
from certificates.wording import what_happened
from devices.models import Zone
from systemupdates import overview
from zcc.ground.situation import Answers
from zcc.templatetags.numbers import count

ACTIVITY = 8
EXPIRIES = 5


@dataclass(frozen=True)
class Expiry:
    """What expires when."""

    name: str
    valid_from: datetime
    expires_at: datetime


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
    def activity(self) -> list[tuple[OperationEvent, str]]:
        """The last events of operations, each with its word."""
        rows = OperationEvent.objects.filter(operation__zone=self.zone)
        rows = rows.select_related("by", "operation").order_by("-at", "-pk")[:ACTIVITY]
        return [(event, what_happened(event)[0]) for event in rows]

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
    def needs(self) -> NeedsAttention:
        return NeedsAttention(self.standing)

    @property
    def servers(self) -> list[Server]:
        return self.needs.servers

    @cached_property
    def attention(self) -> list[Attention]:
        """What cannot wait, as Certificates has it, and what can."""
        return [*self.needs.items, *self._mobiles_left(), *self._no_backup()]

    def _mobiles_left(self) -> Iterator[Attention]:
        """Unless the third answer says it."""
        url = reverse("certificates:mobiles_to_enrol")
        number = self.standing.mobiles_to_enrol.without_link
        if not number or self.answers.next.url == url:
            return
        themselves = "itself" if number == 1 else "themselves"
        title = f"{count(number, 'mobile')} cannot come back by {themselves}"
        text = f"{'It needs' if number == 1 else 'Each needs'} a re-enrolment link."
        yield Attention("warn", "phone", title, text, url, "Open")

    def _no_backup(self) -> Iterator[Attention]:
        """Unless the third answer says it."""
        ca = self.standing.authority
        if ca is None or not self.standing.needs_backup:
            return
        if self.answers.next.url == reverse("certificates:backup_ca"):
            return
        server = ca.server.name if ca.server else "its server"
        key = "The key of the CA" if ca.is_internal else "The update key"
        then = "this CA could not be restored" if ca.is_internal else "devices cannot be told more"
        yield Attention(
            "warn",
            "exclamation-triangle-fill",
            f"{key} has no verified backup",
            f"Without {server} {then}.",
            reverse("certificates:index"),
            "Certificates",
        )

    @cached_property
    def answers(self) -> Answers:
        """Say what Certificates says, with the way there."""
        rows, risk = server_rows(self.standing), at_risk(self.standing)
        said = answers(self.standing, rows, risk, self.needs)
        if self.operation is None or said.happening.url:
            return said
        happening = replace(said.happening, url=reverse("certificates:index"))
        return replace(said, happening=happening)


def _life(row: CertificateAuthority | ServerCertificate) -> tuple[datetime, datetime]:
    assert row.valid_from is not None and row.expires_at is not None
    return row.valid_from, row.expires_at
