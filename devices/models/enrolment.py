"""What lets a device join: registration keys, and the links by which mobiles enrol."""

from datetime import datetime

from django.conf import settings
from django.db import models

from devices.models.device import Device
from devices.models.folder import LONGEST_PATH, TOP
from devices.models.zone import Zone


class RegistrationKey(models.Model):
    """
    Lets a device enrol. Only a hash is kept; the key was shown once.

    `last_device` is the one that joined with it last. `replaces` is a device whose place it lets
    another installation take, also while the device is in contact.
    """

    zone = models.ForeignKey(Zone, models.CASCADE, related_name="registration_keys")
    name = models.CharField(max_length=64)
    key_hash = models.CharField(max_length=64, unique=True)
    folder = models.CharField(max_length=LONGEST_PATH, default=TOP)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    uses_left = models.PositiveIntegerField(null=True)
    last_device = models.ForeignKey(Device, models.SET_NULL, null=True, related_name="+")
    replaces = models.ForeignKey(Device, models.SET_NULL, null=True, related_name="+")

    def is_in_force(self, now: datetime) -> bool:
        """Whether a device can still join with it."""
        has_expired = self.expires_at is not None and self.expires_at <= now
        return not has_expired and self.uses_left != 0

    def __str__(self) -> str:
        return f"{self.name} ({self.pk})"


class EnrolmentLinkQuerySet(models.QuerySet["EnrolmentLink"]):
    def open(self, now: datetime) -> "EnrolmentLinkQuerySet":
        """Those that somebody can still use."""
        return self.filter(used_at=None, expires_at__gt=now)


class EnrolmentLink(models.Model):
    """
    Lets one mobile device have an identity, once. Only a hash is kept; the link was shown once.

    `device` is the mobile that is to have another identity; of a new one it is there once it has
    used the link. `key_hash` is that of the public key that used it: the same request may be sent
    again, as EST asks a client to, and no other.
    """

    zone = models.ForeignKey(Zone, models.CASCADE, related_name="enrolment_links")
    device = models.ForeignKey(Device, models.CASCADE, null=True, related_name="enrolment_links")
    name = models.CharField(max_length=64)
    folder = models.CharField(max_length=120, default="/Mobile Devices")
    token_hash = models.CharField(max_length=64, unique=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+"
    )
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    key_hash = models.CharField(max_length=64, blank=True)

    objects = EnrolmentLinkQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return f"{self.name} ({self.pk})"

    def use(self, key_hash: str, *, at: datetime) -> bool:
        """Take the link for the request with this public key; False if it is not to be had."""
        unused = EnrolmentLink.objects.filter(pk=self.pk, used_at=None, expires_at__gt=at)
        if unused.update(used_at=at, key_hash=key_hash):
            self.used_at, self.key_hash = at, key_hash
            return True
        return EnrolmentLink.objects.filter(pk=self.pk, key_hash=key_hash).exists()
