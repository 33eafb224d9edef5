"""How an operation goes on: by itself when something is due, or by an administrator's click."""

from datetime import datetime
from typing import Any, Protocol

from django.conf import settings
from django.db import transaction

from certificates import guard, lacking, retirement
from certificates.actions import authorities, key_requests, retirements
from certificates.models import LinkCertificate, Operation, ServerCertificate
from certificates.models import authority as ca_models
from certificates.models.authority import State as CAState
from certificates.models.operation import IllegalTransition, State
from certificates.models.server_certificate import State as CertificateState
from certificates.wording import listed
from devices.models import Device, Zone
from systemupdates import actions as updates
from systemupdates.models.device_update import State as DeviceUpdateState
from zcc.templatetags.numbers import count


class Step(Protocol):
    """Takes the step that follows a state if it is due; returns whether it was."""

    def __call__(self, operation: Operation, *, now: datetime) -> bool: ...


class NotPossibleNow(Exception):
    """The operation is not where this can be done; the message is for the user."""


# What the slower of two ticks, or of a tick and a click, is told.
OVERTAKEN = (IllegalTransition, updates.NotPossibleNow, ca_models.IllegalTransition)


def advance(operation: Operation, *, now: datetime) -> bool:
    """
    Take the next step of the operation if one is due; return whether there was one.

    What is due is read from the database, never from the caller, so calling this twice does no
    harm, and a lost message delays an operation without breaking it.
    """
    if operation.state in _IN_WAVES and updates.open_waves(operation.update, now=now):
        return True
    step = _STEPS.get(operation.state)
    return step is not None and step(operation, now=now)


def _assign_or_hold(operation: Operation, *, now: datetime) -> bool:
    if not updates.is_replicated(operation.update):
        return _hold_if_late(operation, now=now)
    _assign(operation, by=None, now=now)
    return True


@transaction.atomic
def _assign(operation: Operation, *, by: Any, now: datetime) -> None:
    """Assign the update; what servers have done of it before, in an Immediate operation, counts."""
    updates.assign(operation.update, by=by, now=now)
    operation.mark_assigned(by=by, at=now)
    switched = operation.servers.exclude(activated_at=None).values("device")
    rows = operation.update.device_updates.filter(device__in=switched)
    rows.move(to=DeviceUpdateState.COMPLETED, by=None, at=now)
    ready = operation.servers.exclude(updater_ran_at=None).values("device")
    rows = operation.update.device_updates.filter(device__in=ready)
    rows.move(to=DeviceUpdateState.PENDING, by=None, at=now)


def _hold_if_late(operation: Operation, *, now: datetime) -> bool:
    """An update that is not assigned when it should be armed holds the operation."""
    if operation.is_immediate or now < operation.cutoff_at:
        return False
    missing = ", ".join(server.name for server in updates.servers_without_content(operation.update))
    because = f"{missing} has not received the content" if missing else "it is not ready"
    return _hold(operation, f"The update is not assigned yet: {because}.", now=now)


def _hold(operation: Operation, reason: str, *, now: datetime) -> bool:
    is_news = reason[:400] != operation.held_reason
    operation.hold(reason[:400], at=now)
    return is_news


def _arm(operation: Operation, *, now: datetime) -> bool:
    if operation.is_immediate:
        operation.wait_for_devices(at=now)
        return True
    if now < operation.cutoff_at:
        return False
    if reason := why_not_armed(operation, now=now):
        return _hold(operation, reason, now=now)
    operation.arm(at=now)
    return True


def why_not_armed(operation: Operation, *, now: datetime) -> str | None:
    """
    Return what keeps the operation from being armed, None if nothing does.

    It is a server without a certificate that fits, a go-ahead that could not be signed, or devices
    that would be lost.
    """
    if operation.problem:
        return operation.problem
    alive = Device.objects.filter(zone=operation.zone).active().alive(now)
    if reason := lacking.why_held(operation):
        return reason
    behind = operation.servers.filter(device__in=alive, staged_at=None).select_related("device")
    behind = behind.exclude(pk__in=lacking.lacking(operation).values("pk"))
    if names := ", ".join(sorted(row.device.name for row in behind)):
        return f"The future certificate is not in place on {names}."
    return _who_would_be_lost(operation, now=now)


