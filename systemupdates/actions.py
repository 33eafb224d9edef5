"""What happens to system updates: made, replicated, assigned, applied, redeployed, withdrawn."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Case, Count, F, Q, QuerySet, Value, When
from django.db.models import Model as DjangoModel
from django.db.models import PositiveSmallIntegerField as SmallInteger

from devices.models import Device, Kind, Zone
from systemupdates import nearest
from systemupdates.models import DeviceUpdate, DeviceUpdateEvent, Replication, SystemUpdate
from systemupdates.models import device_update as device_updates
from systemupdates.models import replication as replications
from systemupdates.models.device_update import insert_select
from systemupdates.models.update import HELD_STATES, IllegalTransition, State, Wave
from systemupdates.rounds import next_round
from zcc.ground import audit
from zcc.templatetags.names import in_words

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
    audit.record("Update created", update, by=by, at=now)
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


def content_lost(row: Replication, *, now: datetime) -> None:
    """A server no longer has what it had: it does not count, and fetches it again at once."""
    Replication.objects.filter(pk=row.pk, state=replications.State.AVAILABLE).move(
        to=replications.State.FAILED,
        at=now,
        received=0,
        last_error="Its copy was damaged or removed. It is fetched again.",
        due_at=now,
    )


def stop_replication(update: SystemUpdate) -> None:
    """Let no server begin to fetch the content any more; one that is fetching ends first."""
    update.replications.missing().filter(claim_id=None).delete()


def let_go_of_content(update: SystemUpdate, server: Device, *, now: datetime) -> bool:
    """
    Forget that the server holds the content, before it is removed there; return whether it may be.

    It may not while a worker of the server is fetching it.
    """
    rows = update.replications.filter(server=server)
    rows.exclude(claim_id__isnull=False, lease_until__gt=now).delete()
    return not rows.exists()


def is_replicated(update: SystemUpdate) -> bool:
    """Whether every content server that is not retired holds the content."""
    rows = update.replications.filter(server__retired_at=None)
    return rows.exists() and not rows.missing().exists()


def servers_without_content(update: SystemUpdate) -> QuerySet[Device]:
    """The content servers that do not hold the content yet, by name."""
    missing = update.replications.filter(server__retired_at=None).missing()
    return Device.objects.filter(pk__in=missing.values("server")).order_by("name")


def sources(update: SystemUpdate, *, device: Device) -> list[Device]:
    """Return the servers it may fetch the content from, in the order of `nearest`."""
    others = [server for server in holders(update) if server.pk != device.pk]
    return nearest.in_order(others, device=device)


def holders(update: SystemUpdate) -> list[Device]:
    """Return the servers that hold the content and serve it."""
    held = update.replications.filter(state=replications.State.AVAILABLE)
    servers = Device.objects.filter(pk__in=held.values("server")).active()
    return [server for server in servers if "Content" not in server.roles_not_taken]


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
    devices = Device.objects.filter(zone=update.zone).active()
    _add_devices(update, devices, update.device_updates.all(), by=by, now=now)


def _why_not_assigned(update: SystemUpdate) -> str:
    if update.state == State.ASSIGNED:
        return "The update is assigned already."
    if update.state == State.CREATED:
        return "The content of the update is not made yet. Try again in a few seconds."
    return f"The update is {update.get_state_display().lower()} and can no longer be assigned."


def _add_devices(
    update: SystemUpdate,
    devices: "QuerySet[Device]",
    made: "QuerySet[DeviceUpdate]",
    *,
    by: Any,
    now: datetime,
) -> None:
    """
    INSERT ... SELECT a row and its first event for each device; `made` finds the rows.

    Either none of them has one yet or, of a single one that came twice, all. To look for that here
    took PostgreSQL, which knows nothing of a table that was just made, minutes at 100,000 devices.
    """
    wave = Case(
        When(pk=update.initiating_server_id, then=Value(Wave.INITIATING_SERVER)),
        When(kind=Kind.PRIMARY_SERVER, then=Value(Wave.PRIMARY_SERVERS)),
        default=Value(Wave.ALL_DEVICES),
        output_field=SmallInteger(),
    )
    new = devices.values_list(
        _constant(DeviceUpdate, "update", update.pk),
        F("pk"),
        _constant(DeviceUpdate, "state", device_updates.State.ASSIGNED),
        wave,
        _constant(DeviceUpdate, "attempt", 1),
        _constant(DeviceUpdate, "reason", ""),
        _constant(DeviceUpdate, "changed_at", now),
    )
    columns = ["update_id", "device_id", "state", "wave", "attempt", "reason", "changed_at"]
    if not insert_select(DeviceUpdate, columns, new):
        return
    first = made.values_list(
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


@transaction.atomic
def add_late_comer(update: SystemUpdate, device: Device, *, now: datetime) -> None:
    """Give a device that joined during the update its rows: its own, and a content server's."""
    # An assignment that is just being made, and may not have seen the device, is waited for.
    update = SystemUpdate.objects.select_for_update().get(pk=update.pk)
    if is_included(device) and update.is_offered:
        due_at = now if update.is_assigned else next_round(update.zone, after=now)
        Replication.objects.get_or_create(
            update=update, server=device, defaults={"due_at": due_at, "changed_at": now}
        )
    made = update.device_updates.filter(device=device)
    if update.is_assigned:
        _add_devices(update, Device.objects.filter(pk=device.pk), made, by=None, now=now)


def begin_again(update: SystemUpdate, device: Device, *, now: datetime) -> None:
    """The device was installed again: what its agent of before had done and proven is gone."""
    reason = "The device has enrolled again."
    update.device_updates.filter(device=device).begin_again(at=now, reason=reason)


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


def take_back(update: SystemUpdate, device: Device, *, now: datetime) -> bool:
    """The device, which had applied the update, says that it has taken that back."""
    rows = update.device_updates.filter(device=device, state=device_updates.State.PENDING)
    return bool(rows.move(to=device_updates.State.WITHDRAWN, by=None, at=now))


@transaction.atomic
def withdraw(update: SystemUpdate, *, by: Any, now: datetime) -> None:
    """Take the update back: from every device's list, and its content from every server."""
    rows = update.device_updates.in_play().values_list("state").annotate(Count("pk"))
    states = dict(rows.order_by())
    if early := states.pop(device_updates.State.WITHDRAWN, 0):  # see take_back
        pending = device_updates.State.PENDING
        states[pending] = states.get(pending, 0) + early
    update.withdraw(by=by, at=now, devices=states)
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
    return not_before(primary_servers_without([update])[update.pk])


def primary_servers_without(updates: Sequence[SystemUpdate]) -> dict[int, list[str]]:
    """Return the Primary Servers, by name, that have not completed each update, by its key."""
    rows = DeviceUpdate.objects.in_play().filter(
        update__in=[update.pk for update in updates], device__kind=Kind.PRIMARY_SERVER
    )
    rows = rows.exclude(state=device_updates.State.COMPLETED).order_by("device__name")
    found: dict[int, list[str]] = {update.pk: [] for update in updates}
    for update, name in rows.values_list("update", "device__name"):
        found[update].append(name)
    return found


def not_before(names: list[str]) -> str:
    """Return why an update cannot be baselined while these Primary Servers lack it."""
    if not names:
        return ""
    have = "has" if len(names) == 1 else "have"
    return f"Not before every Primary Server has completed it: {in_words(names)} {have} not."


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
    return SystemUpdate.objects.filter(state__in=HELD_STATES, zone=server.zone)
