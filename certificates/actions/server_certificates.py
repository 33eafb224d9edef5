"""A server's certificate on its way: requested, issued or taken in, staged, in use."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.db import transaction

from agent.home import Home
from certificates import issuing, keys
from certificates.issuing import HasHold
from certificates.models import (
    CertificateAuthority,
    Operation,
    ServerCertificate,
    ServerProgress,
)
from certificates.models.authority import State as CAState
from certificates.models.certificate import Certificate
from certificates.models.server_certificate import State
from certificates.wording import listed
from devices.models import Device, Zone
from pki import csr as requests
from zcc.ground import claims

RETRY_AFTER = timedelta(seconds=30)


@transaction.atomic
def request(
    device: Device, *, csr: bytes, operation: Operation | None, now: datetime
) -> ServerCertificate:
    """
    Note a server's request; the same request again is the same row.

    A request with another key replaces the one before: the server has lost that key.
    """
    coming = ServerCertificate.objects.filter(device=device).coming().first()
    if coming is not None:
        is_same = coming.operation_id == (operation.pk if operation else None)
        if is_same and coming.csr is None and not coming.sha256:
            ServerCertificate.objects.filter(pk=coming.pk).update(csr=csr)
            return coming
        if is_same and coming.csr and _has_same_key(bytes(coming.csr), csr):
            return coming
        ServerCertificate.objects.filter(pk=coming.pk).move(
            to=State.CANCELLED, claim_id=None, lease_until=None
        )
    return ServerCertificate.objects.create(
        device=device, operation=operation, csr=csr, created_at=now
    )


def _has_same_key(one: bytes, other: bytes) -> bool:
    """Whether both requests are for one key; their bytes differ, an ECDSA signature is random."""
    return requests.check(one) == requests.check(other)


def issuer_of(row: ServerCertificate) -> CertificateAuthority | None:
    """Return the CA that is to sign the request: the operation's, else the active; None if none."""
    authorities = CertificateAuthority.objects.exclude(der=None)
    if row.operation is not None:
        found = authorities.filter(guid=row.operation.guid)
    else:
        found = authorities.filter(zone=row.device.zone, state=CAState.ACTIVE)
    ca = found.first()
    return ca if ca is not None and ca.is_internal else None


def issue(row: ServerCertificate, *, home: Home, hold: HasHold, now: datetime) -> None:
    """
    Sign the claimed request with the key in `home`, which is that of the CA server.

    What cannot be signed says so in its row and is tried again.
    """
    authority = issuer_of(row)
    if authority is None:
        claims.release(row)
        return
    include = row.operation is None or row.operation.include_additional_dns_names
    try:
        certificate = issuing.sign_server(
            authority,
            keys.load_ca_key(home, row.device.zone, authority.guid),
            request_der=bytes(row.csr or b""),
            device=row.device,
            include_additional=include,
            hold=hold,
            now=now,
        )
    except (ValueError, keys.KeyUnavailable) as error:
        _move(row, State.FAILED, reason=str(error)[:400], retry_at=now + RETRY_AFTER)
        return
    _move(
        row,
        State.FUTURE,
        authority=authority,
        reason="",
        retry_at=None,
        available_at=now,
        **Certificate.columns(certificate),
    )


@transaction.atomic
def take_imported(
    row: ServerCertificate,
    leaf: x509.Certificate,
    between: Sequence[x509.Certificate],
    *,
    authority: CertificateAuthority,
    caution: str = "",
    now: datetime,
) -> bool:
    """
    Keep a judged certificate for the request `row`; False if the row has changed meanwhile.

    One that was imported before for the same request gives way, and is staged anew.
    """
    facts = _imported(leaf, between, authority=authority, caution=caution, now=now)
    unchanged = ServerCertificate.objects.filter(pk=row.pk, state=row.state, sha256=row.sha256)
    if row.state == State.FUTURE:
        changed = unchanged.update(**facts)
    else:
        changed = unchanged.move(to=State.FUTURE, claim_id=None, lease_until=None, **facts)
    if changed:
        _stage_anew(row.operation, row.device)
    return bool(changed)


