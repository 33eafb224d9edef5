"""When the key of a retired internal CA ends, and why it has not although it should have."""

from datetime import datetime

from django.db import models
from django.db.models import Q

from certificates.models.authority import CertificateAuthority, State
from zcc.ground.claims import Claimable


class KeyEndQuerySet(models.QuerySet["KeyEnd"]):
    def due(self, now: datetime) -> "KeyEndQuerySet":
        """Keys that are of no use any more, still exist, and that no worker deals with."""
        free = Q(lease_until=None) | Q(lease_until__lt=now)
        may = Q(retry_at=None) | Q(retry_at__lte=now)
        retired = CertificateAuthority.objects.filter(state=State.RETIRED, key_destroyed_at=None)
        return self.filter(free, may, due_at__lte=now, authority__in=retired)


class KeyEnd(Claimable):
    """
    The key of a retired CA, which is destroyed once the last certificate that it signed has ended.

    Until then it could still sign that one of them is revoked; after it nobody has a use for it.
    """

    authority = models.OneToOneField(CertificateAuthority, models.CASCADE, related_name="key_end")
    due_at = models.DateTimeField()
    problem = models.CharField(max_length=400, blank=True)
    retry_at = models.DateTimeField(null=True)

    objects = KeyEndQuerySet.as_manager()

    def __str__(self) -> str:
        return f"#{self.pk} key of {self.authority_id}"
