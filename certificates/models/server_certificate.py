"""
The TLS certificate of a Primary Server or Authentication Satellite, now and next.

    REQUESTED -> FUTURE -> CURRENT <-> PREVIOUS      (back: the operation was rolled back)
        |   ^      |
        v   |      v
       FAILED   CANCELLED            (REQUESTED and FAILED too)

REQUESTED has the server's request and no certificate yet; without a request the server is asked
for one. A FUTURE certificate of an external CA was imported, or found in remint-repo. At most one
row a server is CURRENT, and at most one is on its way (REQUESTED, FAILED or FUTURE).
"""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q

from certificates.models.authority import CertificateAuthority
from certificates.models.certificate import Certificate
from certificates.models.operation import Operation
from devices.models import Device
from zcc.ground.claims import Claimable


class State(models.TextChoices):
    REQUESTED = "requested", "CSR generated"
    FAILED = "failed", "Creating certificate failed"
    FUTURE = "future", "New certificate created"
    CURRENT = "current", "Active"
    PREVIOUS = "previous", "Replaced"
    CANCELLED = "cancelled", "Canceled"


TRANSITIONS: dict[str, set[str]] = {
    State.REQUESTED: {State.FUTURE, State.FAILED, State.CANCELLED},
    State.FAILED: {State.FUTURE, State.CANCELLED},
    State.FUTURE: {State.CURRENT, State.CANCELLED},
    State.CURRENT: {State.PREVIOUS},
    State.PREVIOUS: {State.CURRENT},
}
COMING_STATES = (State.REQUESTED, State.FAILED, State.FUTURE)


class ServerCertificateQuerySet(models.QuerySet["ServerCertificate"]):
    def coming(self) -> "ServerCertificateQuerySet":
        """Future certificates and the requests for them."""
        return self.filter(state__in=COMING_STATES)

    def current(self) -> "ServerCertificateQuerySet":
        return self.filter(state=State.CURRENT)

    def to_be_issued(self, now: datetime) -> "ServerCertificateQuerySet":
        free = Q(lease_until=None) | Q(lease_until__lt=now)
        due = Q(retry_at=None) | Q(retry_at__lte=now)
        waiting = self.filter(state__in=[State.REQUESTED, State.FAILED], csr__isnull=False)
        return waiting.filter(free, due)

    def move(self, *, to: State, **facts: Any) -> int:
        """Move every row that may; return how many did. The only writer of `state`."""
        sources = [state for state, targets in TRANSITIONS.items() if to in targets]
        return self.filter(state__in=sources).update(state=to, **facts)


class ServerCertificate(Certificate, Claimable):
    device = models.ForeignKey(Device, models.PROTECT, related_name="certificates")
    authority = models.ForeignKey(
        CertificateAuthority, models.PROTECT, null=True, related_name="server_certificates"
    )
    operation = models.ForeignKey(
        Operation, models.PROTECT, null=True, related_name="server_certificates"
    )
    state = models.CharField(max_length=9, choices=State, default=State.REQUESTED)
    csr = models.BinaryField(null=True)
    # The chain as imported, leaf first, without root: PEM. Empty for our own CA's certificates.
    intermediates = models.TextField(blank=True)
    reason = models.CharField(max_length=400, blank=True)
    retry_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    # Who asked for it outside an operation; nobody: the software, because it was time.
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+"
    )
    # When it came: issued, imported or found.
    available_at = models.DateTimeField(null=True)
    activated_at = models.DateTimeField(null=True)

    objects = ServerCertificateQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["device"], condition=Q(state=State.CURRENT), name="one_current_certificate"
            ),
            models.UniqueConstraint(
                fields=["device"],
                condition=Q(state__in=COMING_STATES),
                name="one_future_certificate",
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} of {self.device_id} {self.state}"

    @property
    def is_coming(self) -> bool:
        return self.state in COMING_STATES

    def status(self, now: datetime) -> str:
        """The Certificate Status of the manual."""
        if self.state == State.CURRENT and self.expires_at and self.expires_at <= now:
            return "Expired"
        if self.state == State.FUTURE and self.authority and not self.authority.is_internal:
            return "Certificate imported"
        if self.state == State.REQUESTED and self.csr is None:
            return "Being made"
        return str(self.get_state_display())
