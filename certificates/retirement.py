"""
What is known before a CA is retired: who still needs it, by their own reports, and until when.

With an overlap every CA before its new one is retired; of a rolled-back operation its own new one.
A device needs them if it trusts one of them and none of those that stay.
"""

from datetime import datetime, timedelta
from functools import cached_property

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast

from certificates.actions import retirements
from certificates.models import CertificateAuthority, Operation, ServerCertificate
from certificates.models.authority import State as CAState
from certificates.models.operation import State
from devices.listing import before_url
from devices.models import Device

SHOWN = 20
# How often a need of an old CA is written down at most.
NEED_EVERY = timedelta(minutes=1)
_IN_FORCE = (State.ACTIVATING, State.OVERLAP)


class Retirement:
    """The evidence that the dialogs `Retire old CA` and `Retire rolled-back CA` show."""

    def __init__(self, operation: Operation, *, now: datetime) -> None:
        self.operation, self.now = operation, now

    @property
    def why_not(self) -> str:
        """Why the old CA cannot be retired now; nothing if it can."""
        operation = self.operation
        if operation.state == State.COMPLETED:
            return "The old CA is retired already."
        if operation.state != State.OVERLAP:
            return "There is no overlap to end: the new CA is not in force yet."
        if Operation.objects.filter(zone=operation.zone).open().exists():
            return "Another operation is in progress. Cancel it, or wait until it is activated."
        return ""

    @property
    def why_not_rolled_back(self) -> str:
        """Why the rolled-back CA cannot be retired now; nothing if it can."""
        return retirements.why_not_rolled_back_ca(self.operation)

    @cached_property
    def _trusted(self) -> list[CertificateAuthority]:
        return list(CertificateAuthority.objects.filter(zone=self.operation.zone_id).trusted())

    @cached_property
    def retired(self) -> list[CertificateAuthority]:
        """The CAs that nobody trusts any more afterwards, oldest first."""
        return [ca for ca in self._trusted if ends_with(self.operation, ca.pk, ca.generation)]

    @cached_property
    def _only_these(self) -> QuerySet[Device]:
        """Devices whose running agent reports one of these, and none that stays."""
        reported = Cast("trusted_fingerprints", TextField())
        devices = Device.objects.filter(zone=self.operation.zone_id).active()
        ends = _reports_any([ca for ca in self._trusted if ca in self.retired])
        stays = _reports_any([ca for ca in self._trusted if ca not in self.retired])
        return devices.annotate(reported=reported).filter(ends).exclude(stays)

    @cached_property
    def number(self) -> int:
        return self._only_these.count() if self.operation.new_ca_id else 0

    @cached_property
    def first(self) -> list[Device]:
        """The first of them by name."""
        return list(self._only_these.order_by("name")[:SHOWN]) if self.number else []

    @property
    def _unheard(self) -> QuerySet[Device]:
        since = self.operation.activated_at
        if since is None:
            return Device.objects.none()
        devices = Device.objects.filter(zone=self.operation.zone).active()
        return devices.exclude(last_contact_at__gte=since)

    @cached_property
    def these_unheard(self) -> int:
        """How many of those that need it have not reported since both CAs are trusted."""
        return self._only_these.filter(pk__in=self._unheard.values("pk")).count()

    @cached_property
    def all_unheard(self) -> int:
        """How many devices have not reported since, whatever they trust."""
        return self._unheard.count() if self.these_unheard or self.others_unheard else 0

    @property
    def unheard_url(self) -> str:
        """Where these are listed."""
        since = self.operation.activated_at
        return before_url(since) if since else ""

    @property
    def _others_unheard(self) -> QuerySet[Device]:
        return self._unheard.exclude(pk__in=self._only_these.values("pk"))

    @cached_property
    def others_unheard(self) -> int:
        """How many others have not."""
        return self._others_unheard.count()

    @cached_property
    def first_unheard(self) -> list[Device]:
        """The first of them by name."""
        return list(self._others_unheard.order_by("name")[:SHOWN]) if self.others_unheard else []

    @cached_property
    def unswitched(self) -> list[str]:
        """Servers that still show a certificate of a CA that is to be retired."""
        return unswitched(self.operation)


def _reports_any(authorities: list[CertificateAuthority]) -> Q:
    found = Q(pk__in=[])
    for authority in authorities:
        found |= Q(reported__contains=authority.sha256)
    return found


def ends_with(operation: Operation, pk: int, generation: int) -> bool:
    """Whether this trusted CA, by id and generation, is retired when the operation's is."""
    if operation.new_ca is None:
        return False
    if operation.state == State.ROLLED_BACK:
        return pk == operation.new_ca_id
    return generation < operation.new_ca.generation


def unswitched(operation: Operation) -> list[str]:
    """Return the servers that still show a certificate of a CA before the operation's new one."""
    if operation.new_ca is None:
        return []
    shown = ServerCertificate.objects.current().filter(device__zone=operation.zone_id)
    old = shown.filter(device__retired_at=None, authority__zone=operation.zone_id)
    if operation.state == State.ROLLED_BACK:
        old = old.filter(authority=operation.new_ca)
    else:
        old = old.filter(authority__generation__lt=operation.new_ca.generation)
    return list(old.order_by("device__name").values_list("device__name", flat=True))


def why_it_waits(operation: Operation) -> str:
    """Return what keeps the overlap from ending by itself although its day has come."""
    if Operation.objects.filter(zone=operation.zone_id).open().exists():
        return "another operation is in progress"
    if names := unswitched(operation):
        return f"{', '.join(names)} still shows the old certificate"
    return ""


def note_need(device: Device, *, now: datetime) -> None:
    """Note, of a device that does not trust the active CA, which retirements would cut it off."""
    trusted = set(device.trusted_fingerprints)
    authorities = CertificateAuthority.objects.filter(zone=device.zone_id).trusted()
    facts = list(authorities.values_list("pk", "generation", "sha256", "state"))
    known = [fact for fact in facts if fact[2] in trusted]
    if known and not any(state == CAState.ACTIVE for *_, state in known):
        needed = [(pk, generation) for pk, generation, *_ in known]
        _note(device.zone_id, needed, now=now)


def note_use(authority: CertificateAuthority, *, now: datetime) -> None:
    """Note that a mobile called with an identity of this CA, which is not the active one."""
    if authority.state != CAState.ACTIVE:
        _note(authority.zone_id, [(authority.pk, authority.generation)], now=now)


def _note(zone: int, authorities: list[tuple[int, int]], *, now: datetime) -> None:
    """Note, of CAs by id and generation, which operations are not to be completed yet."""
    operations = Operation.objects.filter(zone=zone).filter(
        Q(state__in=_IN_FORCE) | Q(state=State.ROLLED_BACK, new_ca__state=CAState.SUPERSEDED)
    )
    needed = [
        operation.pk
        for operation in operations.select_related("new_ca")
        if all(ends_with(operation, pk, generation) for pk, generation in authorities)
    ]
    rows = Operation.objects.filter(pk__in=needed)
    rows.exclude(needed_at__gt=now - NEED_EVERY).update(needed_at=now)
