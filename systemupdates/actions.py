"""What happens to system updates: made, replicated, assigned, applied, redeployed, withdrawn."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models import Model as DjangoModel
from django.db.models import PositiveSmallIntegerField as SmallInteger

from devices.actions import ask_refresh
from devices.models import Device, Kind, Zone
from systemupdates.models import DeviceUpdate, DeviceUpdateEvent, Replication, SystemUpdate
from systemupdates.models import device_update as device_updates
from systemupdates.models import replication as replications
from systemupdates.models.device_update import insert_select
from systemupdates.models.update import IllegalTransition, State, Wave
from systemupdates.rounds import next_round

# A fetch that failed is tried again this soon, not only at the next round of the schedule.
RETRY_AFTER = timedelta(seconds=30)


class NotPossibleNow(Exception):
    """The update is not in a state from which it can do this; the message is for the user."""


def create_update(
    zone: Zone, *, name: str, initiating_server: Device, by: Any, now: datetime
) -> SystemUpdate:
    """Begin an update whose content the initiating server will build."""
    update = SystemUpdate.objects.create(
        zone=zone, name=name, initiating_server=initiating_server, created_at=now
    )
    update.events.create(state=update.state, by=by, at=now)
    return update


@transaction.atomic
def start_replication(update: SystemUpdate, *, sha256: str, size: int, now: datetime) -> None:
    """Offer the content that the initiating server holds to every other content server."""
    update.offer_content(sha256=sha256, size=size, by=None, at=now)
    due_at = next_round(update.zone, after=now)
    servers = Device.objects.filter(zone=update.zone).active().content_servers()
    holder = Q(pk=update.initiating_server_id)  # it holds the content, excluded or not
    for server in servers.filter(holder | Q(excluded_server=None)):
        is_source = server.pk == update.initiating_server_id
        Replication.objects.create(
            update=update,
            server=server,
            state=replications.State.AVAILABLE if is_source else replications.State.WAITING,
            received=size if is_source else 0,
            due_at=now if is_source else due_at,
            changed_at=now,
        )


def replication_failed(row: Replication, *, error: str, now: datetime) -> None:
    """Note why the content did not come, and when it is tried again."""
    interval = row.update.zone.replication_interval
    Replication.objects.filter(pk=row.pk).move(
        to=replications.State.FAILED,
        at=now,
        last_error=error[:400],
        due_at=now + min(RETRY_AFTER, interval),
        claim_id=None,
        lease_until=None,
    )


def stop_replication(update: SystemUpdate) -> None:
    """Let no server begin to fetch the content any more; one that is fetching ends first."""
    update.replications.missing().filter(claim_id=None).delete()


def is_being_fetched(update: SystemUpdate, server: Device, *, now: datetime) -> bool:
    """Whether a worker of the server is fetching the content at this moment."""
    rows = update.replications.filter(server=server, claim_id__isnull=False)
    return rows.filter(lease_until__gt=now).exists()


def is_replicated(update: SystemUpdate) -> bool:
    """Whether every content server that is not retired holds the content."""
    rows = update.replications.filter(server__retired_at=None)
    return rows.exists() and not rows.missing().exists()


def servers_without_content(update: SystemUpdate) -> QuerySet[Device]:
    """The content servers that do not hold the content yet, by name."""
    missing = update.replications.filter(server__retired_at=None).missing()
    return Device.objects.filter(pk__in=missing.values("server")).order_by("name")


def sources(update: SystemUpdate, *, device: Device) -> list[Device]:
    """The servers that hold the content, nearest first: Satellites, then Primary Servers."""
    held = update.replications.filter(state=replications.State.AVAILABLE)
    servers = Device.objects.filter(pk__in=held.values("server")).exclude(pk=device.pk).active()
    return sorted(servers, key=lambda server: (server.is_primary_server, server.name))


@transaction.atomic
def assign(update: SystemUpdate, *, by: Any, now: datetime) -> None:
    """
    Assign the update to all devices of the zone, whatever stages there are.

    Raises NotPossibleNow when it is not replicating (assigned already, withdrawn, not made yet).
    """
    try:
        update.mark_assigned(by=by, at=now)
    except IllegalTransition as error:
        raise NotPossibleNow(_why_not_assigned(update)) from error
    update.replications.missing().update(due_at=now)  # whoever is behind fetches at once
    _add_devices(update, Device.objects.filter(zone=update.zone).active(), by=by, now=now)


def _why_not_assigned(update: SystemUpdate) -> str:
    if update.state == State.ASSIGNED:
        return "The update is assigned already."
    if update.state == State.CREATED:
        return "The content of the update is not made yet. Try again in a few seconds."
    return f"The update is {update.get_state_display().lower()} and can no longer be assigned."


def _add_devices(
    update: SystemUpdate, devices: "QuerySet[Device]", *, by: Any, now: datetime
) -> None:
    """INSERT ... SELECT a row and its first event for each device that has none."""
    wave = Case(
        When(pk=update.initiating_server_id, then=Value(Wave.INITIATING_SERVER)),
        When(kind=Kind.PRIMARY_SERVER, then=Value(Wave.PRIMARY_SERVERS)),
        default=Value(Wave.ALL_DEVICES),
        output_field=SmallInteger(),
    )
    new = devices.exclude(updates__update=update).values_list(
        _constant(DeviceUpdate, "update", update.pk),
        F("pk"),
        _constant(DeviceUpdate, "state", device_updates.State.ASSIGNED),
        wave,
        _constant(DeviceUpdate, "attempt", 1),
        _constant(DeviceUpdate, "reason", ""),
        _constant(DeviceUpdate, "changed_at", now),
    )
    columns = ["update_id", "device_id", "state", "wave", "attempt", "reason", "changed_at"]
    insert_select(DeviceUpdate, columns, new)
    first = DeviceUpdate.objects.filter(update=update, events=None).values_list(
        F("pk"),
        F("state"),
        F("reason"),
        _constant(DeviceUpdateEvent, "by", by.pk if by else None),
        _constant(DeviceUpdateEvent, "at", now),
    )
    insert_select(DeviceUpdateEvent, ["device_update_id", "state", "reason", "by_id", "at"], first)


def _constant(model: type[DjangoModel], field: str, value: object) -> Value:
    """A value with the type of the column it is inserted into."""
    column: Any = model._meta.get_field(field)
    return Value(value, output_field=getattr(column, "target_field", column))


def add_late_comer(update: SystemUpdate, device: Device, *, now: datetime) -> None:
    """Give a device that joined during the update its rows: its own, and a content server's."""
    if is_included(device) and update.is_offered:
        due_at = now if update.is_assigned else next_round(update.zone, after=now)
        Replication.objects.get_or_create(
            update=update, server=device, defaults={"due_at": due_at, "changed_at": now}
        )
    if update.is_assigned:
        _add_devices(update, Device.objects.filter(pk=device.pk), by=None, now=now)


