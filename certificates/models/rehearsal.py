"""
A rehearsal: some test devices go through a change of the CA, with one that is thrown away.

    PREPARING -> TOLD -> ACTIVATED -> CLEANING -> FINISHED | CANCELLED | FAILED

and from each of the first three straight to CLEANING, by `Cancel`, by an operation that begins, or
by a problem. `outcome` says meanwhile what it becomes when everything has been cleaned up.

It has its own CA, envelope and files. Nothing of the zone's trust is a part of it: what was live
before and after it is kept here only to be compared.
"""

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q

from devices.models import Device, Zone
from zcc.ground import audit
from zcc.ground.claims import Claimable


class State(models.TextChoices):
    PREPARING = "preparing", "Preparing"
    TOLD = "told", "Told"
    ACTIVATED = "activated", "Activated"
    CLEANING = "cleaning", "Cleaning up"
    FINISHED = "finished", "Finished"
    CANCELLED = "cancelled", "Canceled"
    FAILED = "failed", "Could not be done"


TRANSITIONS: dict[str, set[str]] = {
    State.PREPARING: {State.TOLD, State.CLEANING},
    State.TOLD: {State.ACTIVATED, State.CLEANING},
    State.ACTIVATED: {State.CLEANING},
    State.CLEANING: {State.FINISHED, State.CANCELLED, State.FAILED},
}
RUNNING_STATES = (State.PREPARING, State.TOLD, State.ACTIVATED)
OPEN_STATES = (*RUNNING_STATES, State.CLEANING)
SLACK = timedelta(hours=1)


class IllegalTransition(Exception):
    """The rehearsal is not in a state from which it can do this."""


class RehearsalQuerySet(models.QuerySet["Rehearsal"]):
    def open(self) -> "RehearsalQuerySet":
        """Those of which something may still be left somewhere."""
        return self.filter(state__in=OPEN_STATES)


class Rehearsal(Claimable):
    zone = models.ForeignKey(Zone, models.PROTECT, related_name="rehearsals")
    guid = models.UUIDField(default=uuid.uuid4, unique=True)
    state = models.CharField(max_length=9, choices=State, default=State.PREPARING)
    outcome = models.CharField(max_length=9, choices=State, blank=True)
    # Whose worker makes the throw-away CA, and whose canary port shows its certificate.
    server = models.ForeignKey(Device, models.PROTECT, related_name="+")
    # How long it waits, in each of its parts, for devices that do not come.
    patience = models.DurationField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    # What devices are told in each part, signed with the zone's update key for this purpose alone.
    envelopes = models.JSONField(default=dict)
    files_destroyed_at = models.DateTimeField(null=True)
    problem = models.CharField(max_length=600, blank=True)
    # What was live: certificates.rehearsing.live_facts.
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)

    objects = RehearsalQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["zone"],
                condition=Q(state__in=OPEN_STATES),
                name="one_open_rehearsal_per_zone",
                violation_error_message="Another rehearsal is running.",
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.state}"

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES

    @property
    def can_cancel(self) -> bool:
        return self.state in RUNNING_STATES

    @property
    def waits_until(self) -> datetime:
        """When it goes on without the devices that have not come."""
        return self.changed_at + self.patience

    @property
    def expires_at(self) -> datetime:
        """When a device cleans up by itself, if nobody has told it to."""
        return self.created_at + 4 * self.patience + SLACK

    def mark_told(self, envelopes: dict[str, str], *, at: datetime) -> None:
        """By the worker: the throw-away certificate is shown, and devices are told of its CA."""
        self._move(State.TOLD, by=None, at=at, envelopes=envelopes)

    def mark_activated(self, *, at: datetime) -> None:
        """By the worker: the throw-away certificate has moved to where the live one would be."""
        self._move(State.ACTIVATED, by=None, at=at)

    def start_cleaning(
        self, outcome: State, *, by: Any, at: datetime, note: str = "", problem: str = ""
    ) -> None:
        """By the tick, the worker or `Cancel`: whatever it has made is removed everywhere."""
        facts = {"outcome": outcome, "problem": problem[:600]}
        self._move(State.CLEANING, by=by, at=at, note=note or problem, **facts)

    def note_destroyed(self, *, at: datetime) -> None:
        """By the worker: nothing of it is left in the server's home."""
        rows = Rehearsal.objects.filter(pk=self.pk, state=State.CLEANING, files_destroyed_at=None)
        rows.update(files_destroyed_at=at)

    def finish(self, after: dict[str, Any], *, at: datetime) -> None:
        """By the tick: it is over."""
        with transaction.atomic():
            self._move(State(self.outcome), by=None, at=at, after=after)
            outcome = self.problem or self.get_state_display()
            audit.record("Rehearsal finished", self, by=None, at=at, note=outcome)

    def _move(self, to: State, *, by: Any, at: datetime, note: str = "", **facts: Any) -> None:
        """Change state and record it; of two that try at once one raises IllegalTransition."""
        sources = [state for state, targets in TRANSITIONS.items() if to in targets]
        with transaction.atomic():
            rows = Rehearsal.objects.filter(pk=self.pk, state__in=sources)
            if not rows.update(state=to, changed_at=at, claim_id=None, lease_until=None, **facts):
                self.refresh_from_db()
                raise IllegalTransition(f"The rehearsal is in the state {self.state} already.")
            self.events.create(state=to, by=by, at=at, note=note[:600])
        self.refresh_from_db()


class RehearsalEvent(models.Model):
    """One change of a rehearsal: to what state, by whom (nobody: the software), when, and why."""

    rehearsal = models.ForeignKey(Rehearsal, models.CASCADE, related_name="events")
    state = models.CharField(max_length=9, choices=State)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    at = models.DateTimeField()
    note = models.CharField(max_length=600, blank=True)

    class Meta:
        ordering = ["at", "pk"]

    def __str__(self) -> str:
        return f"#{self.pk} {self.state}"


class RehearsalDevice(models.Model):
    """How far a test device has come, by its own reports; times are the database's."""

    rehearsal = models.ForeignKey(Rehearsal, models.CASCADE, related_name="devices")
    device = models.ForeignKey(Device, models.PROTECT, related_name="+")
    told_at = models.DateTimeField(null=True)
    trusted_at = models.DateTimeField(null=True)
    proven_at = models.DateTimeField(null=True)
    switched_at = models.DateTimeField(null=True)
    cleaned_at = models.DateTimeField(null=True)
    problem = models.CharField(max_length=400, blank=True)
    # The SHA-256 of the trust file with which it works: in its first report, and in its last.
    trust_before = models.CharField(max_length=64, blank=True)
    trust_after = models.CharField(max_length=64, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["rehearsal", "device"], name="rehearses_once_at_a_time"
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} device {self.device_id}"
