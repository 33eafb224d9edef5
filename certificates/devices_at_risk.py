"""
Devices that would probably miss the activation, by name.

Who is expected late is in the forecast, which a worker makes; that an update has failed is known at
once. Those come first.
"""

from dataclasses import dataclass, field

from django.db.models import QuerySet

from certificates import forecast_view
from certificates.forecast_view import Name
from certificates.models import Forecast, Straggler
from certificates.standing import Standing
from devices.models import Device
from systemupdates.models import DeviceUpdate
from systemupdates.models.device_update import State

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


def at_risk(standing: Standing) -> AtRisk:
    """Return the devices of the zone's operation that failed, or are expected too late."""
    if standing.operation is None or standing.is_taken_back or not standing.counts.total:
        return AtRisk()
    failed = _failed(standing)
    first = [_failure(row) for row in failed.select_related("device")[:SHOWN]]
    number = standing.counts.failed
    forecast = forecast_view.of_operation(standing.operation)
    if forecast is not None:
        late = _late(standing, forecast)
        number += late.count() + _unnamed(standing, forecast)
        names = late.select_related("device")[: SHOWN - len(first)]
        first += [_lateness(Name(row, standing.now)) for row in names]
    return AtRisk(number, first)


def _failed(standing: Standing) -> QuerySet[DeviceUpdate]:
    assert standing.operation is not None
    rows = DeviceUpdate.objects.in_play().filter(update=standing.operation.update_id)
    return rows.filter(state=State.FAILED).order_by("device__name")


def _late(standing: Standing, forecast: Forecast) -> QuerySet[Straggler]:
    """Those named by the forecast that have neither become ready nor failed since."""
    assert standing.operation is not None
    date = max(standing.operation.activate_at, standing.now)
    rows = forecast_view.unready(forecast_view.after(forecast, date), standing.operation)
    return rows.exclude(device__in=_failed(standing).values("device"))


def _unnamed(standing: Standing, forecast: Forecast) -> int:
    """How many more miss the date than a forecast keeps by name."""
    assert standing.operation is not None
    date = max(standing.operation.activate_at, standing.now)
    return max(forecast.missing_at(date) - forecast_view.after(forecast, date).count(), 0)


def _failure(row: DeviceUpdate) -> Risk:
    return Risk(row.device, "x-octagon", f"Update Failed: {row.reason or 'no reason given'}")


def _lateness(name: Name) -> Risk:
    never = name.straggler.device.last_contact_at is None
    return Risk(name.straggler.device, "question-circle" if never else "clock-history", name.reason)