def _who_would_be_lost(operation: Operation, *, now: datetime) -> str | None:
    """
    Name the devices that nobody has signed off; a sign-off that misses one of them is void.

    That one and no other: somebody may have signed off all of them meanwhile.
    """
    signed = guard.standing_sign_off(operation)
    found = guard.unsigned(operation, signed)
    number = found.count()
    if not number:
        return None
    if signed is not None:
        operation.sign_offs.filter(pk=signed.pk, voided_at=None).update(voided_at=now)
    names = listed([device.name for device in found[:3]], of=number)
    return f"{count(number, 'device')} would be lost at the activation: {names}."


# What devices are told of now; nothing but note_telling writes `problem` in these.
_TOLD_STATES = (State.ASSIGNED, State.ARMED, State.ACTIVATING, State.OVERLAP)


def note_telling(zone: Zone, *, problem: str) -> None:
    """Show on the operation why devices cannot be told of it, or that they can be again."""
    rows = Operation.objects.filter(zone=zone, state__in=_TOLD_STATES)
    rows.exclude(problem=problem[:600]).update(problem=problem[:600])


def _switch(operation: Operation, *, now: datetime) -> bool:
    """At the activation time the new CA becomes the active one, and every server's turn comes."""
    if now < operation.activate_at or operation.new_ca is None:
        return False
    with transaction.atomic():
        operation.start_activation(at=now)
        operation.old_ca.supersede()
        operation.new_ca.activate(at=now)
    return True


def _finish_activation(operation: Operation, *, now: datetime) -> bool:
    """Overlap begins when no running Primary Server shows the old certificate; late ones follow."""
    alive = Device.objects.filter(zone=operation.zone).active().alive(now)
    waited_for = operation.servers.filter(device__in=alive, activated_at=None)
    if waited_for.exclude(pk__in=lacking.lacking(operation).values("pk")).exists():
        return False
    if not operation.servers.exclude(activated_at=None).exists():
        return False
    with transaction.atomic():
        operation.finish_activation(at=now)
        if operation.is_strict and not operation.is_immediate:
            retirements.end_earlier(operation, by=None, now=now)
            for ca in operation.zone.authorities.filter(state=CAState.SUPERSEDED):
                retirements.retire(ca, now=now)
    return True


def _finish_rollback(operation: Operation, *, now: datetime) -> bool:
    """It is over when every running Primary Server shows the old certificate; late ones follow."""
    alive = Device.objects.filter(zone=operation.zone).active().alive(now)
    if operation.servers.filter(device__in=alive, rolled_back_at=None).exists():
        return False
    operation.finish_rollback(at=now)
    return True


def _end_overlap(operation: Operation, *, now: datetime) -> bool:
    """
    An old CA that expires is of no use to anyone, nor one that nobody has needed for long enough.

    Of one that had expired before the operation began, the rescue port goes on showing the chain.
    """
    if operation.is_immediate or not operation.old_ca.is_expired(now):
        return _retire_if_quiet(operation, now=now)
    with transaction.atomic():
        operation.complete(by=None, at=now, note="The old CA has expired.")
        if operation.old_ca.state == CAState.SUPERSEDED:
            retirements.retire(operation.old_ca, now=now)
    return True


def _retire_if_quiet(operation: Operation, *, now: datetime) -> bool:
    """As an administrator has set it; never under an open operation or a server left behind."""
    retires_at = operation.retires_at
    if retires_at is None or now < retires_at or retirement.why_it_waits(operation):
        return False
    days = count(operation.retire_after or 0, "day")
    note = f"By itself: nobody who needs the old CA was heard of for {days}."
    try:
        authorities.retire_old_ca(operation, by=None, note=note, now=now)
    except authorities.Refused:  # a click was first, or another operation has just begun
        return False
    return True


# The update goes on from group to group as long as it is deployed.
_IN_WAVES = (State.ASSIGNED, State.ARMED, State.ACTIVATING, State.OVERLAP)


@transaction.atomic
def assign_now(operation: Operation, *, by: Any, now: datetime) -> None:
    """
    Assign the update although not every content server has the content.

    Raises NotPossibleNow when it is assigned already, not made yet, or cancelled.
    """
    try:
        _assign(operation, by=by, now=now)
    except (updates.NotPossibleNow, IllegalTransition) as error:
        raise NotPossibleNow(str(error)) from error


@transaction.atomic
def clear_failure(operation: Operation, *, by: Any, now: datetime) -> None:
    """Put the message of a failed cancel away; it stays in the history."""
    operation.clear_problem(by=by, at=now)


def cancel(operation: Operation, *, by: Any, now: datetime) -> None:
    """
    Begin to take the operation back. Nothing live has changed, and nothing will.

    Raises NotPossibleNow from the cut-off on, and when it is being canceled already.
    """
    try:
        with transaction.atomic():
            operation.start_cancel(by=by, at=now)
            updates.stop_replication(operation.update)
    except IllegalTransition as error:
        raise NotPossibleNow(why_not_cancelled(operation, now=now)) from error


