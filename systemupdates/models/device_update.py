"""
One row per device and update: how far has the device come?

    ASSIGNED -> DOWNLOADING -> UPDATING -> PENDING -> COMPLETED
        any of the first four -> FAILED -> ASSIGNED (Redeploy)
        any but COMPLETED     -> IGNORED -> ASSIGNED (undo)
        any but COMPLETED     -> WITHDRAWN                (its operation was cancelled)

A device that was out of touch reports late, so a row may skip forward but never back.
Nothing but DeviceUpdateQuerySet.move() writes DeviceUpdate.state: one UPDATE for all rows and one
INSERT ... SELECT for their events.
"""

import uuid
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connections, models, router, transaction
from django.db.models import F, Value

from devices.models import Device
from systemupdates.models.update import SystemUpdate, Wave


class State(models.TextChoices):
    ASSIGNED = "assigned", "Update Assigned"
    DOWNLOADING = "download", "Download in Progress"
    UPDATING = "update", "Update in Progress"
    PENDING = "pending", "Pending Certificate Activation"
    COMPLETED = "completed", "Update Completed"
    FAILED = "failed", "Update Failed"
    IGNORED = "ignored", "Update Ignored"
    WITHDRAWN = "withdrawn", "Canceled"


_ENDS = {State.FAILED, State.IGNORED, State.WITHDRAWN}
TRANSITIONS: dict[str, set[str]] = {
    State.ASSIGNED: {State.DOWNLOADING, State.UPDATING, State.PENDING, State.COMPLETED} | _ENDS,
    State.DOWNLOADING: {State.UPDATING, State.PENDING, State.COMPLETED} | _ENDS,
    State.UPDATING: {State.PENDING, State.COMPLETED} | _ENDS,
    State.PENDING: {State.COMPLETED} | _ENDS,
    State.FAILED: {State.ASSIGNED, State.IGNORED, State.WITHDRAWN},
    State.IGNORED: {State.ASSIGNED, State.WITHDRAWN},
}
# What the manual's three counts are made of.
PENDING_STATES = (State.ASSIGNED, State.DOWNLOADING, State.UPDATING, State.PENDING)
READY_STATES = (State.PENDING, State.COMPLETED)


class DeviceUpdateQuerySet(models.QuerySet["DeviceUpdate"]):
    def in_play(self) -> "DeviceUpdateQuerySet":
        """Rows that count: retired devices and ignored updates are in no count."""
        return self.filter(device__retired_at=None)

    def move(self, *, to: State, by: Any, at: datetime, reason: str = "", **facts: object) -> int:
        """
        Move every row that may, record an event for each, and return how many moved.

        `facts` are further columns to write with it, as values or expressions.
        """
        sources = [state for state, targets in TRANSITIONS.items() if to in targets]
        mark = uuid.uuid4()
        with transaction.atomic():
            moved = self.filter(state__in=sources).update(
                state=to, changed_at=at, reason=reason, move_id=mark, **facts
            )
            if moved:
                _record_events(mark, by=by, at=at)
        return moved


def _record_events(mark: uuid.UUID, *, by: Any, at: datetime) -> None:
    """INSERT ... SELECT one event for each row that carries the mark."""
    rows = DeviceUpdate.objects.filter(move_id=mark).values_list(
        F("pk"),
        F("state"),
        F("reason"),
        Value(by.pk if by else None, output_field=models.IntegerField(null=True)),
        Value(at, output_field=models.DateTimeField()),
    )
    insert_select(DeviceUpdateEvent, ["device_update_id", "state", "reason", "by_id", "at"], rows)


def insert_select(
    model: type[models.Model], columns: list[str], rows: "models.QuerySet[Any, Any]"
) -> int:
    """Insert what the query finds, in the database; return how many rows there were."""
    connection = connections[router.db_for_write(model)]
    select, params = rows.query.get_compiler(connection=connection).as_sql()
    quote = connection.ops.quote_name
    names = ", ".join(quote(column) for column in columns)
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {quote(model._meta.db_table)} ({names}) {select}", params)
        return int(cursor.rowcount)


class DeviceUpdate(models.Model):
    update = models.ForeignKey(SystemUpdate, models.CASCADE, related_name="device_updates")
    device = models.ForeignKey(Device, models.CASCADE, related_name="updates")
    state = models.CharField(max_length=9, choices=State, default=State.ASSIGNED)
    wave = models.PositiveSmallIntegerField(choices=Wave, default=Wave.ALL_DEVICES)
    attempt = models.PositiveSmallIntegerField(default=1)
    reason = models.CharField(max_length=400, blank=True)
    changed_at = models.DateTimeField()
    move_id = models.UUIDField(null=True, editable=False, db_index=True)
    # Of the probe of a canary: the leaf it saw, trusting the new CA alone, or why it failed, and
    # whether that was because the device refuses what the server will show.
    proven_at = models.DateTimeField(null=True)
    proof_leaf = models.CharField(max_length=64, blank=True, db_default="")
    proof_problem = models.CharField(max_length=400, blank=True, db_default="")
    proof_refused = models.BooleanField(db_default=False, default=False)

    objects = DeviceUpdateQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["update", "device"], name="device_update_once"),
        ]
        indexes = [
            models.Index(fields=["update", "state", "device"], name="device_update_state"),
            models.Index(fields=["update", "changed_at"], name="device_update_changed"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.state}"

    @property
    def is_released(self) -> bool:
        """Whether its turn has come: initiating server, Primary Servers, then the rest."""
        return self.update.wave >= self.wave


class DeviceUpdateEvent(models.Model):
    """One change of state of a device's update."""

    device_update = models.ForeignKey(DeviceUpdate, models.CASCADE, related_name="events")
    state = models.CharField(max_length=9, choices=State)
    reason = models.CharField(max_length=400, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    at = models.DateTimeField()

    class Meta:
        ordering = ["at", "pk"]

    def __str__(self) -> str:
        return f"#{self.pk} {self.state}"

    @property
    def is_reported(self) -> bool:
        """Whether the device itself has said so."""
        return self.by_id is None and self.state not in (State.ASSIGNED, State.WITHDRAWN)
