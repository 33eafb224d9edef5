"""
Devices that would probably miss the activation, by name.

Who is expected late is in the forecast, which a worker makes; that an update has failed is known at
once. Those come first.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from certificates import forecast_view
from certificates.forecast_view import Cause, Name
from certificates.models import Forecast, Operation
from certificates.standing import Standing
from devices.models import Device
from systemupdates.models import DeviceUpdate, SystemUpdate
from systemupdates.models.device_update import State
from zcc.ground.many import listed

SHOWN = 6  # "Six at most, then View all N" (the design)


@dataclass(frozen=True)
class Risk:
    """One device and why it is listed."""

    device: Device
    icon: str
    reason: str


@dataclass(frozen=True)
class AtRisk:
    """How many there are, and the first of them."""

    number: int = 0
    first: list[Risk] = field(default_factory=list)
    unnamed: int = 0  # of the number: more are expected late than a forecast keeps by name
    causes: list[Cause] = field(default_factory=list)

    @property
    def named(self) -> int:
        """How many Status by Device can list."""
        return self.number - self.unnamed

    @property
    def why(self) -> str:
        """What has happened to them, in a sentence."""
        words = forecast_view.joined(self.causes)
        return f"{words[:1].upper()}{words[1:]}." if words else ""


def at_risk(standing: Standing) -> AtRisk:
    """Return the devices of the zone's operation that failed, or are expected too late."""
    operation = standing.operation
    if operation is None or standing.is_taken_back or not standing.counts.total:
        return AtRisk()
    if operation.update.is_withdrawn:
        return AtRisk()
    now = standing.now
    failed, unnamed = _failed(operation), 0
    first = [_failure(row) for row in failed.select_related("device")[:SHOWN]]
    number = standing.counts.failed
    causes = {Cause.UPDATE_FAILED} if number else set()
    forecast = forecast_view.of_operation(operation)
    if forecast is not None:
        late, unnamed = _late(operation, forecast, now=now), _unnamed(operation, forecast, now=now)
        by_cause = forecast_view.causes_of(late)
        number += sum(by_cause.values()) + unnamed
        causes.update(by_cause)
        names = late.select_related("device")[: SHOWN - len(first)]
        first += [_lateness(Name(row, now)) for row in names]
    return AtRisk(number, first, unnamed, [cause for cause in Cause if cause in causes])


def rows_at_risk(update: SystemUpdate, now: datetime) -> Q:
    """
    Return which rows of the update `at_risk` names, for Status by Device.

    Both halves are found through an index: those that failed by their state, and those expected
    late, whom a forecast keeps by name, no more than some thousand, by their numbers.
    """
    operation = Operation.objects.filter(update=update).first()
    if operation is None or not operation.is_live or operation.is_taken_back or update.is_withdrawn:
        return Q(pk=None)
    found, forecast = Q(state=State.FAILED), forecast_view.of_operation(operation)
    if forecast is not None:
        late = _late(operation, forecast, now=now).order_by().values_list("device", flat=True)
        found |= Q(device__in=listed(late))
    return found


def _failed(operation: Operation) -> QuerySet[DeviceUpdate]:
    rows = DeviceUpdate.objects.in_play().filter(update=operation.update_id)
    return rows.filter(state=State.FAILED).order_by("device__name")


def _late(operation: Operation, forecast: Forecast, *, now: datetime) -> QuerySet[Any]:
    """Those named by the forecast that have neither become ready nor failed since."""
    date = max(operation.activate_at, now)
    rows = forecast_view.unready(forecast_view.after(forecast, date), operation)
    own = DeviceUpdate.objects.filter(update=operation.update_id, device=OuterRef("device"))
    return rows.filter(Exists(own.exclude(state=State.FAILED)))


def _unnamed(operation: Operation, forecast: Forecast, *, now: datetime) -> int:
    """How many more miss the date than a forecast keeps by name."""
    date = max(operation.activate_at, now)
    named = forecast.stragglers.exclude(expected_at__lte=date)  # also who is retired since
    return max(forecast.missing_at(date) - named.count(), 0)


def _failure(row: DeviceUpdate) -> Risk:
    return Risk(row.device, "x-octagon", f"Update Failed: {row.reason or 'no reason given'}")


def _lateness(name: Name) -> Risk:
    never = name.straggler.device.last_contact_at is None
    return Risk(name.straggler.device, "question-circle" if never else "clock-history", name.brief)
