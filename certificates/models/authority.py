"""
The zone's certificate authorities, one generation after the other.

    FUTURE -> ACTIVE -> SUPERSEDED -> RETIRED
      |
      v
    CANCELLED

At most one is ACTIVE and one FUTURE. SUPERSEDED CAs are still trusted beside the active one. The
key of an internal CA is a sealed file in the home of its `server`; there is none in the database.
"""

import re
import uuid
from collections.abc import Iterable
from datetime import datetime

from django.db import models
from django.db.models.functions import Now

from certificates.models.certificate import Certificate
from devices.models import Device, Zone
from zcc.ground.claims import Claimable


class Kind(models.TextChoices):
    INTERNAL = "internal", "Internal"
    EXTERNAL = "external", "External"


class State(models.TextChoices):
    FUTURE = "future", "Future"
    ACTIVE = "active", "Active"
    SUPERSEDED = "superseded", "Still trusted"
    RETIRED = "retired", "Retired"
    CANCELLED = "cancelled", "Canceled"


TRANSITIONS: dict[str, set[str]] = {
    State.FUTURE: {State.ACTIVE, State.CANCELLED},
    State.ACTIVE: {State.SUPERSEDED},
    State.SUPERSEDED: {State.RETIRED, State.ACTIVE},  # active again: rolled back
}
# A CN may contain a comma; what follows it is the next attribute (pki.names.display).
_COMMON_NAME = re.compile(r"(?:^|, )CN=(.*?)(?=, (?:serialNumber|OU|O|L|ST|C|[0-9.]+)=|$)")
TRUSTED_STATES = (State.ACTIVE, State.SUPERSEDED)


def common_name(subject: str) -> str:
    """Return the CN of a subject as it is stored, or all of it when there is none."""
    found = _COMMON_NAME.search(subject)
    return found[1] if found else subject


class IllegalTransition(Exception):
    """The CA is not in a state from which it can do this."""


class CertificateAuthorityQuerySet(models.QuerySet["CertificateAuthority"]):
    def trusted(self) -> "CertificateAuthorityQuerySet":
        """The CAs every device trusts now, oldest first."""
        return self.filter(state__in=TRUSTED_STATES).order_by("generation")

    def vouching(self) -> "CertificateAuthorityQuerySet":
        """Those that can vouch for another: their key is in the zone, and they have not expired."""
        return self.filter(kind=Kind.INTERNAL, expires_at__gt=Now())


