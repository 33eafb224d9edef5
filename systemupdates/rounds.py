"""When content servers look for new content: by an interval, or at fixed times of the day."""

from datetime import UTC, datetime, time, timedelta

from django.utils import timezone

from devices.models import Zone
from systemupdates.models import ReplicationSettings

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def next_round(zone: Zone, *, after: datetime) -> datetime:
    """Return the next time at which the content servers of the zone look for new content."""
    times = fixed_times(zone)
    if not times:
        return next_multiple(zone.replication_interval, after=after)
    local = timezone.get_default_timezone()
    today = after.astimezone(local).date()
    days = [today + number * DAY for number in range(3)]  # a day may lack an hour, or have it twice
    found = [datetime.combine(day, at, tzinfo=local) for day in days for at in times]
    return min(at for at in found if at > after).astimezone(UTC)


def next_multiple(interval: timedelta, *, after: datetime) -> datetime:
    """Return the next multiple of the interval, the same for every server."""
    rounds = (after - EPOCH) // interval
    return EPOCH + (rounds + 1) * interval


def longest_wait(zone: Zone) -> timedelta:
    """Return how long new content waits for the next round at most."""
    times = [timedelta(hours=at.hour, minutes=at.minute) for at in fixed_times(zone)]
    if not times:
        return zone.replication_interval
    following = [*times[1:], times[0] + DAY]
    return max(later - at for at, later in zip(times, following, strict=True))


def fixed_times(zone: Zone) -> list[time]:
    """Return the times of the day, in order; none: it is done by the interval."""
    settings = ReplicationSettings.objects.filter(zone=zone).first()
    return sorted(time.fromisoformat(at) for at in settings.fixed_times) if settings else []


def todays_times(zone: Zone, *, now: datetime) -> list[datetime]:
    """Return the fixed times of today as instants, for people in other time zones."""
    server = timezone.get_default_timezone()
    today = now.astimezone(server).date()
    return [datetime.combine(today, at, tzinfo=server) for at in fixed_times(zone)]


def throttle(zone: Zone) -> int | None:
    """Return how many bytes a second a server fetches at most; None: as fast as it can."""
    settings = ReplicationSettings.objects.filter(zone=zone).first()
    return settings.throttle * 1000 if settings and settings.throttle else None
