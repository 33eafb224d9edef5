"""
Dates, times and spans: `{% load times %}`. All in the current time zone, 24 hours.

    {{ at|day }}             23 Nov 2026
    {{ at|moment }}          23 Nov 2026, 14:21
    {{ at|planned }}         Fri 4 Dec 2026, 02:00 CET        for anything planned
    {{ at|planned_in_full }} Friday 4 December 2026, 02:00 CET
    {{ at|short_moment }}    4 Dec, 01:50
    {{ text|local_times }}   Until 28 Nov 2026, 21:43 CET      for a text that was kept in UTC
    {% clock at %}           14:29 today; 23 Nov, 14:29 on another day
    {% ago at %}             3 min ago, up to 24 h; then the date. Never: "Never"
    {% until at %}           in 10 days 11 h       (passed: "now")
    {% days_left at %}       111 days left         (passed: "expired")
    {% timer at %}           3 min 40 s, counting down in the browser
    {{ offset|off_by }}      9 h 2 min slow; "Right" up to 5 s
    {{ duration|span }}      10 days 11 h, two units at most

Each date is a <time datetime>. The tags compare with `now` of the template's context: the view's,
or else the time of the request (zcc.context).
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

DAY = timedelta(days=1)
# Not in the name of an update, "Remint CA 2026-11-28 20:43 UTC", which is the same everywhere.
_STORED = re.compile(r"(?<!\bCA )\b(\d{4}-\d\d-\d\d \d\d:\d\d) UTC\b", re.ASCII)
UNITS = [("day", 86400), ("h", 3600), ("min", 60), ("s", 1)]


def current(context: Mapping[str, Any]) -> datetime:
    """Return the instant that the view compared with, or else the time of the request."""
    now: datetime = context["now"] if "now" in context else context["shell"].now
    return now


def local(at: datetime) -> datetime:
    """Return the instant in the time zone that pages use."""
    return timezone.localtime(at)


def _machine(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def day_text(at: datetime) -> str:
    """Return a date without markup."""
    here = local(at)
    return f"{here.day} {here:%b %Y}"


def _element(at: datetime, text: str, title: str = "") -> SafeString:
    if not title:
        return format_html('<time datetime="{}">{}</time>', _machine(at), text)
    return format_html('<time datetime="{}" title="{}">{}</time>', _machine(at), title, text)


@register.simple_tag(takes_context=True)
def server_time(context: Mapping[str, Any]) -> str:
    """Write the server's time for page.js, which counts by it."""
    return _machine(current(context))


@register.filter
def day(at: datetime) -> SafeString:
    """Write a date."""
    return _element(at, day_text(at))


@register.filter
def moment(at: datetime) -> SafeString:
    """Write a date and time."""
    return _element(at, moment_text(at))


def moment_text(at: datetime) -> str:
    """Return a date and time without markup."""
    here = local(at)
    return f"{day_text(here)}, {here:%H:%M}"


@register.filter
def short_moment(at: datetime) -> SafeString:
    """Write a date without its year, and the time."""
    here = local(at)
    return _element(at, f"{here.day} {here:%b, %H:%M}")


@register.filter
def planned(at: datetime) -> SafeString:
    """Write an instant that is planned: with weekday and zone."""
    return _element(at, planned_text(at))


def planned_text(at: datetime) -> str:
    """Return a planned instant without markup, for sentences made in Python."""
    here = local(at)
    return f"{here:%a} {day_text(here)}, {here:%H:%M %Z}"


def stored_text(at: datetime) -> str:
    """Return an instant for a text that is kept: in UTC, and it says so. See `local_times`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


@register.filter
def local_times(text: str) -> str:
    """Write a text that was kept, with its instants in the time zone that pages use."""
    return _STORED.sub(_in_local_time, text)


def _in_local_time(found: re.Match[str]) -> str:
    try:
        at = datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
        return f"{moment_text(at)} {local(at):%Z}"
    except (ValueError, OverflowError):  # it only looks like an instant
        return found[0]


@register.filter
def planned_in_full(at: datetime) -> SafeString:
    """Write a planned instant spelled out."""
    here = local(at)
    return _element(at, f"{here:%A} {here.day} {here:%B %Y, %H:%M %Z}")


@register.simple_tag(takes_context=True)
def clock(context: Mapping[str, Any], at: datetime) -> SafeString:
    """Write the time of day, with the date in front unless it is today."""
    here, now = local(at), local(current(context))
    if here.date() == now.date():
        return _element(at, f"{here:%H:%M}", moment_text(at))
    return _element(at, f"{here.day} {here:%b, %H:%M}", moment_text(at))


@register.simple_tag(takes_context=True)
def ago(context: Mapping[str, Any], at: datetime | None) -> SafeString | str:
    """Write how long ago it was; the browser keeps it true."""
    if at is None:
        return "Never"
    passed = current(context) - at
    if passed >= DAY:
        return _element(at, day_text(at), moment_text(at))
    return format_html(
        '<time class="z-nowrap" datetime="{}" title="{}" data-ago>{}</time>',
        _machine(at),
        moment_text(at),
        ago_text(passed),
    )


def ago_text(passed: timedelta) -> str:
    """Return "3 min ago": one unit, never a negative one."""
    return f"{_units(max(passed, timedelta()), 1)} ago"


@register.simple_tag(takes_context=True)
def until(context: Mapping[str, Any], at: datetime) -> SafeString:
    """Write how far away a planned instant is."""
    return _element(at, until_text(at, now=current(context)), moment_text(at))


def until_text(at: datetime, *, now: datetime) -> str:
    """Return "in 10 days 11 h", or "now" once it has come."""
    return f"in {span(at - now)}" if at > now else "now"


@register.simple_tag(takes_context=True)
def days_left(context: Mapping[str, Any], at: datetime) -> str:
    """Write how many whole days a certificate has left."""
    return days_left_text(at, now=current(context))


def days_left_text(at: datetime, *, now: datetime) -> str:
    """Return "111 days left", "5 h left" on the last day, or "expired"."""
    if at <= now:
        return "expired"
    if at - now < DAY:
        return f"{_units(at - now, 1)} left"
    days = (at - now).days
    return f"{days:,} day{'' if days == 1 else 's'} left"


@register.simple_tag(takes_context=True)
def timer(context: Mapping[str, Any], at: datetime) -> SafeString:
    """Write the time left until `at`; the browser counts it down by the server's clock."""
    left = max(at - current(context), timedelta())
    return format_html(
        '<span role="timer" class="z-tab" data-timer="{}">{}</span>', _machine(at), span(left)
    )


@register.filter
def span(duration: timedelta) -> str:
    """Write a duration with its two largest units."""
    return _units(duration, 2)


def coarse(words: str) -> str:
    """Keep the larger unit of a span: a sentence that changes every second cannot be read."""
    parts = words.split(" ")
    return " ".join(parts[:2]) if parts[1:2] != ["s"] else "less than a minute"


@register.filter
def off_by(offset: timedelta) -> str:
    """Write how far a clock is off, given its time less the true one."""
    if abs(offset) <= timedelta(seconds=5):
        return "Right"
    return f"{span(abs(offset))} {'fast' if offset > timedelta() else 'slow'}"


def _units(duration: timedelta, most: int) -> str:
    left = int(duration.total_seconds())
    words: list[str] = []
    for name, seconds in UNITS:
        number, left = divmod(left, seconds)
        if number:
            plural = "s" if name == "day" and number > 1 else ""
            words.append(f"{number:,} {name}{plural}")
        elif words:
            break  # "1 day", not "1 day 3 s"
    return " ".join(words[:most]) or "0 s"
