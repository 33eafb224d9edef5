"""Small words that the sentences of Configuration > Certificates are made of."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone

from certificates.models import Operation, OperationEvent
from certificates.models.operation import State
from zcc.templatetags.times import local_times, span

# How a note begins that says what has happened; without one it is the change of state.
_NOTES = {
    "Held: ": "Held",
    "Retirement: ": "Retirement",
    "CA retired: ": "CA retired",
    "Key destroyed: ": "Key destroyed",
    "Key moved: ": "Key moved",
    "Identity CA made: ": "Identity CA made",
    "Postponed ": "Postponed",
    "Generate CSR ": "CSR asked for",
    "Imported ": "Certificates imported",
    "The future certificate ": "Future certificate made anew",
}


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


def follows() -> str:
    """Say what comes after the mending of what holds an operation: Operation.arm."""
    return f"the activation follows, {span(settings.ZCC_CANCEL_CUTOFF)} later"


def what_happened(event: OperationEvent) -> tuple[str, str]:
    """Return what an event of an operation was, in a word or two, and what there is to add."""
    note = local_times(event.note)
    for begin, word in _NOTES.items():
        if note.startswith(begin):
            return word, note.removeprefix(begin) if begin.endswith(": ") else note
    if note.partition(": ")[0].endswith(" signed off"):
        return "Signed off", note
    if event.state == State.CANCELLED:
        return "Canceled", note
    return str(event.get_state_display()), note
