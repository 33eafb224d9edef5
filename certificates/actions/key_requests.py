"""
What is asked of the keys of the zone: Backup CA, Verify backup, Restore CA, Move CA Role.

A request seals what is secret for one server and waits for that server's worker. It never waits
longer than a minute for a step: then it is refused, and what was sealed is erased.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.db import IntegrityError, transaction

from agent.home import Home
from certificates import backups, sealing_keys
from certificates.actions.authorities import Refused, in_progress
from certificates.models import CertificateAuthority, KeyRemoval, KeyRequest, Operation
from certificates.models.authority import State as CAState
from certificates.models.key_request import Kind, State
from certificates.models.operation import State as OperationState
from devices.models import Device, Zone

# A passphrase lies sealed in a row no longer than this (design.md, section 5).
STEP_WITHIN = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Who asks, on which server's console, and that server's home."""

    by: Any
    server: Device
    home: Home


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A backup file and the passphrase that is to open it."""

    name: str
    data: bytes
    sha256: str
    passphrase: str


def back_up(zone: Zone, passphrase: str, *, asker: Asker, now: datetime) -> KeyRequest:
    """Have the server with the CA role make a backup for this console. Raises Refused."""
    _refuse_if_busy(zone)
    _refuse_mixed_versions(zone, now=now)
    holder = _running(_holder(zone), now)
    request = _new(zone, Kind.BACKUP, server=holder, asker=asker, now=now)
    return _ask(request, passphrase.encode(), asker=asker, now=now)


def verify_backup(zone: Zone, upload: Upload, *, asker: Asker, now: datetime) -> KeyRequest:
    """Have this console's own server say what a file holds. Raises Refused."""
    server = _running(asker.server, now)
    request = _new(zone, Kind.VERIFY, server=server, asker=asker, now=now)
    return _ask_about(request, upload, asker=asker, now=now)


def restore(
    zone: Zone, server: Device, upload: Upload, *, asker: Asker, now: datetime
) -> KeyRequest:
    """Have `server` put a backup's keys in its home and take the CA role. Raises Refused."""
    _refuse_if_busy(zone, except_for=abandoned_operation(zone, now=now))
    _refuse_mixed_versions(zone, now=now)
    if why_not := why_not_in_overlap(zone):
        raise Refused(why_not)
    request = _new(zone, Kind.RESTORE, server=_running(server, now), asker=asker, now=now)
    return _ask_about(request, upload, asker=asker, now=now)


def move_role(zone: Zone, server: Device, *, asker: Asker, now: datetime) -> KeyRequest:
    """Have all keys and the CA role go to `server` from where they are. Raises Refused."""
    _refuse_if_busy(zone)
    _refuse_mixed_versions(zone, now=now)
    holder = _running(_holder(zone), now)
    if server == holder:
        raise Refused(f"{server.name} has the CA role already. Choose another server.")
    request = _new(zone, Kind.MOVE, server=_running(server, now), asker=asker, now=now)
    request.turn = holder
    try:
        sealing_keys.of(server, home=asker.home, now=now)
    except sealing_keys.Untrusted as error:
        raise Refused(str(error)) from error
    return _save(request)


def _refuse_mixed_versions(zone: Zone, *, now: datetime) -> None:
    """A server of an older version knows nothing of keys beside an external CA."""
    if _active(zone).is_internal:
        return
    rows = Device.objects.filter(zone=zone).active().primary_servers()
    running = [
        one for one in rows.select_related("heartbeat").order_by("name") if one.is_alive(now)
    ]
    if len({server.version for server in running}) > 1:
        listed = ", ".join(f"{server.name} has {server.version or 'none'}" for server in running)
        raise Refused(f"Bring all Primary Servers to the same version first. {listed}.")


def _refuse_if_busy(zone: Zone, *, except_for: Operation | None = None) -> None:
    live = Operation.objects.filter(zone=zone).open()
    if any(operation != except_for for operation in live):
        raise Refused(in_progress(zone))
    busy = KeyRequest.objects.filter(zone=zone).open().of_the_role().first()
    if busy is not None:
        raise Refused(_ROLE_IS_BUSY.format(busy.get_kind_display()))


_ROLE_IS_BUSY = "{} is in progress. It takes a few seconds; look at the page again."


