"""What an administrator has typed so far in the dialog `Change CA`."""

import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.db import models

from devices.models import Zone

# A dialog whose browser was closed leaves its draft; nobody comes back to it after a day.
KEPT_FOR = timedelta(days=1)


class ChangeCADraftQuerySet(models.QuerySet["ChangeCADraft"]):
    def forgotten(self, now: datetime) -> "ChangeCADraftQuerySet":
        return self.filter(updated_at__lt=now - KEPT_FOR)


class ChangeCADraft(models.Model):
    """
    The answers of each step as they were typed, and the chain that was uploaded. No password.

    `guid` becomes the operation's idempotency key, so that a dialog begins one operation at most.
    """

    zone = models.ForeignKey(Zone, models.CASCADE, related_name="+")
    guid = models.UUIDField(default=uuid.uuid4, unique=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    answers = models.JSONField(default=dict)
    # The future external CA as it was uploaded: root last, PEM.
    chain = models.TextField(blank=True)
    # Why the file that was chosen last is refused; then there is no chain.
    refusal = models.TextField(blank=True)
    file_name = models.CharField(max_length=200, blank=True)
    was_reordered = models.BooleanField(default=False)
    updated_at = models.DateTimeField(db_index=True)

    objects = ChangeCADraftQuerySet.as_manager()

    @property
    def guid_text(self) -> str:
        return str(self.guid)

    def __str__(self) -> str:
        return f"#{self.pk} of {self.by_id}"
