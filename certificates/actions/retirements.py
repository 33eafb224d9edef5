"""What ends the trust in a CA of the zone, and with it, later, its key."""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from certificates import key_ends
from certificates.models import CertificateAuthority, KeyEnd, Operation
from certificates.models.authority import IllegalTransition as CAIllegalTransition
from certificates.models.authority import State as CAState
from certificates.models.operation import IllegalTransition, State
from zcc.templatetags.numbers import count

MIN_DAYS, MAX_DAYS = 1, 365


class Refused(Exception):
    """It cannot be retired, or not like this; the message is for the user."""


def retire(authority: CertificateAuthority, *, now: datetime) -> None:
    """Let nobody trust the CA any more; its key ends with the last certificate that it signed."""
    authority.retire(at=now)
    if authority.is_internal:
        due_at = key_ends.last_expiry(authority) or now
        KeyEnd.objects.get_or_create(authority=authority, defaults={"due_at": due_at})


def end_overlap(operation: Operation, *, by: Any, note: str = "", now: datetime) -> None:
    """
    Complete the operation and those before it, and retire every CA before its new one.

    For whoever is in a transaction. Raises IllegalTransition, the operation's or a CA's.
    """
    assert operation.new_ca is not None  # there is one once the operation is prepared: a constraint
    operation.complete(by=by, at=now, note=note)
    end_earlier(operation, by=by, now=now)
    before = CertificateAuthority.objects.filter(zone=operation.zone, state=CAState.SUPERSEDED)
    for authority in before.filter(generation__lt=operation.new_ca.generation):
        retire(authority, now=now)


def end_earlier(operation: Operation, *, by: Any, now: datetime) -> None:
    """Complete the overlaps that began before: nobody trusts their old CAs any more either."""
    overlaps = Operation.objects.filter(zone=operation.zone, state=State.OVERLAP)
    for earlier in overlaps.filter(pk__lt=operation.pk):
        earlier.complete(by=by, at=now, note="With a later operation.")


def retire_by_itself(operation: Operation, *, after: int | None, by: Any, now: datetime) -> None:
    """
    Let the overlap end by itself after so many quiet days, or with None only by hand.

    Raises Refused when it is over, or for a number of days that is not allowed or changes nothing.
    """
    if after is not None and not MIN_DAYS <= after <= MAX_DAYS:
        raise Refused(f"Choose {MIN_DAYS} to {MAX_DAYS} days.")
    if after == operation.retire_after:
        raise Refused("This is how it is set already.")
    since = operation.quiet_since
    if after is not None and since is not None and since + timedelta(days=after) <= now:
        quiet = count((now - since).days, "day")
        raise Refused(
            f"Nobody who needs it was heard of for {quiet}. Retire it now, or choose more days."
        )
    days = count(after or 0, "quiet day")
    note = f"By itself after {days}." if after else "By hand only."
    try:
        operation.set_retirement(after=after, by=by, at=now, note=f"Retirement: {note}")
    except IllegalTransition as error:
        raise Refused("There is no overlap any more. Look at the page again.") from error


@transaction.atomic
def retire_rolled_back_ca(operation: Operation, *, by: Any, now: datetime) -> None:
    """
    Retire the CA that a rolled-back operation had made; the active one stays.

    Raises Refused while another operation is open, and when there is no such CA.
    """
    if why_not := why_not_rolled_back_ca(operation):
        raise Refused(why_not)
    assert operation.new_ca is not None
    try:
        retire(operation.new_ca, now=now)
    except CAIllegalTransition as error:
        raise Refused("The rolled-back CA is retired already.") from error
    operation.note(f"CA retired: {operation.new_ca.named}.", by=by, at=now)


def why_not_rolled_back_ca(operation: Operation) -> str:
    """Return why there is no rolled-back CA to retire now, nothing if there is one."""
    new_ca = operation.new_ca
    if operation.state != State.ROLLED_BACK or new_ca is None:
        return "The operation is not rolled back. There is no rolled-back CA to retire."
    if new_ca.state == CAState.RETIRED:
        return "The rolled-back CA is retired already."
    if Operation.objects.filter(zone=operation.zone_id).open().exists():
        return "Another operation is in progress. Cancel it, or wait until it is activated."
    return ""