def abandoned_operation(zone: Zone, *, now: datetime) -> Operation | None:
    """
    Return the operation whose cancel failed because the server that made its CA is gone, if any.

    Only a restore helps then: the server that gets the CA role ends the cancel.
    """
    rows = Operation.objects.filter(zone=zone, state=OperationState.CANCEL_FAILED)
    failed = rows.select_related("initiating_server__heartbeat").first()
    return failed if failed and not failed.initiating_server.is_alive(now) else None


def why_not_in_overlap(zone: Zone) -> str:
    """Return why nothing can be restored while two CAs are trusted, nothing if there is one."""
    if not Operation.objects.filter(zone=zone, state=OperationState.OVERLAP).exists():
        return ""
    return (
        "Two CAs are trusted side by side. Roll back, or retire the old CA, before you restore one."
    )


def _ask_about(request: KeyRequest, upload: Upload, *, asker: Asker, now: datetime) -> KeyRequest:
    request.file_name, request.file_sha256 = upload.name[-200:], upload.sha256
    secret = backups.packed(upload.passphrase, upload.data)
    return _ask(request, secret, asker=asker, now=now)


def _ask(request: KeyRequest, secret: bytes, *, asker: Asker, now: datetime) -> KeyRequest:
    """Seal the secret for the server that is to have it, and leave the request."""
    context = backups.asked(request)
    try:
        request.sealed = sealing_keys.seal(
            request.server, secret, context=context, home=asker.home, now=now
        )
    except sealing_keys.Untrusted as error:
        raise Refused(str(error)) from error
    return _save(request)


def _save(request: KeyRequest) -> KeyRequest:
    """Store the request; of two that change the role at the same moment one is refused."""
    try:
        with transaction.atomic():
            request.save(force_insert=True)
    except IntegrityError as error:
        raise Refused(_ROLE_IS_BUSY.format("Another change of the CA role")) from error
    return request


def _new(zone: Zone, kind: Kind, *, server: Device, asker: Asker, now: datetime) -> KeyRequest:
    return KeyRequest(
        zone=zone,
        guid=uuid4(),
        kind=kind,
        server=server,
        holder=_active(zone).server or server,
        turn=server,
        asked_from=asker.server,
        asked_by=asker.by,
        asked_at=now,
        expires_at=now + STEP_WITHIN,
    )


def _holder(zone: Zone) -> Device:
    """The server with the CA role, or beside an external CA with the zone's own keys."""
    server = _active(zone).server
    if server is None:
        raise Refused("No server has the zone's keys.")
    return server


def _active(zone: Zone) -> CertificateAuthority:
    rows = CertificateAuthority.objects.select_related("server__heartbeat", "server__zone")
    return rows.get(zone=zone, state=CAState.ACTIVE)


def _running(server: Device, now: datetime) -> Device:
    if not server.is_alive(now):
        raise Refused(
            f"{server.name} does not answer, and only it can do this. Start it. If it is gone for "
            "good, restore the CA on another Primary Server from its backup."
        )
    return server


def expire(zone: Zone, *, now: datetime) -> int:
    """Refuse what nobody did in time, and erase what is sealed; return how much there was."""
    late = KeyRequest.objects.filter(zone=zone, expires_at__lte=now)
    over = list(late.open().select_related("turn", "server", "holder"))
    for request in over:
        if request.expire(_not_in_time(request), at=now):
            withdraw(request, now=now)
    unfetched = late.filter(state=State.DONE).exclude(answer=None)
    return len(over) + (unfetched.update(answer=None) if unfetched.exists() else 0)


def withdraw(request: KeyRequest, *, now: datetime) -> None:
    """A server that was to get the keys, and does not, must not keep what came already."""
    is_target = request.kind in (Kind.MOVE, Kind.RESTORE)
    if is_target and request.server_id != _holder(request.zone).pk:
        remove_keys(request.server, now=now)


def remove_keys(server: Device, *, now: datetime) -> None:
    """Have the server destroy its copy of the keys, now or before it answers when it is back."""
    KeyRemoval.objects.get_or_create(server=server, done_at=None, defaults={"asked_at": now})


def _not_in_time(request: KeyRequest) -> str:
    return f"{request.turn.name} did not do it within a minute. Nothing has changed. Try again."