@transaction.atomic
def take_by_hand(
    progress: ServerProgress,
    leaf: x509.Certificate,
    between: Sequence[x509.Certificate],
    *,
    authority: CertificateAuthority,
    caution: str = "",
    now: datetime,
) -> None:
    """Keep a judged certificate that was found in the server's remint-repo; twice is once."""
    facts = _imported(leaf, between, authority=authority, caution=caution, now=now)
    coming = ServerCertificate.objects.filter(device=progress.device).coming()
    known = coming.filter(operation=progress.operation, sha256=facts["sha256"])
    if known.exists():
        return
    coming.move(to=State.CANCELLED, claim_id=None, lease_until=None)
    ServerCertificate.objects.create(
        device=progress.device,
        operation=progress.operation,
        state=State.FUTURE,
        created_at=now,
        **facts,
    )
    _stage_anew(progress.operation, progress.device)


def forget_by_hand(progress: ServerProgress) -> None:
    """What was found in remint-repo is no longer there, or no longer good; unless it is staged."""
    if not progress.staged_at:
        rows = ServerCertificate.objects.filter(device=progress.device).coming()
        rows.filter(operation=progress.operation).move(to=State.CANCELLED)


def _imported(
    leaf: x509.Certificate,
    between: Sequence[x509.Certificate],
    *,
    authority: CertificateAuthority,
    caution: str = "",
    now: datetime,
) -> dict[str, object]:
    return {
        "authority": authority,
        "intermediates": "".join(one.public_bytes(Encoding.PEM).decode() for one in between),
        "reason": caution[:400],
        "available_at": now,
        **Certificate.columns(leaf),
    }


def _stage_anew(operation: Operation | None, device: Device) -> None:
    rows = ServerProgress.objects.filter(operation=operation, device=device)
    rows.filter(armed_at=None, activated_at=None).update(staged_at=None, retry_at=None)


def _move(row: ServerCertificate, to: State, **facts: object) -> None:
    """Move the row if it is still ours, and give it back."""
    mine = ServerCertificate.objects.filter(pk=row.pk, claim_id=row.claim_id)
    if to == row.state:
        mine.update(claim_id=None, lease_until=None, **facts)
    else:
        mine.move(to=to, claim_id=None, lease_until=None, **facts)


class Refused(Exception):
    """This cannot be done; the message says why and what to do, and is for the user."""


@transaction.atomic
def remint(devices: Sequence[Device], *, by: Any, now: datetime) -> None:
    """
    Begin to give each of these servers a fresh certificate of the active internal CA.

    Raises Refused, and nothing has changed, when that is not possible for one of them.
    """
    if not devices:
        raise Refused("Select at least one server.")
    if reason := why_not_reminted(devices[0].zone, now=now):
        raise Refused(reason)
    coming = ServerCertificate.objects.coming().filter(device__in=devices)
    if busy := [row.device.name for row in coming.select_related("device")]:
        raise Refused(f"{listed(busy)} is getting a new certificate already. Wait for that one.")
    for device in devices:
        ServerCertificate.objects.create(device=device, asked_by=by, created_at=now)


def why_not_reminted(zone: Zone, *, now: datetime) -> str:
    """Return why no server of the zone gets a fresh certificate now, nothing if they can."""
    operation = Operation.objects.filter(zone=zone).open().first()
    if operation is not None:
        return (
            f"{operation.get_kind_display()} is in progress, and brings every server a new "
            "certificate. Cancel it first, or wait until it is activated."
        )
    active = CertificateAuthority.objects.filter(zone=zone, state=CAState.ACTIVE).first()
    if active is None or not active.is_internal:
        return "The active CA is external. Use Change CA to renew what it has signed."
    if active.is_expired(now):
        return "The active CA has expired. It can sign nothing any more: replace it first."
    return ""


@transaction.atomic
def take_into_use(certificate: ServerCertificate, *, now: datetime) -> bool:
    """Note that the server shows this certificate now; False if that was known."""
    future = ServerCertificate.objects.filter(pk=certificate.pk, state=State.FUTURE)
    if not future.exists():
        return False
    ServerCertificate.objects.filter(device=certificate.device_id).current().move(to=State.PREVIOUS)
    return bool(future.move(to=State.CURRENT, activated_at=now))


@transaction.atomic
def take_back(device: Device, operation: Operation, *, shown: str) -> None:
    """Note that the server shows the leaf `shown` again, and nothing of the operation any more."""
    rows = ServerCertificate.objects.filter(device=device)
    rows.filter(operation=operation).current().move(to=State.PREVIOUS)
    rows.coming().filter(operation=operation).move(to=State.CANCELLED)
    if not rows.current().exists():
        rows.filter(state=State.PREVIOUS, sha256=shown).move(to=State.CURRENT)
