"""
What a worker has foreseen, so that a page reads one row and never looks at every device.

There is one row for the zone at rest and one for each operation. Curves are lists of pairs: seconds
since 1970 and a number of devices, rising. The stragglers are the devices expected last.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import models

from certificates.forecast import between, crossing
from certificates.models.operation import Operation
from devices.models import Device, Zone
from zcc.ground.claims import Claimable

Curve = list[list[float]]
ROUNDING = 1e-6


class Forecast(Claimable):
    zone = models.ForeignKey(Zone, models.CASCADE, related_name="forecasts")
    operation = models.OneToOneField(
        Operation, models.CASCADE, null=True, related_name="forecast"
    )  # None: the zone at rest
    made_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField()
    # What it was made of: the operation's state, or the newest device of the zone at rest.
    seen = models.CharField(max_length=40, blank=True)
    # From when on a contact makes a device ready.
    starts_at = models.DateTimeField(null=True)
    total = models.PositiveIntegerField(default=0)
    ready = models.PositiveIntegerField(default=0)
    without_date = models.PositiveIntegerField(default=0)
    by_schedule = models.PositiveIntegerField(default=0)
    # What is expected now, what was at planning, and what has really come.
    expected = models.JSONField(default=list)
    planned = models.JSONField(default=list)
    # Of how many devices the curve at planning is: who comes or goes later does not change it.
    planned_total = models.PositiveIntegerField(db_default=0, default=0)
    # Its numbers are of as many devices as there are now: the shares stay what they were.
    real = models.JSONField(default=list)
    # How many are more likely ready than not, and how many mobiles of them.
    probable = models.JSONField(default=list)
    probable_mobiles = models.JSONField(default=list)
    mobiles = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["zone"],
                condition=models.Q(operation=None),
                name="one_forecast_of_the_zone_at_rest",
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} of {self.operation or self.zone}"

    @property
    def is_made(self) -> bool:
        return self.made_at is not None

    def missing_at(self, at: datetime) -> int:
        """Return how many devices are more likely not ready by then."""
        return self.total - _height(self.probable, at)

    def mobiles_missing_at(self, at: datetime) -> int:
        return self.mobiles - _height(self.probable_mobiles, at)

    def late_at(self, at: datetime) -> int:
        """Return how many are expected to be missing, whoever they are."""
        return round(self.total - between(_pairs(self.expected), at.timestamp()))

    def reached(self, curve: Any, share: float, *, of: int = 0) -> datetime | None:
        """
        Return when a curve has come to a share of all devices; 1: less than half is missing.

        `of` is how many there were if it is another number than now.
        """
        total = of or self.total
        wanted = total - 0.5 if share == 1 else share * total
        at = crossing(_pairs(curve), wanted) if curve and total else None
        return None if at is None else datetime.fromtimestamp(at, UTC)

    def really_reached(self, share: float) -> datetime | None:
        """Return when a share was first reached; None if it is not, or is not any more."""
        points, wanted = _pairs(self.real), share * self.total - ROUNDING
        if not points or not self.total or points[-1][1] < wanted:
            return None
        at = crossing(points, wanted)
        return None if at is None else datetime.fromtimestamp(at, UTC)

    def time_for(self, share: float) -> timedelta | None:
        """Return how long it takes until `share` of those that come at all are ready."""
        points = _pairs(self.expected)
        if not points or points[-1][1] <= 0 or self.starts_at is None:
            return None
        at = crossing(points, share * points[-1][1])
        assert at is not None  # the curve ends higher
        return datetime.fromtimestamp(at, UTC) - self.starts_at


def _height(steps: Any, at: datetime) -> int:
    """Return the height of a curve that rises in steps."""
    reached = [number for when, number in steps if when <= at.timestamp()]
    return int(reached[-1]) if reached else 0


def _pairs(curve: Any) -> list[tuple[float, float]]:
    return [(at, number) for at, number in curve]


class Straggler(models.Model):
    """A device that is expected late, or (without `expected_at`) not at all."""

    forecast = models.ForeignKey(Forecast, models.CASCADE, related_name="stragglers")
    device = models.ForeignKey(Device, models.CASCADE, related_name="+")
    expected_at = models.DateTimeField(null=True)
    # On which days it usually comes; empty where nobody knows.
    usually = models.CharField(max_length=20, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["forecast", "device"], name="straggler_once"),
        ]

    def __str__(self) -> str:
        return f"{self.device_id} at {self.expected_at}"
