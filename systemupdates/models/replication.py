"""
One row per content server and update: has the content arrived there?

    WAITING -> REPLICATING -> AVAILABLE
                  |    ^          |
                  v    |          |
                 FAILED <---------+   damaged or removed

A Primary Server's worker claims its row and fetches; a Content Satellite is told at its refresh and
reports. Nothing but the verbs of ReplicationQuerySet writes `state`.
"""

from datetime import datetime

from django.db import models
from django.db.models import Q

from devices.models import Device, Zone
from systemupdates.models.update import SystemUpdate
from zcc.ground.claims import Claimable


class State(models.TextChoices):
    WAITING = "waiting", "Waiting for its schedule"
    REPLICATING = "replicating", "Replicating"
    AVAILABLE = "available", "Available"
    FAILED = "failed", "Failed"


TRANSITIONS: dict[str, set[str]] = {
    State.WAITING: {State.REPLICATING, State.AVAILABLE, State.FAILED},
    State.REPLICATING: {State.AVAILABLE, State.FAILED},
    State.FAILED: {State.REPLICATING, State.AVAILABLE},
    State.AVAILABLE: {State.FAILED},
}


class ReplicationQuerySet(models.QuerySet["Replication"]):
    def missing(self) -> "ReplicationQuerySet":
        return self.exclude(state=State.AVAILABLE)

    def due(self, now: datetime) -> "ReplicationQuerySet":
        """Rows of Primary Servers whose time has come and which no worker holds."""
        free = Q(lease_until=None) | Q(lease_until__lt=now)
        return self.missing().filter(free, due_at__lte=now)

    def move(self, *, to: State, at: datetime, **facts: object) -> int:
        """Move every row that may; return how many did."""
        sources = [state for state, targets in TRANSITIONS.items() if to in targets]
        return self.filter(state__in=sources).update(state=to, changed_at=at, **facts)


class ReplicationSettings(models.Model):
    """When the content servers of a zone look for content, and how fast they fetch it."""

    zone = models.OneToOneField(Zone, models.CASCADE, related_name="replication_settings")
    # "HH:MM" in the installation's time zone; none: by Zone.replication_interval.
    fixed_times = models.JSONField(default=list)
    throttle = models.PositiveIntegerField(null=True)  # kB a second, for each server

    def __str__(self) -> str:
        return f"of zone {self.zone_id}"


class ExcludedServer(models.Model):
    """A content server that fetches no content: no update waits for it."""

    server = models.OneToOneField(Device, models.CASCADE, related_name="excluded_server")

    def __str__(self) -> str:
        return f"server {self.server_id}"


class Replication(Claimable):
    update = models.ForeignKey(SystemUpdate, models.CASCADE, related_name="replications")
    server = models.ForeignKey(Device, models.CASCADE, related_name="replications")
    state = models.CharField(max_length=11, choices=State, default=State.WAITING)
    due_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    received = models.PositiveBigIntegerField(default=0)
    last_error = models.CharField(max_length=400, blank=True)

    objects = ReplicationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["update", "server"], name="replication_once_a_server"),
        ]
        indexes = [models.Index(fields=["state", "due_at"], name="replication_due")]

    def __str__(self) -> str:
        return f"#{self.pk} {self.state}"

    @property
    def is_available(self) -> bool:
        return self.state == State.AVAILABLE
