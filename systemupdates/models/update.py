"""
A system update carries the new certificates to every device of the zone.

    CREATED -> REPLICATING -> ASSIGNED -> BASELINED -> DELETED
        |           |            |
        +-----------+------------+--> WITHDRAWN          (its operation was cancelled)

Nothing but _move() writes SystemUpdate.state. `wave` says who may apply an assigned update by now:
the initiating server, then the Primary Servers too, then everyone.
"""

import uuid
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models, transaction

from devices.models import Device, Zone
from zcc.ground import audit


class State(models.TextChoices):
    CREATED = "created", "Being made"
    REPLICATING = "replicating", "Replicating"
    ASSIGNED = "assigned", "Assigned"
    BASELINED = "baselined", "Baselined"
    DELETED = "deleted", "Deleted"
    WITHDRAWN = "withdrawn", "Canceled"


class Wave(models.IntegerChoices):
    INITIATING_SERVER = 0, "Initiating server"
    PRIMARY_SERVERS = 1, "Primary Servers"
    ALL_DEVICES = 2, "All devices"


TRANSITIONS: dict[str, set[str]] = {
    State.CREATED: {State.REPLICATING, State.WITHDRAWN},
    State.REPLICATING: {State.ASSIGNED, State.WITHDRAWN},
    State.ASSIGNED: {State.BASELINED, State.WITHDRAWN},
    State.BASELINED: {State.DELETED},
}
OPEN_STATES = (State.CREATED, State.REPLICATING, State.ASSIGNED)
# In these, content servers are to hold the content.
HELD_STATES = (State.REPLICATING, State.ASSIGNED, State.BASELINED)


# What the audit log says was done, and what came of it.
_ACTS = {
    State.REPLICATING: ("Content replication started", "Content servers fetch it"),
    State.ASSIGNED: ("Update assigned", "Every device is offered it"),
    State.BASELINED: ("Baseline", "No device is told of it any more"),
    State.DELETED: ("Delete", "Its content leaves every server"),
    State.WITHDRAWN: ("Update withdrawn", "Its content leaves every server and device"),
}

# Of these the log tells as what the operation came to.
_OF_AN_OPERATION = (State.REPLICATING, State.ASSIGNED, State.WITHDRAWN)


class IllegalTransition(Exception):
    """The update is not in a state from which it can do this."""


class SystemUpdateQuerySet(models.QuerySet["SystemUpdate"]):
    def open(self) -> "SystemUpdateQuerySet":
        return self.filter(state__in=OPEN_STATES)

    def assigned(self) -> "SystemUpdateQuerySet":
        return self.filter(state=State.ASSIGNED)


class SystemUpdate(models.Model):
    zone = models.ForeignKey(Zone, models.PROTECT, related_name="updates")
    guid = models.UUIDField(default=uuid.uuid4, unique=True)
    name = models.CharField(max_length=120)
    state = models.CharField(max_length=11, choices=State, default=State.CREATED)
    initiating_server = models.ForeignKey(Device, models.PROTECT, related_name="+")
    # The content is one file, named by its SHA-256 in every content-repo.
    content_sha256 = models.CharField(max_length=64, blank=True)
    content_size = models.PositiveBigIntegerField(default=0)
    wave = models.PositiveSmallIntegerField(choices=Wave, default=Wave.INITIATING_SERVER)
    created_at = models.DateTimeField()
    assigned_at = models.DateTimeField(null=True)
    # How many devices were in which state when it was withdrawn: afterwards all are in one.
    at_withdrawal = models.JSONField(db_default={}, default=dict)

    objects = SystemUpdateQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state__in=[State.CREATED, State.WITHDRAWN])
                | ~models.Q(content_sha256=""),
                name="update_has_content_once_it_replicates",
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.name} {self.state}"

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES

    @property
    def is_offered(self) -> bool:
        """Whether content servers are to hold its content now."""
        return self.state in (State.REPLICATING, State.ASSIGNED)

    @property
    def is_assigned(self) -> bool:
        return self.state == State.ASSIGNED

    @property
    def is_withdrawn(self) -> bool:
        return self.state == State.WITHDRAWN

    @property
    def is_closed(self) -> bool:
        """Whether no device is told of it any more, though nobody has taken it back."""
        return self.state in (State.BASELINED, State.DELETED)

    @property
    def is_baselined(self) -> bool:
        return self.state == State.BASELINED

    def offer_content(self, *, sha256: str, size: int, by: Any, at: datetime) -> None:
        """The initiating server has built the content; the other servers may fetch it."""
        self._move(State.REPLICATING, by=by, at=at, content_sha256=sha256, content_size=size)

    def mark_assigned(self, *, by: Any, at: datetime) -> None:
        self._move(State.ASSIGNED, by=by, at=at, assigned_at=at)

    def withdraw(self, *, by: Any, at: datetime, devices: dict[str, int]) -> None:
        """Take it back; `devices` is how many of them are in which state now."""
        self._move(State.WITHDRAWN, by=by, at=at, at_withdrawal=devices)

    def baseline(self, *, by: Any, at: datetime) -> None:
        """It has done its work; whoever is late keeps the status it has."""
        self._move(State.BASELINED, by=by, at=at)

    def delete_content(self, *, by: Any, at: datetime) -> None:
        """Its content and its tool are gone; the history stays."""
        self._move(State.DELETED, by=by, at=at)

    def open_wave(self, wave: Wave) -> bool:
        """Let the next group apply the update; False if it may already."""
        behind = SystemUpdate.objects.filter(pk=self.pk, wave__lt=wave)
        opened = bool(behind.update(wave=wave))
        self.wave = max(self.wave, wave)
        return opened

    def _move(self, to: State, *, by: Any, at: datetime, **facts: object) -> None:
        """Change state and record the change, or raise IllegalTransition."""
        sources = [state for state, targets in TRANSITIONS.items() if to in targets]
        with transaction.atomic():
            row = SystemUpdate.objects.filter(pk=self.pk, state__in=sources)
            if not row.update(state=to, **facts):
                self.refresh_from_db()
                raise IllegalTransition(f"{self} cannot become {to}")
            self.events.create(state=to, by=by, at=at)
            what, outcome = _ACTS[to]
            audit.record(what, self, by=by, at=at, note=outcome, is_part=to in _OF_AN_OPERATION)
        self.state = to
        for name, value in facts.items():
            setattr(self, name, value)


class UpdateEvent(models.Model):
    """One change of state of an update: to what, by whom (nobody: the software), when."""

    update = models.ForeignKey(SystemUpdate, models.CASCADE, related_name="events")
    state = models.CharField(max_length=11, choices=State)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    at = models.DateTimeField()

    class Meta:
        ordering = ["at", "pk"]

    def __str__(self) -> str:
        return f"#{self.pk} {self.state}"
