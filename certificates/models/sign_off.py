"""The devices of which an administrator has said that they may lose contact at the activation."""

from django.conf import settings
from django.db import models

from certificates.models.operation import Operation


class SignOff(models.Model):
    """
    Exactly these devices, by whom and why.

    It stands as long as nobody else would be lost: one more makes it void, and somebody has to
    look at the new list.
    """

    operation = models.ForeignKey(Operation, models.CASCADE, related_name="sign_offs")
    # [device id, name at that time], by name.
    devices = models.JSONField()
    reason = models.CharField(max_length=400)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField()
    voided_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"#{self.pk} of {len(self.devices)} devices"

    @property
    def device_ids(self) -> set[int]:
        return {pk for pk, _ in self.devices}
