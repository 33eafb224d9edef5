"""Is a device in contact? The word, its family of colours and its icon, as pages show them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from devices.models import Device

# A device may miss one refresh before anyone has to look, and a worker may be busy for a moment.
SLACK = timedelta(minutes=1)


@dataclass(frozen=True)
class Standing:
    """What a page says of a device's last contact."""

    family: str
    icon: str
    word: str


def standing(
    device: Device, *, now: datetime, intervals: Mapping[str, timedelta] | None = None
) -> Standing:
    """
    Return whether the device is in contact, by its own schedule.

    Whoever asks of many devices brings the zone's `folders.intervals()` along.
    """
    if device.is_retired:
        return Standing("mute", "archive", "Retired")
    if device.last_contact_at is None:
        return Standing("mute", "question-circle", "Not heard of yet")
    if now - device.last_contact_at <= silence_limit(device, intervals):
        return Standing("ok", "check-circle-fill", "In contact")
    return Standing("warn", "clock-history", "Silent")


def silence_limit(device: Device, intervals: Mapping[str, timedelta] | None = None) -> timedelta:
    """Return for how long the device may be silent before that means something."""
    if device.is_primary_server:
        return settings.ZCC_LATE_AFTER + SLACK
    return 2 * device.effective_refresh_interval(intervals) + SLACK
