"""What devices are to trust, as published: one signed trust manifest an epoch."""

from django.db import models

from devices.models import Device, Zone
from zcc.ground.claims import Claimable


class PublishedTrust(models.Model):
    """
    A signed trust manifest. Epochs only rise; devices refuse a lower one.

    `digest` is that of what it says without epoch and dates (see certificates.trust): when what
    should be said has another one, the signing server publishes the next epoch.
    """

    zone = models.ForeignKey(Zone, models.PROTECT, related_name="trust")
    epoch = models.PositiveBigIntegerField()
    envelope = models.TextField()
    digest = models.CharField(max_length=64)
    published_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["zone", "epoch"], name="one_manifest_an_epoch"),
        ]
        get_latest_by = "epoch"

    def __str__(self) -> str:
        return f"#{self.pk} epoch {self.epoch}"


class HomeTrust(Claimable):
    """
    Which epoch the home of a Primary Server follows: its anchors, its link, its manifest.

    And which Certificate Updater Tool it offers, by the SHA-256 of the file; none: nothing. And
    how many identity CAs the zone had when it took over whose identities are let in.
    """

    device = models.OneToOneField(Device, models.CASCADE, related_name="home_trust")
    epoch = models.PositiveBigIntegerField(default=0)
    updater_sha256 = models.CharField(max_length=64, blank=True, default="")
    identity_cas = models.PositiveIntegerField(default=0)
    problem = models.CharField(max_length=400, blank=True)
    retry_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"#{self.device_id} at epoch {self.epoch}"