class CertificateAuthority(Certificate):
    zone = models.ForeignKey(Zone, models.PROTECT, related_name="authorities")
    guid = models.UUIDField(default=uuid.uuid4, unique=True)
    kind = models.CharField(max_length=8, choices=Kind)
    state = models.CharField(max_length=10, choices=State, default=State.FUTURE)
    generation = models.PositiveIntegerField()
    # The Certificate server: whose home holds the CA key, or of an external CA the update key.
    server = models.ForeignKey(Device, models.PROTECT, null=True, related_name="authorities")
    # Of an external CA: the intermediates uploaded with its root, nearest to it last; PEM.
    intermediates = models.TextField(blank=True)
    created_at = models.DateTimeField()
    activated_at = models.DateTimeField(null=True)
    retired_at = models.DateTimeField(null=True)
    key_destroyed_at = models.DateTimeField(null=True)

    objects = CertificateAuthorityQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["zone"], condition=models.Q(state=State.ACTIVE), name="one_active_ca"
            ),
            models.UniqueConstraint(
                fields=["zone"], condition=models.Q(state=State.FUTURE), name="one_future_ca"
            ),
            models.CheckConstraint(
                condition=models.Q(kind=Kind.EXTERNAL) | models.Q(server__isnull=False),
                name="internal_ca_has_a_server",
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.subject} {self.state}"

    @property
    def is_internal(self) -> bool:
        return self.kind == Kind.INTERNAL

    @property
    def common_name(self) -> str:
        """The CN as the administrator typed it."""
        return common_name(self.subject)

    @property
    def named(self) -> str:
        """The CN and the generation: two CAs of one zone mostly have the same CN."""
        return f"{self.common_name}, generation {self.generation}"

    def is_role_of(self, server: Device) -> bool:
        """Whether the server has the CA role; in an external zone it only signs manifests."""
        return self.is_internal and self.server_id == server.pk

    def is_expired(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now

    def activate(self, *, at: datetime) -> None:
        self._move(State.ACTIVE, activated_at=at)

    def supersede(self) -> None:
        self._move(State.SUPERSEDED)

    def retire(self, *, at: datetime) -> None:
        self._move(State.RETIRED, retired_at=at)

    def mark_key_destroyed(self, *, at: datetime) -> None:
        """Of a retired CA; that of a cancelled one is noted with the cancel."""
        rows = CertificateAuthority.objects.filter(pk=self.pk, state=State.RETIRED)
        rows.filter(key_destroyed_at=None).update(key_destroyed_at=at)
        self.key_destroyed_at = at

    def cancel(self, *, key_destroyed_at: datetime) -> None:
        self._move(State.CANCELLED, key_destroyed_at=key_destroyed_at)

    def _move(self, to: State, **facts: object) -> None:
        sources = [state for state, targets in TRANSITIONS.items() if to in targets]
        row = CertificateAuthority.objects.filter(pk=self.pk, state__in=sources)
        if not row.update(state=to, **facts):
            self.refresh_from_db()
            raise IllegalTransition(f"{self} cannot become {to}")
        self.state = to
        for name, value in facts.items():
            setattr(self, name, value)


def distinct(authorities: Iterable[CertificateAuthority]) -> list[CertificateAuthority]:
    """Return the CAs in their order, each certificate once: an external CA may succeed itself."""
    return list({authority.sha256: authority for authority in authorities}.values())


class IssuedCertificate(models.Model):
    """
    What a CA was about to sign, written before it signed.

    A row without `der` was never issued: its worker died between the two, and the serial number is
    not used again.
    """

    authority = models.ForeignKey(CertificateAuthority, models.PROTECT, related_name="issued")
    # An external CA signs nothing here: who does under it.
    identity_ca = models.ForeignKey(
        "certificates.IdentityCA", models.PROTECT, null=True, related_name="issued"
    )
    serial = models.CharField(max_length=40)
    purpose = models.CharField(max_length=12)  # ca, server, link, identity
    tbs = models.BinaryField()
    der = models.BinaryField(null=True)
    planned_at = models.DateTimeField()
    signed_at = models.DateTimeField(null=True)
    # When the certificate ends, so that nobody has to read them all to know the last.
    expires_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["authority", "serial"], name="serial_unique_per_ca"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.serial}"


class LinkCertificate(Certificate):
    """
    One CA vouches for another (RFC 4210): new-with-old carries late devices over, old-with-new
    carries those that are ahead. `certified` is the CA it speaks of, `authority` who signed.
    """

    certified = models.ForeignKey(CertificateAuthority, models.PROTECT, related_name="links")
    authority = models.ForeignKey(CertificateAuthority, models.PROTECT, related_name="links_signed")
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["certified", "authority"], name="one_link_a_pair"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.certified_id} by {self.authority_id}"


class LinkRequest(Claimable):
    """
    A link that an operation needs and that another server must sign: `authority`'s key is there.

    Deleted as soon as the link exists, or the operation is cancelled.
    """

    operation = models.ForeignKey(
        "certificates.Operation", models.CASCADE, related_name="link_requests"
    )
    certified = models.ForeignKey(CertificateAuthority, models.CASCADE, related_name="+")
    authority = models.ForeignKey(CertificateAuthority, models.CASCADE, related_name="+")
    retry_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["certified", "authority"], name="one_link_request_a_pair"
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.certified_id} by {self.authority_id}"
