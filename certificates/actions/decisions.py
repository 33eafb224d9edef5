"""What an administrator decides about an operation: postpone it, sign devices off, roll it back."""

from datetime import datetime
from typing import Any

from django.db import transaction

from certificates import guard
from certificates.actions import authorities
from certificates.models import Operation, SignOff
from certificates.models import authority as ca_models
from certificates.models.operation import IllegalTransition, State
from certificates.wording import listed
from systemupdates import actions as updates
from zcc.templatetags.numbers import count
from zcc.templatetags.times import stored_text

CAN_ROLL_BACK = (State.ACTIVATING, State.OVERLAP)


class NotPossibleNow(Exception):
    """The operation is not where this can be done; the message is for the user."""


class ListChanged(NotPossibleNow):
    """Other devices would be lost than those that were looked at."""


def postpone(operation: Operation, *, to: datetime, by: Any, now: datetime) -> None:
    """
    Move the activation to another time; a hold ends with it.

    Raises NotPossibleNow when it is armed already, or for a time at which it cannot activate.
    """
    if why_not := authorities.why_not_moved_to(operation, to, now=now):
        raise NotPossibleNow(why_not)
    note = f"Postponed from {stored_text(operation.activate_at)} to {stored_text(to)}."
    try:
        operation.postpone(to=to, by=by, at=now, note=note)
    except IllegalTransition as error:
        raise NotPossibleNow(why_not_postponed(operation) or _MOVED) from error


_MOVED = "Somebody else has moved the activation. Look at the new time."


def why_not_postponed(operation: Operation) -> str:
    """Return why the activation can no longer be moved, nothing if it can."""
    if operation.state in (State.PREPARING, State.REPLICATING, State.ASSIGNED):
        return ""
    if operation.state == State.ARMED:
        return "The operation is armed: its servers switch by themselves."
    return "The operation is over, or being taken back."


def why_not_signed_off(operation: Operation) -> str:
    """Return why nobody can be signed off now, nothing if somebody can."""
    if why_not := why_not_postponed(operation):
        return why_not
    if not guard.lost(operation).exists():
        return "No device would be lost. There is nobody to sign off."
    return ""


@transaction.atomic
def sign_off(
    operation: Operation, devices: set[int], *, reason: str, by: Any, now: datetime
) -> SignOff:
    """
    Accept that exactly these devices, by id, may lose contact at the activation.

    Raises ListChanged if they are not the ones that would be lost, NotPossibleNow if it is armed.
    """
    if why_not := why_not_signed_off(operation):
        raise NotPossibleNow(why_not)
    found = list(guard.lost(operation).values_list("pk", "name"))
    if not {pk for pk, _ in found} <= devices:
        raise ListChanged("Meanwhile another device would be lost. Look at the new list.")
    signed = [entry for entry in found if entry[0] in devices]
    names = listed([name for _, name in signed], most=10)
    note = f"{count(len(signed), 'device')} signed off: {names}. Reason: {reason}"
    try:
        operation.note_sign_off(by=by, at=now, note=note)
    except IllegalTransition as error:
        raise NotPossibleNow(why_not_postponed(operation) or _MOVED) from error
    operation.sign_offs.filter(voided_at=None).update(voided_at=now)
    return operation.sign_offs.create(
        devices=[list(entry) for entry in signed], reason=reason[:400], by=by, at=now
    )


def why_not_rolled_back(operation: Operation) -> str:
    """Return why the operation cannot be rolled back, nothing if it can."""
    if operation.state in (State.ROLLING_BACK, State.ROLLED_BACK):
        return "The operation is rolled back already."
    if operation.is_immediate:
        return "The old CA has expired: there is nothing to go back to."
    if operation.state == State.COMPLETED:
        return "The old CA is retired: there is nothing to go back to."
    if operation.state not in CAN_ROLL_BACK:
        return "The new CA is not active yet. Cancel the operation instead."
    others = Operation.objects.filter(zone=operation.zone_id).exclude(pk=operation.pk)
    if others.open().exists():
        return "Another operation is in progress. Cancel it first."
    if others.filter(pk__gt=operation.pk, state=State.OVERLAP).exists():
        return "A later operation is in force. Roll that one back first."
    return ""


def roll_back(operation: Operation, *, reason: str, by: Any, now: datetime) -> None:
    """
    Make the old CA the active one again; every server shows its old certificate, none is cut off.

    The new CA stays trusted, so that whoever knows only it is carried by the backward link.
    Raises NotPossibleNow.
    """
    if why_not := why_not_rolled_back(operation):
        raise NotPossibleNow(why_not)
    try:
        with transaction.atomic():
            operation.start_rollback(by=by, at=now, reason=f"Reason: {reason}")
            assert operation.new_ca is not None  # it has been activated
            operation.new_ca.supersede()
            operation.old_ca.activate(at=operation.old_ca.activated_at or now)
            if operation.update.is_offered:
                updates.withdraw(operation.update, by=by, now=now)
    except (IllegalTransition, ca_models.IllegalTransition) as error:
        raise NotPossibleNow(why_not_rolled_back(operation) or _MOVED) from error
