"""Refresh schedules of the zone, of folders and of devices: set, taken back, and the longest."""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Max

from devices.actions import ask_refresh
from devices.models import ROOT_OF, TOP, Device, Folder, Zone, schedule_of
from zcc.ground import audit
from zcc.templatetags.times import span

SHORTEST = timedelta(seconds=10)
LONGEST = timedelta(days=30)


@transaction.atomic
def set_for_zone(zone: Zone, interval: timedelta, *, tell: bool, by: Any, now: datetime) -> None:
    """Let all devices refresh so often that have no other schedule, own or by a folder."""
    Zone.objects.filter(pk=zone.pk).update(refresh_interval=interval)
    _record(zone, zone.refresh_interval, interval, tell=tell, by=by, now=now)
    if tell:
        ask_refresh(Device.objects.filter(zone=zone, refresh_interval=None), now=now)


@transaction.atomic
def set_for_folder(
    folder: Folder, interval: timedelta | None, *, tell: bool, by: Any, now: datetime
) -> None:
    """Override what the folder inherits, for it and those below; None: inherit again."""
    Folder.objects.filter(pk=folder.pk).update(refresh_interval=interval)
    _record(folder, folder.refresh_interval, interval, tell=tell, by=by, now=now)
    if tell:
        devices = Device.objects.filter(zone=folder.zone_id, refresh_interval=None)
        ask_refresh(devices.within(folder.path), now=now)


@transaction.atomic
def set_for_device(device: Device, interval: timedelta | None, *, by: Any, now: datetime) -> None:
    """Override what the device inherits; None: inherit again. It is told at once."""
    Device.objects.filter(pk=device.pk).update(refresh_interval=interval)
    _record(device, device.refresh_interval, interval, tell=False, by=by, now=now)
    ask_refresh(Device.objects.filter(pk=device.pk), now=now)


def _record(
    of: Zone | Folder | Device,
    before: timedelta | None,
    after: timedelta | None,
    *,
    tell: bool,
    by: Any,
    now: datetime,
) -> None:
    said = [f"every {span(interval)}" if interval else "inherited" for interval in (before, after)]
    note = "its devices are asked to refresh" if tell else ""
    audit.record("Refresh schedule", of, by=by, at=now, before=said[0], after=said[1], note=note)


def longest(zone: Zone) -> timedelta:
    """
    Return the longest interval by which some device of the zone refreshes, the zone's at least.

    A few rows are read, however many devices there are: one for each folder and kind.
    """
    devices = Device.objects.filter(zone=zone).active()
    own = devices.aggregate(it=Max("refresh_interval"))["it"] or timedelta()
    found = [own, zone.refresh_interval]
    if intervals := zone.folders.intervals():
        used = devices.filter(refresh_interval=None).values_list("folder", "kind").distinct()
        places = [ROOT_OF[kind] if path == TOP else path for path, kind in used.order_by()]
        found += [schedule_of(path, zone, intervals).interval for path in places]
    return max(found)


def why_not(device: Device) -> str:
    """Return why the device has no schedule that could be changed, nothing if it has one."""
    if device.is_primary_server:
        return "A Primary Server needs no refresh: its worker looks for work every second."
    return f"{device.name} is retired and does not refresh." if device.is_retired else ""
