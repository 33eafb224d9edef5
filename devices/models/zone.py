"""The zone: one per installation."""

import uuid
from datetime import datetime, timedelta

from django.db import models
from django.db.models import Q

# Every worker ticks once a second. A page older than this may show a zone that stands still.
TICK_STALE_AFTER = timedelta(seconds=30)
TICK_PERIOD = timedelta(milliseconds=900)


class ZoneQuerySet(models.QuerySet["Zone"]):
    def win_tick(self, *, at: datetime) -> bool:
        """Take this second's tick; False when another server has it already."""
        due = Q(tick_at=None) | Q(tick_at__lt=at - TICK_PERIOD)
        return bool(self.filter(due).update(tick_at=at))


class Zone(models.Model):
    """One per installation; its settings are what every page and worker goes by."""

    guid = models.UUIDField(default=uuid.uuid4, unique=True)
    name = models.CharField(max_length=64)
    created_at = models.DateTimeField()
    # The manual's defaults: Primary Servers look for content every hour, devices refresh every 12.
    replication_interval = models.DurationField(default=timedelta(hours=1))
    refresh_interval = models.DurationField(default=timedelta(hours=12))
    tick_at = models.DateTimeField(null=True, editable=False)

    objects = ZoneQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.name} ({self.pk})"
