"""What is done to chosen devices of an update: Redeploy, Ignore Device, Refresh Device."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F

from devices.actions import ask_refresh
from devices.models import Device
from systemupdates.actions import NotPossibleNow
from systemupdates.models import SystemUpdate
from systemupdates.models.device_update import PENDING_STATES, DeviceUpdateQuerySet, State
from zcc.ground import audit
from zcc.ground.many import listed
from zcc.templatetags.names import in_words
from zcc.templatetags.numbers import count

# So many have it in their own history, too: all that can be chosen on a page. With more the log
# would cost more than what it tells of.
MOST_NAMED = 1000


@transaction.atomic
def redeploy(update: SystemUpdate, devices: Iterable[Device], *, by: Any, now: datetime) -> int:
    """Start the update again on devices where it failed or was ignored; return how many."""
    _refuse_unless_assigned(update)
    devices = _not_retired(devices)
    rows, are_many = _rows(update, devices), len(devices) > MOST_NAMED
    before = rows.none() if are_many else rows.filter(state=State.IGNORED)
    ignored = set(before.values_list("device", flat=True))
    number = rows.move(to=State.ASSIGNED, by=by, at=now, attempt=F("attempt") + 1)
    if are_many:
        _count("Redeploy", update, number, by=by, now=now)
        return number
    moved = _moved(rows, to=State.ASSIGNED, at=now)
    again = [device for device in moved if device.pk not in ignored]
    back = [device for device in moved if device.pk in ignored]
    _name("Redeploy", update, again, by=by, now=now)
    _name("Stop ignoring", update, back, by=by, now=now)
    return number


@transaction.atomic
def ignore(update: SystemUpdate, devices: Iterable[Device], *, by: Any, now: datetime) -> int:
    """
    Leave devices out of the update: they keep the trust they have. Return how many.

    Raises NotPossibleNow for a Primary Server: without its new certificate nobody could reach it.
    """
    _refuse_unless_assigned(update)
    devices = _not_retired(devices)
    if servers := [device.name for device in devices if device.is_primary_server]:
        raise NotPossibleNow(
            f"{in_words(servers)} cannot be ignored: every Primary Server must switch."
        )
    rows = _rows(update, devices)
    number = rows.move(to=State.IGNORED, by=by, at=now)
    if number > MOST_NAMED:
        _count("Ignore Device", update, number, by=by, now=now)
    else:
        moved = _moved(rows, to=State.IGNORED, at=now)
        _name("Ignore Device", update, moved, by=by, now=now)
    return number


def left_out(update: SystemUpdate, devices: Iterable[Device], *, at: datetime) -> list[Device]:
    """Return which of the devices `ignore` has left out then, not before: for its undo."""
    return _moved(_rows(update, devices), to=State.IGNORED, at=at)


@transaction.atomic
def refresh_devices(
    update: SystemUpdate, devices: Iterable[Device], *, by: Any, now: datetime
) -> int:
    """Ask these devices to refresh now; return how many are asked."""
    chosen = Device.objects.filter(pk__in=[device.pk for device in devices], zone=update.zone)
    number = ask_refresh(chosen, now=now)
    if number > MOST_NAMED:
        _count("Refresh Device", update, number, by=by, now=now)
    else:
        asked = chosen.filter(refresh_asked_at=now).order_by("name")
        _name("Refresh Device", update, list(asked), by=by, now=now)
    return number


def why_none_redeployed(update: SystemUpdate, devices: Sequence[Device]) -> str:
    """Say why Redeploy changed nothing, and what to do instead."""
    states = _states(update, devices)
    said = f"{_not(devices)} redeployed: {_words(states, devices)}. {ONLY_REDEPLOYED}"
    if states.keys() & set(PENDING_STATES):
        said += " What is on its way goes on by itself; Refresh Device makes it do so at once."
    return said


def why_none_ignored(update: SystemUpdate, devices: Sequence[Device]) -> str:
    """Say why Ignore Device changed nothing, and what to do instead."""
    states = _states(update, devices)
    said = f"{_not(devices)} left out: {_words(states, devices)}. {ONLY_IGNORED}"
    if State.COMPLETED in states:
        said += " What has completed it has the new trust already."
    return said


def why_none_asked(update: SystemUpdate, devices: Sequence[Device]) -> str:
    """Say why Refresh Device asked nobody, and what to do instead."""
    return f"{_not(devices)} asked to refresh. {_NEVER_ASKED}"


ONLY_REDEPLOYED = f"Redeploy is for {State.FAILED.label} and {State.IGNORED.label}."
_NEVER_ASKED = (
    "A Primary Server sees what is new by itself; a retired device has to be brought back first."
)
ONLY_IGNORED = "Ignore Device is for what has not completed the update and is not ignored yet."


def why_others_stay(update: SystemUpdate, devices: Sequence[Device], *, at: datetime) -> str:
    """Say why chosen devices were left as they are by what was done then; nothing of none."""
    moved = set(_rows(update, devices).filter(changed_at=at).values_list("device", flat=True))
    left = [device for device in devices if device.pk not in moved]
    if not left:
        return ""
    words = _words(_states(update, left), left)
    if len(left) == 1:
        return f"{left[0].name} is left as it is: {words}."
    return f"The other {len(left)} are left as they are: {words}."


def why_others_not_asked(update: SystemUpdate, devices: Sequence[Device], *, at: datetime) -> str:
    """Say why chosen devices were not asked to refresh then; nothing of none."""
    rows = Device.objects.filter(zone=update.zone, refresh_asked_at=at)
    asked = set(rows.values_list("pk", flat=True))
    left = [device.name for device in devices if device.pk not in asked]
    if not left:
        return ""
    return f"{in_words(left)} {'is' if len(left) == 1 else 'are'} not. {_NEVER_ASKED}"


def _not_retired(devices: Iterable[Device]) -> list[Device]:
    return [device for device in devices if not device.is_retired]


def _not(devices: Sequence[Device]) -> str:
    if len(devices) == 1:
        return f"{devices[0].name} is not"
    return f"None of the {len(devices)} chosen devices is"


def _states(update: SystemUpdate, devices: Sequence[Device]) -> Counter[str]:
    return Counter(_rows(update, devices).values_list("state", flat=True))


def _words(states: Counter[str], devices: Sequence[Device]) -> str:
    """Return the status of one device, or how many devices have which."""
    if not states:
        return "this update is not theirs" if len(devices) > 1 else "this update is not its own"
    if len(devices) == 1 and devices[0].is_retired:
        return "it is retired. Bring it back first"
    if len(devices) == 1:
        return f"its status is {State(next(iter(states))).label}"
    order = [state for state in State if state in states]
    return in_words([f"{states[state]} in {state.label}" for state in order])


def _rows(update: SystemUpdate, devices: Iterable[Device]) -> DeviceUpdateQuerySet:
    return update.device_updates.filter(device__in=listed(device.pk for device in devices))


def _moved(rows: DeviceUpdateQuerySet, *, to: State, at: datetime) -> list[Device]:
    moved = rows.filter(state=to, changed_at=at).select_related("device")
    return [row.device for row in moved.order_by("device__name")]


def _name(
    what: str, update: SystemUpdate, devices: Sequence[Device], *, by: Any, now: datetime
) -> None:
    """Tell it of the update with the first names, and of each device in its own history."""
    if devices:
        names = audit.first_of(device.name for device in devices)
        audit.record(what, *devices, by=by, at=now, note=update.name, is_part=True)
        audit.record(what, update, by=by, at=now, note=names)


def _count(what: str, update: SystemUpdate, number: int, *, by: Any, now: datetime) -> None:
    """Tell it of the update; what each device was told stands in its own list of updates."""
    audit.record(what, update, by=by, at=now, note=count(number, "device"))


def _refuse_unless_assigned(update: SystemUpdate) -> None:
    if not update.is_assigned:
        state = update.get_state_display().lower()
        raise NotPossibleNow(f"{update.name} is {state}. Nothing has changed.")
