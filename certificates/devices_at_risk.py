"""Devices that would probably miss the activation, by name: failed ones, then silent ones."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Case, QuerySet, Value, When

from certificates.standing import Standing
from devices.models import Device
from systemupdates.models import DeviceUpdate
from systemupdates.models.device_update import State
from zcc.templatetags.times import span

SHOWN = 6  # "Six at most, then View all N" (the design)
# A device may miss one refresh before anyone has to look.
SLACK = timedelta(minutes=1)
NOT_READY = (State.ASSIGNED, State.DOWNLOADING, State.UPDATING)


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
    """Return the devices of the zone's operation that failed or are silent and not ready."""
    if standing.operation is None or standing.is_taken_back or not standing.counts.total:
        return AtRisk()
    rows = _rows(standing)
    failed_first = Case(When(state=State.FAILED, then=Value(0)), default=Value(1))
    shown = rows.select_related("device").order_by(failed_first, "device__name")[:SHOWN]
    return AtRisk(rows.count(), [_risk(row, now=standing.now) for row in shown])


def _rows(standing: Standing) -> QuerySet[DeviceUpdate]:
    assert standing.operation is not None
    silent_since = standing.now - 2 * standing.zone.refresh_interval - SLACK
    rows = DeviceUpdate.objects.in_play().filter(update=standing.operation.update)
    unready = rows.filter(state__in=NOT_READY)
    silent = unready.filter(device__last_contact_at__lt=silent_since)
    unheard = unready.filter(device__last_contact_at=None, device__enrolled_at__lt=silent_since)
    return rows.filter(state=State.FAILED) | silent | unheard


def _risk(row: DeviceUpdate, *, now: datetime) -> Risk:
    if row.state == State.FAILED:
        return Risk(row.device, "x-octagon", f"Update Failed: {row.reason or 'no reason given'}")
    if row.device.last_contact_at is None:
        return Risk(row.device, "question-circle", "not heard of yet")
    silence = span(now - row.device.last_contact_at).split(" ")
    return Risk(row.device, "clock-history", f"not seen for {' '.join(silence[:2])}")
