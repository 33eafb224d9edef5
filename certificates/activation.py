"""
When new certificates are activated: from a date and a time of day to one instant.

The administrator thinks in the time zone of the console. Twice a year an hour of it does not exist,
and another one comes twice.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from django.conf import settings

from certificates import forecast_view
from certificates.models import CertificateAuthority
from devices import schedules
from devices.models import Zone
from systemupdates import rounds
from zcc.templatetags.times import planned_text, span, until_text

QUARTER = timedelta(minutes=15)
# With less than this left of the active CA a mishap could not be mended in peace.
TIME_TO_MEND = timedelta(days=30)


class NoSuchTime(ValueError):
    """The clocks skip this time of day; the message is for the user."""


def instant(on: date, at: time, *, zone: tzinfo) -> datetime:
    """
    Return the instant at which the zone's clocks show this date and time: in UTC.

    Of a time that comes twice it is the first. Raises NoSuchTime for one that is skipped.
    """
    wanted = datetime.combine(on, at, tzinfo=zone)
    found = wanted.astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) != wanted.replace(tzinfo=None):
        after = (found.astimezone(zone)).strftime("%H:%M %Z")
        raise NoSuchTime(
            f"The clocks are put forward on that day and skip {at:%H:%M}. "
            f"Choose {after} or another time."
        )
    return found


def is_twice(at: datetime, *, zone: tzinfo) -> bool:
    """Whether the zone's clocks show the same time of day once more, an hour later or earlier."""
    here = at.astimezone(zone)
    return here.replace(fold=0).utcoffset() != here.replace(fold=1).utcoffset()


def spelled_out(at: datetime, *, zone: tzinfo) -> str:
    """Return "Friday 4 December 2026, 02:00 CET", and which of two if it comes twice."""
    here = at.astimezone(zone)
    said = f"{here:%A} {here.day} {here:%B %Y, %H:%M %Z}"
    if not is_twice(at, zone=zone):
        return said
    offset = here.strftime("%z")
    return f"{said} (UTC{offset[:3]}:{offset[3:]}), the first of the two that night"


def consequence(at: datetime, ca: CertificateAuthority, *, now: datetime) -> str:
    """Say how far away the activation is, and what is left of the active CA then."""
    said = f"{until_text(at, now=now)}."
    if ca.expires_at is None or at >= ca.expires_at:
        return said
    left = ca.expires_at - at
    if left < TIME_TO_MEND:
        return (
            f"{said} Only {span(left)} remain then before the active CA expires: "
            "little time to mend things."
        )
    return f"{said} {left.days:,} days remain before the active CA expires: enough to mend things."


@dataclass(frozen=True)
class Recommendation:
    """From when on an activation leaves everyone the time to get ready, and why."""

    parts: list[tuple[str, timedelta]]
    total: timedelta
    since: datetime

    @property
    def text(self) -> str:
        return planned_text(self.since)


# Of the devices that come at all, so many are to be ready by the recommended time.
WANTED = 0.999


def recommendation(zone: Zone, *, now: datetime) -> Recommendation:
    """
    Return from when on an activation leaves everyone the time to get ready.

    It is the sum of replication, refresh, what this fleet's check-ins show, and arming, rounded up
    to a quarter of an hour.
    """
    parts = [
        ("Content replication", rounds.longest_wait(zone)),
        ("Refresh schedule, longest", schedules.longest(zone)),
        *_by_history(zone),
        ("Arming the servers", settings.ZCC_CANCEL_CUTOFF),
    ]
    total = sum((length for _, length in parts), timedelta())
    return Recommendation(parts, total, round_up(now + total))


def proposed(ca: CertificateAuthority, *, now: datetime) -> datetime:
    """Return the recommended time, or an earlier one that leaves time to mend before the end."""
    since = recommendation(ca.zone, now=now).since
    if ca.expires_at is None:
        return since
    latest = round_up(ca.expires_at - TIME_TO_MEND)
    least = round_up(now + rounds.longest_wait(ca.zone) + 2 * settings.ZCC_CANCEL_CUTOFF)
    return min(since, max(latest, least))


def _by_history(zone: Zone) -> list[tuple[str, timedelta]]:
    """What the records of contacts add, where there are any."""
    forecast = forecast_view.at_rest(zone)
    if forecast is None or forecast.by_schedule >= forecast.total:
        return []
    within = forecast.time_for(WANTED)
    if within is None:
        return []
    silent = forecast.without_date > (1 - WANTED) * forecast.total
    who = "those in contact check in" if silent else "this fleet checks in"
    return [(f"99.9 % of {who} within", within)]


def round_up(at: datetime) -> datetime:
    """Return the next full quarter of an hour."""
    beyond = timedelta(minutes=at.minute % 15, seconds=at.second, microseconds=at.microsecond)
    return at if not beyond else at - beyond + QUARTER
