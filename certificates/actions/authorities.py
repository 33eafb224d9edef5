"""What is done to the zone's certificate authority: remint it, retire the old one."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction

from agent.manifest import MAX_ANCHORS
from certificates.actions import retirements
from certificates.models import CertificateAuthority, Operation, ServerProgress
from certificates.models.authority import IllegalTransition as CAIllegalTransition
from certificates.models.authority import State as CAState
from certificates.models.operation import IllegalTransition, Kind, Policy
from devices.models import Device, Zone
from pki import keys, names
from systemupdates import actions as updates
from zcc.templatetags.times import planned_text, span, stored_text

MIN_YEARS, MAX_YEARS = 1, 10  # "Specify a value between 1 to 10." (manual)
# Between the click and the cut-off there is at least this much time to think better of it.
LEAST_TIME_TO_CANCEL = timedelta(seconds=30)
# A Satellite that has not been heard of for its refresh interval and this is silent.
SILENCE_ALLOWANCE = timedelta(seconds=60)


class OperationInProgress(Exception):
    """The zone already has an open operation; the message is for the user."""


class Refused(Exception):
    """The operation cannot begin; the message says why and what to do, and is for the user."""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What an administrator asks for in every operation that replaces the CA."""

    key_type: str
    include_additional_dns_names: bool
    activate_at: datetime
    idempotency_key: UUID
    policy: str = Policy.OVERLAP
    # Go on although some Satellites have been silent, so that their version is not known.
    waive_silent: bool = False


@dataclass(frozen=True, kw_only=True)
class RemintWishes(Wishes):
    """What an administrator asked for in the dialog Remint CA."""

    common_name: str
    years: int


def remint(ca: CertificateAuthority, wishes: RemintWishes, *, by: Any, now: datetime) -> Operation:
    """
    Start replacing the internal CA `ca` by a new generation on the same server.

    The same idempotency key returns the operation it began. Raises OperationInProgress and Refused.
    """
    if (known := begun(wishes.idempotency_key)) is not None:
        return known
    if not ca.is_internal:
        raise Refused("The active CA is external. Use Change CA to replace or renew it.")
    check_new_generation(ca, wishes, now=now)
    assert ca.server is not None  # an internal CA has one: a constraint
    return begin(ca, wishes, kind=Kind.REMINT_CA, server=ca.server, by=by, now=now)


def begin(
    ca: CertificateAuthority,
    wishes: Wishes,
    *,
    kind: Kind,
    server: Device,
    by: Any,
    now: datetime,
    also: Callable[[Operation], None] = lambda operation: None,
    **asked: Any,
) -> Operation:
    """
    Begin an operation that replaces `ca`, with `server` as the initiating one; `also` joins in.

    Raises OperationInProgress and Refused: what holds for every operation is checked here.
    """
    _check_room(ca.zone)
    waive_silent = wishes.waive_silent or ca.is_expired(now)  # then nobody can be in contact
    check_versions(ca.zone, kind=kind, waive_silent=waive_silent, now=now)
    if isinstance(wishes, RemintWishes):
        name = names.check_common_name(wishes.common_name)
        asked = {"common_name": name, "years": wishes.years, **asked}
    try:
        with transaction.atomic():
            operation = _create(ca, wishes, asked, kind=kind, server=server, by=by, now=now)
            also(operation)
            return operation
    except (IntegrityError, OperationInProgress) as error:
        if (known := begun(wishes.idempotency_key)) is not None:  # by the same form, just now
            return known
        if not Operation.objects.filter(zone=ca.zone).open().exists():
            raise  # what the database refused is something else
        raise OperationInProgress(in_progress(ca.zone)) from error


def begun(idempotency_key: UUID) -> Operation | None:
    """Return the operation that this form began already."""
    return Operation.objects.filter(idempotency_key=idempotency_key).first()


def in_progress(zone: Zone) -> str:
    """Say which operation is in the way."""
    operation = Operation.objects.filter(zone=zone).open().first()
    if operation is None:
        return "Another operation is in progress. Nothing has changed."
    return (
        f"{operation.get_kind_display()} is in progress. "
        "Cancel it, or wait until it is activated. Nothing has changed."
    )


def _create(
    ca: CertificateAuthority,
    wishes: Wishes,
    asked: dict[str, Any],
    *,
    kind: Kind,
    server: Device,
    by: Any,
    now: datetime,
) -> Operation:
    zone = ca.zone
    if Operation.objects.filter(zone=zone).open().exists():
        raise OperationInProgress(in_progress(zone))
    active = CertificateAuthority.objects.filter(pk=ca.pk, state=CAState.ACTIVE, server=ca.server)
    if not active.select_for_update().exists():
        raise Refused(
            "Another CA has become the active one, or another server has it. "
            "Look at the page again."
        )
    name = f"{kind.label} {stored_text(now)}"
    update = updates.create_update(zone, name=name, initiating_server=server, by=by, now=now)
    is_immediate = ca.is_expired(now)
    operation = Operation.objects.create(
        zone=zone,
        kind=kind,
        initiating_server=server,
        update=update,
        old_ca=ca,
        key_type=wishes.key_type,
        include_additional_dns_names=wishes.include_additional_dns_names,
        policy=Policy.OVERLAP if is_immediate else wishes.policy,
        activate_at=now if is_immediate else wishes.activate_at,
        is_immediate=is_immediate,
        created_by=by,
        created_at=now,
        idempotency_key=wishes.idempotency_key,
        **asked,
    )
    operation.begin(by=by, at=now)
    servers = Device.objects.filter(zone=zone).active().tls_servers()
    ServerProgress.objects.bulk_create(
        ServerProgress(operation=operation, device=server) for server in servers
    )
    return operation


