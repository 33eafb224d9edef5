"""
Is a device in contact? The word, its family of colours and its icon, as pages show them.

A device is silent if nothing was heard of it for longer than `silence_limit`: of one by `standing`,
of many by `silent`, in the same words everywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Case, DateTimeField, F, Q, Value, When

from devices.models import ROOTS, Device, Kind, Zone, within
from devices.models.folder import Schedule, schedule_of
from zcc.templatetags.times import span

# A device may miss one refresh before anyone has to look, and a worker may be busy for a moment.
SLACK = timedelta(minutes=1)
REFRESHES = 2
MEANING = "not heard of for twice the refresh interval"


@dataclass(frozen=True)
class Standing:
    """What a page says of a device's last contact."""

    family: str
    icon: str
    word: str
    is_silent: bool = False
    meaning: str = ""  # of the word Silent
    still_runs: bool = False  # a retired Primary Server whose worker reports


def standing(
    device: Device, *, now: datetime, intervals: Mapping[str, timedelta] | None = None
) -> Standing:
    """
    Return whether the device is in contact, by its own schedule.

    Whoever asks of many devices brings the zone's `folders.intervals()` along.
    """
    if device.is_retired:
        return Standing("mute", "archive", "Retired", still_runs=device.is_alive(now))
    if device.last_contact_at is None:
        return Standing("mute", "question-circle", "Not heard of yet")
    if now - device.last_contact_at <= silence_limit(device, intervals):
        return Standing("ok", "check-circle-fill", "In contact")
    meaning = _meaning(device, intervals)
    return Standing("warn", "clock-history", "Silent", is_silent=True, meaning=meaning)


def silence_limit(device: Device, intervals: Mapping[str, timedelta] | None = None) -> timedelta:
    """Return for how long the device may be silent before that means something."""
    if device.is_primary_server:
        return settings.ZCC_LATE_AFTER + SLACK
    return REFRESHES * device.effective_refresh_interval(intervals) + SLACK


def _meaning(device: Device, intervals: Mapping[str, timedelta] | None) -> str:
    if device.is_primary_server:
        return f"Not heard of for {span(silence_limit(device))}; its worker reports by the second."
    every = span(device.effective_refresh_interval(intervals))
    return f"Silent: {MEANING}, which is {every}."


def meaning_for_all() -> str:
    """Say what the word Silent means for devices of every kind."""
    primary = span(settings.ZCC_LATE_AFTER + SLACK)
    return f"Silent: {MEANING}; a Primary Server, which reports by the second, for {primary}."


def silent(zone: Zone, *, now: datetime) -> Q:
    """
    Return which devices of the zone `standing` calls silent.

    The limit is one expression, so that no database looks for an index for each of its cases. Nor
    is the zone a condition: there is one in an installation, and to name it all must be read.
    """
    heard = Q(last_contact_at__isnull=False, heard_at__lt=now - SLACK)
    is_past = Q(heard_at__lt=_heard_at_least(zone, now))
    return heard & Q(retired_at=None) & is_past


def _heard_at_least(zone: Zone, now: datetime) -> Case:
    intervals = zone.folders.intervals()
    own: Any = _instant(now - SLACK)
    for _ in range(REFRESHES):
        own = own - F("refresh_interval")
    places = sorted({*ROOTS, *intervals}, key=len, reverse=True)  # a folder before those above it
    return Case(
        When(kind=Kind.PRIMARY_SERVER, then=_instant(now - settings.ZCC_LATE_AFTER - SLACK)),
        When(refresh_interval__isnull=False, then=own),
        *(
            When(within(path), then=_instant(now - _limit(schedule_of(path, zone, intervals))))
            for path in places
        ),
        output_field=DateTimeField(),
    )


def _instant(at: datetime) -> Value:
    return Value(at, output_field=DateTimeField())


def _limit(schedule: Schedule) -> timedelta:
    return REFRESHES * schedule.interval + SLACK