def why_not_cancelled(operation: Operation, *, now: datetime) -> str:
    """Return why an operation that cannot be cancelled cannot."""
    if operation.can_cancel(now):
        return "Somebody else has moved the activation. Look at the new time, and cancel again."
    if operation.state in (State.CANCELLING, State.CANCELLED):
        return "The operation is being canceled already."
    if operation.state in (State.ROLLING_BACK, State.ROLLED_BACK):
        return "The operation is rolled back. There is nothing to cancel."
    if operation.state == State.FAILED:
        return "The operation could not begin. There is nothing to cancel."
    if operation.state in (State.OVERLAP, State.COMPLETED, State.ACTIVATING):
        return "The new CA is active. The operation can no longer be canceled."
    if operation.is_immediate:
        return "The new CA is active. The operation can no longer be canceled."
    minutes = settings.ZCC_CANCEL_CUTOFF.total_seconds() / 60
    return (
        f"The operation can no longer be canceled: it activates in less than {minutes:.0f} "
        "minutes, and the servers may be armed. Nothing has changed."
    )


def unconfirmed_servers(operation: Operation, *, now: datetime) -> list[Device]:
    """
    Return the servers that have not confirmed that they removed what the operation left.

    A server that is late cannot be asked and has nothing live of it; the initiating server must
    answer all the same, because the key to be destroyed is there.
    """
    waiting = operation.servers.filter(cleaned_at=None).select_related("device__heartbeat")
    primaries = [row.device for row in waiting if row.device.is_primary_server]
    initiating = operation.initiating_server_id
    return [server for server in primaries if server.pk == initiating or server.is_alive(now)]


def _watch_cancel(operation: Operation, *, now: datetime) -> bool:
    """A cancel that some server does not confirm in time has failed."""
    since = operation.cancelling_since
    if since is None or now < since + settings.ZCC_CANCEL_TIMEOUT:
        return False
    operation.fail_cancel(_why_cancel_failed(operation, now=now), at=now)
    return True


def _why_cancel_failed(operation: Operation, *, now: datetime) -> str:
    minutes = max(1, round(settings.ZCC_CANCEL_TIMEOUT.total_seconds() / 60))
    servers = unconfirmed_servers(operation, now=now) or [operation.initiating_server]
    names = ", ".join(server.name for server in servers)
    problems = operation.servers.filter(device__in=servers).exclude(problem="")
    reasons = " ".join(sorted({row.problem for row in problems}))
    text = (
        f"{names} did not confirm within {minutes} min that it removed what the operation left. "
        "Nothing live has changed. Clear this message, then cancel again."
    )
    return f"{text} {reasons}".strip()


_STEPS: dict[str, Step] = {
    State.PREPARING: _hold_if_late,
    State.REPLICATING: _assign_or_hold,
    State.ASSIGNED: _arm,
    State.ARMED: _switch,
    State.ACTIVATING: _finish_activation,
    State.OVERLAP: _end_overlap,
    State.CANCELLING: _watch_cancel,
    State.ROLLING_BACK: _finish_rollback,
}


@transaction.atomic
def finish_cancel(operation: Operation, *, now: datetime) -> None:
    """Every running server is clean and the key is destroyed: close the books."""
    operation.mark_cancelled(at=now)
    Operation.objects.filter(pk=operation.pk).update(claim_id=None, lease_until=None)
    ServerCertificate.objects.filter(operation=operation).move(
        to=CertificateState.CANCELLED, claim_id=None, lease_until=None
    )
    new_ca = operation.zone.authorities.filter(guid=operation.guid).first()
    if new_ca is not None:
        LinkCertificate.objects.filter(certified=new_ca).update(revoked_at=now)
        LinkCertificate.objects.filter(authority=new_ca).update(revoked_at=now)
        new_ca.cancel(key_destroyed_at=now)
        if new_ca.server and new_ca.server_id != operation.initiating_server_id:
            key_requests.remove_keys(new_ca.server, now=now)  # it was lost, and may come back
    operation.link_requests.all().delete()
    updates.withdraw(operation.update, by=_who_canceled(operation), now=now)


def _who_canceled(operation: Operation) -> Any:
    """Return who pressed `Cancel` last: the software only ends what they began."""
    asked = operation.events.filter(state=State.CANCELLING).exclude(by=None).select_related("by")
    last = asked.last()
    return last.by if last else None