def add_content_server(server: Device, *, now: datetime) -> None:
    """Let a server that is one from now on hold the content of every update that is offered."""
    if not is_included(server):
        return
    for update in wanted_content(server):
        due_at = next_round(server.zone, after=now)
        Replication.objects.get_or_create(
            update=update,
            server=server,
            defaults={"due_at": now if update.is_assigned else due_at, "changed_at": now},
        )


def is_included(server: Device) -> bool:
    """Whether it is a content server that takes part in replication, by what is stored now."""
    servers = Device.objects.filter(pk=server.pk).content_servers()
    return servers.filter(excluded_server=None).exists()


def remove_content_server(server: Device) -> None:
    """Let the server hold no content any more; nobody waits for it, or is sent to it."""
    Replication.objects.filter(server=server).delete()


def open_waves(update: SystemUpdate, *, now: datetime) -> bool:
    """
    Let the next group begin when the one before is through; return whether one was let in.

    The order is the manual's: the initiating server, the other Primary Servers, the rest. A server
    that is late, or whose update failed or was ignored, holds nobody up.
    """
    if not update.is_assigned or update.wave >= Wave.ALL_DEVICES:
        return False
    alive = Device.objects.filter(zone=update.zone).active().alive(now)
    working = update.device_updates.filter(
        wave__lte=update.wave,
        device__in=alive,
        state__in=[
            device_updates.State.ASSIGNED,
            device_updates.State.DOWNLOADING,
            device_updates.State.UPDATING,
        ],
    )
    return not working.exists() and update.open_wave(Wave(update.wave + 1))


def report_step(
    update: SystemUpdate, device: Device, *, attempt: int, state: str, reason: str, at: datetime
) -> bool:
    """
    Note the step a device says it has done; False when it changes nothing.

    A report of an attempt before the last Redeploy, or of a step already passed, changes nothing:
    reports come late and twice.
    """
    row = update.device_updates.filter(device=device, attempt=attempt)
    return bool(row.move(to=device_updates.State(state), by=None, at=at, reason=reason[:400]))


def note_proof(
    update: SystemUpdate, device: Device, *, leaf: str, problem: str, refused: bool, at: datetime
) -> bool:
    """
    Note how the device's last probe of a canary ended; False when that is known already.

    A failed one leaves an earlier proof standing: its server may just be away. But when the device
    refused what the canary showed, that ends it, and stands until a probe succeeds. Whether a
    proof counts is asked of the certificates: see certificates.guard.
    """
    row = update.device_updates.filter(device=device)
    facts: dict[str, object] = {"proof_problem": problem[:400]}
    if refused:
        facts |= {"proof_leaf": "", "proof_refused": True}
    elif not problem:
        facts |= {"proof_leaf": leaf, "proof_refused": False}
    proven = {} if problem else {"proven_at": at}
    return bool(row.exclude(**facts).update(**facts, **proven))


