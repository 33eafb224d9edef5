"""The evidence pack of an operation: asked for by a person, made by the signing server's worker."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from certificates.models.operation import Operation
from zcc.ground.claims import Claimable

# It is made again when the history has grown, but not with every line of it.
AGAIN_AFTER = timedelta(minutes=1)


class EvidencePackQuerySet(models.QuerySet["EvidencePack"]):
    def due(self, now: datetime) -> "EvidencePackQuerySet":
        """Packs that are wanted and that no worker makes now."""
        free = Q(lease_until=None) | Q(lease_until__lt=now)
        may = Q(retry_at=None) | Q(retry_at__lte=now)
        return self.wanted(now).filter(free, may)

    def wanted(self, now: datetime) -> "EvidencePackQuerySet":
        """Packs that were asked for since they were made, or whose history has grown."""
        asked = Q(made_at=None) | Q(made_at__lt=F("requested_at"))
        has_grown = Q(made_at__lt=now - AGAIN_AFTER, operation__events__pk__gt=F("covers"))
        return self.filter(asked | has_grown).distinct()


class EvidencePack(Claimable):
    """
    The pack as it was made last. `covers` is the last event of the operation that is in it.

    It lies in the database so that the console of every Primary Server can offer it.
    """

    operation = models.OneToOneField(Operation, models.CASCADE, related_name="evidence_pack")
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    requested_at = models.DateTimeField()
    made_at = models.DateTimeField(null=True)
    covers = models.BigIntegerField(default=0)
    content = models.BinaryField(null=True)
    sha256 = models.CharField(max_length=64, blank=True)
    size = models.PositiveBigIntegerField(default=0)
    # What is in it, by kind: shown without opening it.
    counts = models.JSONField(default=dict)
    # The public key that verifies it, in hexadecimal digits.
    update_key = models.CharField(max_length=64, blank=True)
    problem = models.CharField(max_length=400, blank=True)
    retry_at = models.DateTimeField(null=True)

    objects = EvidencePackQuerySet.as_manager()

    def __str__(self) -> str:
        return f"#{self.pk} of {self.operation_id}"

    @property
    def is_being_made(self) -> bool:
        """Whether a newer one was asked for than there is."""
        return self.made_at is None or self.made_at < self.requested_at
