"""
One row per device and update: how far has the device come?

    ASSIGNED -> DOWNLOADING -> UPDATING -> PENDING -> COMPLETED
        any of the first four -> FAILED -> ASSIGNED (Redeploy)
        any but COMPLETED     -> IGNORED -> ASSIGNED (undo)
        any but COMPLETED     -> WITHDRAWN                (its operation was cancelled)
        any but the last two  -> ASSIGNED                 (the device was installed again)

A device that was out of touch reports late, so a row may skip forward but never back. Whoever has
completed a newer update has completed the older ones, too: see `systemupdates.overtaken`.
Nothing but DeviceUpdateQuerySet writes DeviceUpdate.state: one UPDATE for all rows and one
INSERT ... SELECT for their events.
"""

import uuid
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connections, models, router, transaction
from django.db.models import F, Value

from agent.content import NO_CONTENT, NOT_STORED
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
APPLIED_STATES = (State.PENDING, State.COMPLETED)
# What a page says of whom an update has passed by: baselined or deleted, no device is told of it.
_PASSED_BY: dict[str, str] = {
    State.ASSIGNED: "Not taken",
    State.DOWNLOADING: "Download not completed",
    State.UPDATING: "Update not completed",
    State.PENDING: "Activation not reported",
}
# How the reason begins where the software, not the device, says that it has completed.
OVERTAKEN = "Overtaken by"


def word(state: str, update: SystemUpdate) -> str:
    """Return the status of a device as pages show it: nothing goes on in an update that is over."""
    label = str(State(state).label)
    return _PASSED_BY.get(state, label) if update.is_closed else label


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
        rows = self.filter(state__in=sources)
        return rows._write(by=by, at=at, state=to, reason=reason, **facts)

    def begin_again(self, *, at: datetime, reason: str) -> int:
        """
        Assign the update again to devices that have lost what they had done of it, and proven.

        What somebody ignores stays ignored, and what is canceled stays so.
        """
        self.update(proven_at=None, proof_leaf="", proof_problem="", proof_refused=False)
        rows = self.exclude(state__in=(State.ASSIGNED, State.IGNORED, State.WITHDRAWN))
        again = {"state": State.ASSIGNED, "attempt": F("attempt") + 1}
        return rows._write(by=None, at=at, reason=reason, **again)

    def _write(self, *, by: Any, at: datetime, **facts: object) -> int:
        """Write these facts of every row, and an event for each; return how many there were."""
        mark = uuid.uuid4()
        with transaction.atomic():
            moved = self.update(changed_at=at, move_id=mark, **facts)
            if moved:
                _record_events(mark, by=by, at=at)
        return moved


def _record_events(mark: uuid.UUID, *, by: Any, at: datetime) -> None:
    """
    INSERT ... SELECT one event for each row that carries the mark.

    They are found by their time, through the index that lists have anyway: one for the mark alone
    made every move of many a third dearer.
    """
    updates = SystemUpdate.objects.values("pk")
    moved = DeviceUpdate.objects.filter(update__in=updates, changed_at=at, move_id=mark)
    rows = moved.values_list(
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
    """Insert what the query finds and the table lacks; return how many rows there were."""
    connection = connections[router.db_for_write(model)]
    select, params = rows.query.get_compiler(connection=connection).as_sql()
    quote = connection.ops.quote_name
    names = ", ".join(quote(column) for column in columns)
    with connection.cursor() as cursor:
        table = quote(model._meta.db_table)
        # WHERE TRUE: without it SQLite takes the ON of ON CONFLICT for one of a join.
        cursor.execute(f"INSERT INTO {table} ({names}) {select} ON CONFLICT DO NOTHING", params)
        return int(cursor.rowcount)


class DeviceUpdate(models.Model):
    update = models.ForeignKey(SystemUpdate, models.CASCADE, related_name="device_updates")
    device = models.ForeignKey(Device, models.CASCADE, related_name="updates")
    state = models.CharField(max_length=9, choices=State, default=State.ASSIGNED)
    wave = models.PositiveSmallIntegerField(choices=Wave, default=Wave.ALL_DEVICES)
    attempt = models.PositiveSmallIntegerField(default=1)
    reason = models.CharField(max_length=400, blank=True)
    changed_at = models.DateTimeField()
    move_id = models.UUIDField(null=True, editable=False)
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
            models.Index(fields=["update", "changed_at", "id"], name="device_update_changed"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.state}"

    @property
    def word(self) -> str:
        return word(self.state, self.update)

    @property
    def is_passed_by(self) -> bool:
        """Whether the update was over before the device had completed it."""
        return self.update.is_closed and self.state in PENDING_STATES

    @property
    def lacks_content(self) -> bool:
        """Whether it has failed because no server gave the content."""
        return self.state == State.FAILED and self.reason.startswith(NO_CONTENT)

    @property
    def could_not_store(self) -> bool:
        """Whether it has failed because the content came and the device could not keep it."""
        return self.state == State.FAILED and self.reason.startswith(NOT_STORED)

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
        if self.by_id is not None or self.reason.startswith(OVERTAKEN):
            return False
        return self.state not in (State.ASSIGNED, State.WITHDRAWN)
