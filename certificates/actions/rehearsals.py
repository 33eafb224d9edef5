"""Start, cancel and move on a rehearsal; note what its devices report."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from certificates import due, rehearsing
from certificates.models import Operation, Rehearsal, RehearsalDevice
from certificates.models.rehearsal import IllegalTransition, State
from devices.models import Device, Kind, Zone
from zcc.ground import audit
from zcc.ground.wire import guid, text

MAX_DEVICES = 500
DIGEST = re.compile("[0-9a-f]{64}")
# What a device reports, and the column that says when it did.
STEPS = {
    "trusted": "trusted_at",
    "proven": "proven_at",
    "switched": "switched_at",
    "cleaned": "cleaned_at",
}
STAGES = {State.TOLD: "trust", State.ACTIVATED: "switch"}


class Refused(Exception):
    """It cannot be done now; the text says why. Nothing has changed."""


def test_devices(zone: Zone) -> QuerySet[Device]:
    """Return the devices that are marked for tests and run an agent."""
    rows = Device.objects.filter(zone=zone, is_test=True).active().exclude_primary_servers()
    return rows.exclude(kind=Kind.MOBILE).order_by("name")


def why_not(zone: Zone) -> str:
    """Return why no rehearsal can be started now, nothing if one can."""
    operation = Operation.objects.filter(zone=zone).open().first()
    if operation is not None:
        name = operation.get_kind_display()
        return f"{name} is in progress. A rehearsal can be run before an operation or after it."
    running = Rehearsal.objects.filter(zone=zone).open().first()
    if running is None:
        return ""
    if running.state == State.CLEANING:
        return "The last rehearsal is being cleaned up. Wait until it is over."
    return "A rehearsal is running. Cancel it, or wait until it is over."


def start(
    zone: Zone, chosen: Sequence[Device], *, patience: timedelta, by: Any, now: datetime
) -> Rehearsal:
    """
    Let the signing server's worker prepare a rehearsal with these devices.

    Raises Refused.
    """
    if reason := why_not(zone):
        raise Refused(reason)
    server = due.signing_server(zone)
    if server is None:
        raise Refused("No server of the zone signs for it, so that devices cannot be told.")
    allowed = set(test_devices(zone).filter(pk__in=[device.pk for device in chosen]))
    if not chosen or len(allowed) != len(chosen):
        raise Refused("One of these devices is not a test device any more. Choose again.")
    try:
        return _start(zone, server, chosen, patience=patience, by=by, now=now)
    except IntegrityError as error:
        raise Refused("Another rehearsal was started at the same moment.") from error


@transaction.atomic
def _start(
    zone: Zone,
    server: Device,
    chosen: Sequence[Device],
    *,
    patience: timedelta,
    by: Any,
    now: datetime,
) -> Rehearsal:
    row = Rehearsal.objects.create(
        zone=zone,
        server=server,
        patience=patience,
        created_by=by,
        created_at=now,
        changed_at=now,
        before=rehearsing.live_facts(zone),
    )
    row.events.create(state=row.state, by=by, at=now)
    audit.record("Rehearse", row, by=by, at=now, note=audit.listed(d.name for d in chosen))
    RehearsalDevice.objects.bulk_create(
        RehearsalDevice(rehearsal=row, device=device) for device in chosen
    )
    return row


def cancel(row: Rehearsal, *, by: Any, now: datetime, note: str = "") -> None:
    """End the rehearsal early: whatever it made is removed everywhere. Raises Refused."""
    try:
        with transaction.atomic():
            row.start_cleaning(State.CANCELLED, by=by, at=now, note=note)
            audit.record("Cancel rehearsal", row, by=by, at=now, note=note)
    except IllegalTransition as error:
        raise Refused("The rehearsal is over already, or being cleaned up.") from error
    rehearsing.ask_to_refresh(row, now=now)


def advance_open(zone: Zone, *, now: datetime) -> None:
    """By the tick: move on what is open."""
    for row in Rehearsal.objects.filter(zone=zone).open().select_related("server"):
        advance(row, now=now)


def advance(row: Rehearsal, *, now: datetime) -> bool:
    """Move the rehearsal on if something is due by what is stored; return whether it was."""
    before = row.state
    try:
        _advance(row, now=now)
    except (IllegalTransition, Refused):  # another tick or a click was first
        return True
    return row.state != before


def _advance(row: Rehearsal, *, now: datetime) -> None:
    is_over = now >= row.waits_until
    operation = Operation.objects.filter(zone=row.zone).open().first()
    if operation is not None and row.can_cancel:
        note = f"{operation.get_kind_display()} was initiated, and goes before."
        cancel(row, by=None, now=now, note=note)
    elif row.state == State.PREPARING and is_over:
        problem = f"{row.server.name} did not prepare it in time."
        row.start_cleaning(State.FAILED, by=None, at=now, problem=problem)
    elif row.can_cancel and now >= row.expires_at:
        problem = f"{row.server.name} did not go on with it."
        row.start_cleaning(State.FAILED, by=None, at=now, problem=problem)
    elif row.state == State.ACTIVATED and (is_over or not _missing(row, "switched_at")):
        row.start_cleaning(State.FINISHED, by=None, at=now)
        rehearsing.ask_to_refresh(row, now=now)
    elif row.state == State.CLEANING and _is_clean(row, now=now):
        row.finish(rehearsing.live_facts(row.zone), at=now)


def _is_clean(row: Rehearsal, *, now: datetime) -> bool:
    """
    Whether nothing is left of it, or whoever has something of it does not need to be waited for.

    When it has expired devices clean up by themselves, and a server that is away when it starts.
    """
    if row.files_destroyed_at is None:
        return now >= row.expires_at
    return now >= row.waits_until or not _missing(row, "cleaned_at", told_at__isnull=False)


def _missing(row: Rehearsal, column: str, **of: Any) -> bool:
    return row.devices.filter(Q(**{column: None}), **of).exists()


# At a refresh


def tell(device: Device, report: Mapping[str, Any], *, now: datetime) -> str | None:
    """Note how far the device is in a rehearsal, and return what it is to be told of one."""
    said = report.get("rehearsal")
    if isinstance(said, dict):
        _note(device, said, now=now)
    elif not device.is_test:
        return None
    rows = RehearsalDevice.objects.filter(device=device).select_related("rehearsal")
    mine = rows.order_by("rehearsal").last()
    if mine is None or not mine.rehearsal.envelopes or now >= mine.rehearsal.expires_at:
        return None
    stage = STAGES.get(State(mine.rehearsal.state), "end")
    if stage == "end" and (mine.told_at is None or mine.cleaned_at is not None):
        return None
    if mine.told_at is None:
        RehearsalDevice.objects.filter(pk=mine.pk, told_at=None).update(told_at=now)
    envelope: str = mine.rehearsal.envelopes[stage]
    return envelope


def _note(device: Device, said: Mapping[str, Any], *, now: datetime) -> None:
    named = guid(said, "id")
    if named is None:
        return
    rows = RehearsalDevice.objects.filter(device=device, rehearsal__guid=named)
    row, steps, digest = rows.first(), said.get("steps"), text(said, "trust")
    if row is None or row.cleaned_at is not None or not isinstance(steps, list):
        return
    facts: dict[str, Any] = {"problem": text(said, "problem")[:400]}
    for step, column in STEPS.items():
        if step in steps and getattr(row, column) is None:
            facts[column] = now
    if DIGEST.fullmatch(digest):
        facts |= {"trust_before": row.trust_before or digest, "trust_after": digest}
    rows.update(**facts)
