"""
How another Primary Server joins: a one-time token, a request, a sealed answer.

Neither the token nor anything it could be computed from is in the database: the CA server derives
it from its own key-encryption key. Database credentials alone buy no certificate.
"""

import uuid

from django.db import models

from devices.models import Device, Zone
from zcc.ground.claims import Claimable


class JoinToken(models.Model):
    zone = models.ForeignKey(Zone, models.CASCADE, related_name="join_tokens")
    guid = models.UUIDField(default=uuid.uuid4, unique=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"#{self.pk} until {self.expires_at:%Y-%m-%d %H:%M}"


class JoinRequest(Claimable):
    """Deleted by the joining server as soon as it has read its answer."""

    token = models.OneToOneField(JoinToken, models.CASCADE, related_name="request")
    name = models.CharField(max_length=253)
    dns_name = models.CharField(max_length=253)
    addresses = models.JSONField(default=list)
    csr = models.BinaryField()
    seal_public = models.BinaryField()
    # HMAC-SHA256 under the token over everything above.
    mac = models.BinaryField()
    created_at = models.DateTimeField()
    device = models.ForeignKey(Device, models.CASCADE, null=True, related_name="+")
    answer = models.BinaryField(null=True)
    refusal = models.CharField(max_length=400, blank=True)

    def __str__(self) -> str:
        return f"#{self.pk} {self.name}"
