"""
Deployment stages: groups of devices in an order, for updates that are deployed one group at a time.

Certificate updates ignore them: the zone's trust is one, and every device needs it by one date.
"""

from django.db import models
from django.db.models.functions import Lower

from devices.models import Device, Zone


class DeploymentStage(models.Model):
    """One stage; the one with the lowest position is the first."""

    zone = models.ForeignKey(Zone, models.CASCADE, related_name="stages")
    name = models.CharField(max_length=64)
    position = models.PositiveSmallIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint("zone", Lower("name"), name="stage_name_once")]
        ordering = ["position", "pk"]

    def __str__(self) -> str:
        return f"{self.name} ({self.pk})"


class StageMember(models.Model):
    """A device in its stage; it is in one at most."""

    stage = models.ForeignKey(DeploymentStage, models.CASCADE, related_name="members")
    device = models.OneToOneField(Device, models.CASCADE, related_name="stage_member")

    def __str__(self) -> str:
        return f"{self.device_id} in {self.stage_id}"
