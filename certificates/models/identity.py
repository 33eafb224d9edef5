"""
The identity of a mobile device: the certificate with which it calls the zone's servers.

    REQUESTED -> ISSUED -> CURRENT -> PREVIOUS
        |          |                     ^
        v          +---------------------+
     REFUSED

The mobile makes the key. ISSUED becomes CURRENT when the mobile calls with it, and only then the
one before is PREVIOUS and of no use any more: an answer that is lost on its way cuts nobody off.
Nothing but MobileIdentityQuerySet.move() writes MobileIdentity.state.
"""

from datetime import datetime
from typing import Any

from django.db import models, transaction
from django.db.models import Q

from certificates.models.authority import CertificateAuthority
from certificates.models.certificate import Certificate
from certificates.models.identity_ca import IdentityCA
from devices.models import Device, EnrolmentLink
from zcc.ground.claims import Claimable


class State(models.TextChoices):
    REQUESTED = "requested", "Being issued"
    REFUSED = "refused", "Refused"
    ISSUED = "issued", "Issued, not used yet"
    CURRENT = "current", "Active"
    PREVIOUS = "previous", "Replaced"


TRANSITIONS: dict[str, set[str]] = {
    State.REQUESTED: {State.ISSUED, State.REFUSED},
    State.ISSUED: {State.CURRENT, State.PREVIOUS},
    State.CURRENT: {State.PREVIOUS},
}
ACCEPTED_STATES = (State.ISSUED, State.CURRENT)


class MobileIdentityQuerySet(models.QuerySet["MobileIdentity"]):
    def accepted(self) -> "MobileIdentityQuerySet":
        """Those with which a mobile may call."""
        return self.filter(state__in=ACCEPTED_STATES, device__retired_at=None)

    def to_be_issued(self, now: datetime) -> "MobileIdentityQuerySet":
        free = Q(lease_until=None) | Q(lease_until__lt=now)
        due = Q(retry_at=None) | Q(retry_at__lte=now)
        return self.filter(free, due, state=State.REQUESTED)

    def move(self, *, to: State, **facts: Any) -> int:
        """Move every row that may; return how many did."""
        sources = [state for state, targets in TRANSITIONS.items() if to in targets]
        return self.filter(state__in=sources).update(state=to, **facts)


class MobileIdentity(Certificate, Claimable):
    device = models.ForeignKey(Device, models.PROTECT, related_name="identities")
    # The zone's CA that it was issued under; None: not issued yet, and the active one will.
    authority = models.ForeignKey(
        CertificateAuthority, models.PROTECT, null=True, related_name="identities"
    )
    # Under an external CA: who has signed it instead.
    identity_ca = models.ForeignKey(
        IdentityCA, models.PROTECT, null=True, related_name="identities"
    )
    # By which link it was asked for; None: by the identity before it.
    link = models.ForeignKey(EnrolmentLink, models.SET_NULL, null=True, related_name="identities")
    state = models.CharField(max_length=9, choices=State, default=State.REQUESTED)
    csr = models.BinaryField()
    key_hash = models.CharField(max_length=64)
    requested_at = models.DateTimeField()
    issued_at = models.DateTimeField(null=True)
    first_used_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    retry_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=400, blank=True)

    objects = MobileIdentityQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["device"],
                condition=Q(state=State.REQUESTED),
                name="one_identity_request_a_mobile",
            ),
            models.UniqueConstraint(
                fields=["device"],
                condition=Q(state=State.CURRENT),
                name="one_current_identity_a_mobile",
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} of {self.device_id} {self.state}"

    @property
    def signed_by(self) -> CertificateAuthority | IdentityCA | None:
        return self.identity_ca or self.authority

    @property
    def serial(self) -> str:
        return str(self.facts.get("serial", ""))

    def status(self, now: datetime) -> str:
        """What View Certificate says of it."""
        if self.state in ACCEPTED_STATES and self.expires_at and self.expires_at <= now:
            return "Expired"
        return str(self.get_state_display())

    @transaction.atomic
    def note_use(self, *, at: datetime) -> None:
        """The mobile calls with it: from now on with no other. Done once."""
        if self.state != State.ISSUED:
            return
        others = MobileIdentity.objects.filter(device=self.device_id).exclude(pk=self.pk)
        others.filter(state=State.CURRENT).move(to=State.PREVIOUS, ended_at=at)
        others.filter(state=State.ISSUED, issued_at__lte=self.issued_at).move(
            to=State.PREVIOUS, ended_at=at
        )
        MobileIdentity.objects.filter(pk=self.pk).move(to=State.CURRENT, first_used_at=at)
        self.state, self.first_used_at = State.CURRENT, at
