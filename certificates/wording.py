"""Small words that the sentences of Configuration > Certificates are made of."""

from datetime import datetime
from typing import Any

from django.utils import timezone

from certificates.models import Operation
from certificates.models.operation import State


def name_of(user: Any) -> str:
    """Return how a person is called; nobody is the software."""
    return str(user.get_full_name() or user.get_username()) if user else "the software"


def day_text(at: datetime) -> str:
    """Return "4 Dec 2026"."""
    here = timezone.localtime(at)
    return f"{here.day} {here:%b %Y}"


def short_text(at: datetime, *, now: datetime) -> str:
    """Return "09:10" for today, otherwise "23 Nov, 09:10"."""
    here = timezone.localtime(at)
    if here.date() == timezone.localtime(now).date():
        return f"{here:%H:%M}"
    return f"{here.day} {here:%b, %H:%M}"


def to_the_second(at: datetime) -> str:
    """Return "02:00:00 CET", for an instant that is minutes away."""
    return f"{timezone.localtime(at):%H:%M:%S %Z}"


def listed(names: list[str], *, most: int = 3, of: int = 0) -> str:
    """
    Return "ps1, ps2 and ps3", and "ps1, ps2, ps3 and 4 more" when there are many.

    `of` is how many there are if `names` are only the first of them.
    """
    if (number := of or len(names)) > most:
        return f"{', '.join(names[:most])} and {number - most:,} more"
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def state_word(operation: Operation) -> str:
    """Return the word for where an operation stands; one that is held says so."""
    if operation.is_held and operation.is_open:
        return "Held"
    if operation.state == State.CANCELLED:
        return "Canceled"
    return str(operation.get_state_display())
