"""
The CA that signs identities of mobile devices while the zone's own CA is an external one.

It belongs to one external CA and is made anew for the next. Nobody trusts it for servers: it is in
no trust manifest, and never a `CertificateAuthority` of the zone. Its key is a sealed file in the
home of its `server`, and goes with the update key: into backups, and where that moves.
"""

import uuid

from django.db import models
from django.db.models import Q

from certificates.models.authority import CertificateAuthority, common_name
from certificates.models.certificate import Certificate
from devices.models import Device, Zone
from zcc.ground.claims import Claimable


class IdentityCAQuerySet(models.QuerySet["IdentityCA"]):
    def of_zone(self, zone: Zone) -> "IdentityCAQuerySet":
        return self.filter(authority__zone=zone)

    def made(self) -> "IdentityCAQuerySet":
        """Those that have a certificate, also when they sign no more."""
        return self.exclude(der=None)

    def in_force(self) -> "IdentityCAQuerySet":
        """Of each external CA at most one that signs, and one that is still to be made."""
        return self.filter(replaced_at=None)


class IdentityCA(Certificate, Claimable):
    # The external CA while which is in force this one signs.
    authority = models.ForeignKey(CertificateAuthority, models.PROTECT, related_name="identity_cas")
    guid = models.UUIDField(default=uuid.uuid4, unique=True)
    server = models.ForeignKey(Device, models.PROTECT, related_name="identity_cas")
    created_at = models.DateTimeField()
    # Another one signs instead: it ends soon, or its key is lost. Its identities stay good.
    replaced_at = models.DateTimeField(null=True)
    key_destroyed_at = models.DateTimeField(null=True)
    problem = models.CharField(max_length=400, blank=True)
    retry_at = models.DateTimeField(null=True)

    objects = IdentityCAQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["authority"],
                condition=Q(replaced_at=None, der__isnull=False),
                name="one_identity_ca_signs",
            ),
            models.UniqueConstraint(
                fields=["authority"],
                condition=Q(replaced_at=None, der=None),
                name="one_identity_ca_to_be_made",
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.subject} for {self.authority_id}"

    @property
    def common_name(self) -> str:
        return common_name(self.subject)

    @property
    def named(self) -> str:
        """What it is called where CAs of several generations stand side by side."""
        return f"{self.common_name}, generation {self.authority.generation}"