def check_new_generation(ca: CertificateAuthority, wishes: RemintWishes, *, now: datetime) -> None:
    """Raise Refused unless an internal CA can be made as it is wished for."""
    check_wishes(ca, wishes, now=now)
    try:
        names.check_common_name(wishes.common_name)
    except ValueError as error:
        raise Refused(str(error)) from error
    if not MIN_YEARS <= wishes.years <= MAX_YEARS:
        raise Refused(f"A CA is valid for {MIN_YEARS} to {MAX_YEARS} years, not {wishes.years}.")
    if ca.is_expired(now):
        return  # Immediate: there is no time to choose
    if reason := why_not_at(ca, wishes.activate_at, years=wishes.years, now=now):
        raise Refused(reason)


def check_wishes(ca: CertificateAuthority, wishes: Wishes, *, now: datetime) -> None:
    """Raise Refused unless the active CA can be replaced now, as far as all wishes have it."""
    if wishes.key_type not in keys.KEY_TYPES:
        raise Refused(f"There is no key length {wishes.key_type}. Choose one from the list.")
    if wishes.policy not in Policy.values:
        raise Refused("Choose Overlap or Strict.")


def why_not_at(
    ca: CertificateAuthority,
    activate_at: datetime,
    *,
    years: int,
    now: datetime,
    begun: datetime | None = None,
    root_expires: datetime | None = None,
) -> str | None:
    """
    Return why the certificates cannot be activated at that time, None if they can.

    `begun` is when the new CA was made; it is about to be if there is none. An external one has
    been made by others, and ends at `root_expires`.
    """
    earliest = earliest_activation(now)
    if activate_at <= now:
        return "This time has passed. Choose a later one."
    if activate_at < earliest:
        least = settings.ZCC_CANCEL_CUTOFF + LEAST_TIME_TO_CANCEL
        return (
            f"This is too soon: the last {settings.ZCC_CANCEL_CUTOFF.total_seconds() / 60:.0f} "
            f"minutes are for arming the servers. Choose a time at least {span(least)} "
            "from now."
        )
    if ca.expires_at and activate_at >= ca.expires_at:
        return f"The active CA expires before that, on {planned_text(ca.expires_at)}."
    if root_expires is not None:
        return why_not_under(root_expires, activate_at)
    if activate_at >= (begun or now) + timedelta(days=365 * years):
        return "The new CA would have expired by then. Choose an earlier time or more years."
    return None


def why_not_under(root_expires: datetime, activate_at: datetime) -> str | None:
    """Return why an external CA will not do at the activation, None if it will."""
    if activate_at < root_expires:
        return None
    on = planned_text(root_expires)
    return f"The new root expires before that, on {on}. Choose an earlier time or another root."


def why_not_moved_to(operation: Operation, to: datetime, *, now: datetime) -> str | None:
    """Return why the activation of an operation cannot be moved to that time, None if it can."""
    made = operation.zone.authorities.filter(guid=operation.guid).first()
    ends = made.expires_at if made is not None and operation.is_to_external else None
    begun = operation.created_at
    years = operation.years
    return why_not_at(operation.old_ca, to, years=years, now=now, begun=begun, root_expires=ends)


def earliest_activation(now: datetime) -> datetime:
    return now + settings.ZCC_CANCEL_CUTOFF + LEAST_TIME_TO_CANCEL


def _check_room(zone: Zone) -> None:
    if CertificateAuthority.objects.filter(zone=zone).trusted().count() >= MAX_ANCHORS:
        raise Refused(
            f"{MAX_ANCHORS} CAs are trusted, and a device holds no more. Retire an old one first."
        )


def check_versions(zone: Zone, *, kind: Kind, waive_silent: bool, now: datetime) -> None:
    """ "...ensure that the Primary Servers and the Satellite Servers are at the same version." """
    if differing := differing_versions(zone):
        listed = ", ".join(f"{server.name} has {server.version or 'none'}" for server in differing)
        raise Refused(f"{kind.label} needs the same version on all servers. {listed}.")
    silent = silent_satellites(zone, now=now)
    if silent and not waive_silent:
        listed = ", ".join(server.name for server in silent)
        raise Refused(
            f"The version of {listed} is not known: no contact for longer than the refresh "
            "interval. Start the Satellite, retire it, or go on without knowing."
        )


def differing_versions(zone: Zone) -> list[Device]:
    """Return all servers with their versions if there is more than one version, else nothing."""
    active = Device.objects.filter(zone=zone).active()
    servers = list((active.primary_servers() | active.satellites()).order_by("name"))
    return servers if len({server.version for server in servers}) > 1 else []


def silent_satellites(zone: Zone, *, now: datetime) -> list[Device]:
    """Return the Satellites that have been silent for longer than their schedule."""
    satellites = Device.objects.filter(zone=zone).active().satellites().select_related("zone")
    intervals = zone.folders.intervals()
    return [
        satellite
        for satellite in satellites.order_by("name")
        if satellite.last_contact_at is None
        or now - satellite.last_contact_at
        > satellite.effective_refresh_interval(intervals) + SILENCE_ALLOWANCE
    ]


@transaction.atomic
def retire_old_ca(operation: Operation, *, by: Any, now: datetime, note: str = "") -> None:
    """
    End the overlap: no device is to trust the old CA any more, nor one before it.

    Raises Refused when there is no overlap to end, or another operation is open.
    """
    if Operation.objects.filter(zone=operation.zone).open().exists():
        raise Refused(in_progress(operation.zone))
    try:
        retirements.end_overlap(operation, by=by, note=note, now=now)
    except (IllegalTransition, CAIllegalTransition) as error:
        raise Refused("The old CA is retired already, or not in overlap.") from error