@transaction.atomic
def redeploy(update: SystemUpdate, devices: Iterable[Device], *, by: Any, now: datetime) -> int:
    """Start the update again on devices where it failed or was ignored; return how many."""
    _refuse_unless_assigned(update)
    return update.device_updates.filter(device__in=[device.pk for device in devices]).move(
        to=device_updates.State.ASSIGNED, by=by, at=now, attempt=F("attempt") + 1
    )


@transaction.atomic
def ignore(update: SystemUpdate, devices: Iterable[Device], *, by: Any, now: datetime) -> int:
    """
    Leave devices out of the update: they keep the trust they have. Return how many.

    Raises NotPossibleNow for a Primary Server: without its new certificate nobody could reach it.
    """
    _refuse_unless_assigned(update)
    devices = list(devices)
    if servers := ", ".join(device.name for device in devices if device.is_primary_server):
        raise NotPossibleNow(f"{servers} cannot be ignored: every Primary Server must switch.")
    return update.device_updates.filter(device__in=[device.pk for device in devices]).move(
        to=device_updates.State.IGNORED, by=by, at=now
    )


def refresh_devices(
    update: SystemUpdate, devices: Iterable[Device], *, by: Any, now: datetime
) -> int:
    """Ask these devices to refresh now; return how many are asked."""
    chosen = Device.objects.filter(pk__in=[device.pk for device in devices], zone=update.zone)
    return ask_refresh(chosen, now=now)


def _refuse_unless_assigned(update: SystemUpdate) -> None:
    if not update.is_assigned:
        state = update.get_state_display().lower()
        raise NotPossibleNow(f"{update.name} is {state}. Nothing has changed.")


@transaction.atomic
def withdraw(update: SystemUpdate, *, by: Any, now: datetime) -> None:
    """Take the update back: from every device's list, and its content from every server."""
    update.withdraw(by=by, at=now)
    update.device_updates.all().move(to=device_updates.State.WITHDRAWN, by=by, at=now)
    update.replications.all().delete()


@transaction.atomic
def baseline(update: SystemUpdate, *, by: Any, now: datetime) -> None:
    """
    Close an update that has done its work: no device is told of it any more.

    Devices that have not completed it keep their status and get the zone's trust all the same.
    Raises NotPossibleNow as long as a Primary Server has not completed it.
    """
    if why_not := why_not_baselined(update):
        raise NotPossibleNow(why_not)
    try:
        update.baseline(by=by, at=now)
    except IllegalTransition as error:
        raise NotPossibleNow(why_not_baselined(update)) from error


def why_not_baselined(update: SystemUpdate) -> str:
    """Return why the update cannot be baselined, nothing if it can."""
    if update.state in (State.BASELINED, State.DELETED):
        return f"The update is {update.get_state_display().lower()} already."
    if not update.is_assigned:
        return f"The update is {update.get_state_display().lower()}. Only an assigned one can be."
    rows = update.device_updates.filter(
        device__kind=Kind.PRIMARY_SERVER, device__retired_at=None
    ).exclude(state=device_updates.State.COMPLETED)
    names = ", ".join(rows.order_by("device__name").values_list("device__name", flat=True))
    return f"Not before every Primary Server has completed it: {names} has not." if names else ""


@transaction.atomic
def delete(update: SystemUpdate, *, by: Any, now: datetime) -> None:
    """Delete a baselined update: its content leaves every server. Raises NotPossibleNow."""
    if why_not := why_not_deleted(update):
        raise NotPossibleNow(why_not)
    try:
        update.delete_content(by=by, at=now)
    except IllegalTransition as error:
        raise NotPossibleNow(why_not_deleted(update)) from error
    update.replications.all().delete()


def why_not_deleted(update: SystemUpdate) -> str:
    """Return why the update cannot be deleted, nothing if it can."""
    if update.state == State.DELETED:
        return "The update is deleted already."
    return "" if update.state == State.BASELINED else "Only a baselined update can be deleted."


def dropped_content(zone: Zone) -> set[str]:
    """The content of deleted updates that no other update of the zone has, by its SHA-256."""
    deleted = SystemUpdate.objects.filter(zone=zone, state=State.DELETED)
    others = SystemUpdate.objects.filter(zone=zone).exclude(state=State.DELETED)
    kept = set(others.values_list("content_sha256", flat=True))
    return set(deleted.values_list("content_sha256", flat=True)) - kept - {""}


def wanted_content(server: Device) -> QuerySet[SystemUpdate]:
    """The updates whose content a content server is to hold; it drops all others."""
    open_or_kept = Q(state__in=[State.REPLICATING, State.ASSIGNED, State.BASELINED])
    return SystemUpdate.objects.filter(open_or_kept, zone=server.zone)
