"""
Backup CA and Verify backup, as a worker does them: make the file, read it back, judge a file.

One at a time in a process: trying a passphrase takes 128 MiB.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction

from agent.faults import fault_point
from agent.home import Home
from certificates import identity_cas, keys, sealing_keys, trust
from certificates.models import CertificateAuthority, KeyRequest, VerifiedBackup
from certificates.models.authority import Kind
from certificates.models.authority import State as CAState
from devices.models import Device, Zone
from pki import backup, describe
from pki.backup_contents import Contents, Generation, Identity
from zcc.ground import clock, here

# How long the file can be fetched; its passphrase is gone as soon as it is made.
FETCH_WITHIN = timedelta(minutes=5)

_one_at_a_time = threading.Lock()


class CannotDo(Exception):
    """What was asked for cannot be done, and nothing has changed; the message is for the user."""


def make(request: KeyRequest, *, home: Home) -> None:
    """Make the backup, read it back with the passphrase, and seal it for the console that asked."""
    secret = sealing_keys.unseal(bytes(request.sealed or b""), context=asked(request), home=home)
    fault_point("backup-asked")
    contents = contents_of(request.zone, server=request.server, home=home, now=clock.now())
    with _one_at_a_time:
        data = backup.write(contents, secret.decode())
        fault_point("backup-made")
        found = backup.read(data, secret.decode())
    _check_complete(found, request.zone)
    fault_point("backup-read-back")
    now = clock.now()
    sealed = sealing_keys.seal(
        request.asked_from, data, context=answer(request), home=home, now=now
    )
    request.finish(
        at=now,
        answer=sealed,
        expires_at=now + FETCH_WITHIN,
        findings=findings(found),
        file_name=file_name(request.zone, now),
        file_sha256=hashlib.sha256(data).hexdigest(),
    )


def verify(request: KeyRequest, *, home: Home) -> None:
    """Say what an uploaded backup holds; one of this zone is remembered as verified."""
    found = open_upload(request, home=home)
    is_ours = found.zone == request.zone.guid and has_our_update_key(found, home=home)
    now = clock.now()
    with transaction.atomic():
        request.finish(at=now, findings={**findings(found), "is_ours": is_ours})
        if is_ours:
            remember(request, by=request.asked_by, at=now)


def has_our_update_key(found: Contents, *, home: Home) -> bool:
    """Whether its update key is the one that every device of this zone has pinned."""
    return found.update_key.public_key().public_bytes_raw() == home.read_file(here.UPDATE_KEY)


def open_upload(request: KeyRequest, *, home: Home) -> Contents:
    """Return what the uploaded file holds. Raises CannotDo for whatever cannot be opened."""
    data = sealing_keys.unseal(bytes(request.sealed or b""), context=asked(request), home=home)
    passphrase, file = unpacked(data)
    try:
        with _one_at_a_time:
            return backup.read(file, passphrase)
    except backup.NotABackup as error:
        raise CannotDo(str(error)) from error


def asked(request: KeyRequest) -> bytes:
    return request.context("asked")


def answer(request: KeyRequest) -> bytes:
    return request.context("answer")


def packed(passphrase: str, file: bytes) -> bytes:
    """Return passphrase and file as one secret, to be sealed at once."""
    return json.dumps([passphrase, base64.b64encode(file).decode()]).encode()


def unpacked(secret: bytes) -> tuple[str, bytes]:
    passphrase, file = json.loads(secret)
    return str(passphrase), base64.b64decode(file)


def contents_of(zone: Zone, *, server: Device, home: Home, now: datetime) -> Contents:
    """Return everything that goes with the CA role, from this home. Raises KeyUnavailable."""
    ring = keys.ring(home, zone)
    rows = CertificateAuthority.objects.filter(zone=zone, guid__in=ring.authorities)
    signers = identity_cas.of_use(zone).filter(guid__in=ring.identities)
    last, active = trust.published(zone), active_ca(zone)
    return Contents(
        zone=zone.guid,
        zone_name=zone.name,
        made_at=now,
        made_on=server.name,
        epoch=last.epoch if last else 0,
        generations=tuple(
            Generation(
                number=row.generation,
                guid=row.guid,
                state=row.state,
                issued=row.issued.exclude(der=None).count(),
                certificate=row.x509(),
                key=ring.authorities[row.guid],
            )
            for row in rows.exclude(der=None).order_by("generation")
        ),
        update_key=ring.update_key,
        not_held=tuple(row.generation for row in trusted_besides(zone, list(ring.authorities))),
        identities=tuple(
            Identity(row.guid, row.x509(), ring.identities[row.guid])
            for row in signers.order_by("pk")
        ),
        external=None if active.is_internal else active.x509(),
    )


def active_ca(zone: Zone) -> CertificateAuthority:
    return CertificateAuthority.objects.get(zone=zone, state=CAState.ACTIVE)


def trusted_besides(zone: Zone, held: list[UUID]) -> list[CertificateAuthority]:
    """The internal CAs that are trusted and whose keys are not among these, oldest first."""
    rows = CertificateAuthority.objects.filter(zone=zone, kind=Kind.INTERNAL).trusted()
    return list(rows.exclude(guid__in=held).select_related("server"))


def _check_complete(found: Contents, zone: Zone) -> None:
    """What was read back must hold the key of the active CA, or it is no backup of it."""
    active = active_ca(zone)
    held = {generation.guid for generation in found.generations}
    if active.is_internal and active.guid not in held:
        raise CannotDo("The key of the active CA is not on this server. Look at its home.")


def findings(found: Contents) -> dict[str, Any]:
    """Return what a backup holds, without anything secret."""
    return {
        "zone": str(found.zone),
        "zone_name": found.zone_name,
        "made_at": found.made_at.isoformat(),
        "made_on": found.made_on,
        "epoch": found.epoch,
        "generations": [
            {
                "number": generation.number,
                "guid": str(generation.guid),
                "sha256": describe.fingerprint(generation.certificate),
                "expires_at": generation.certificate.not_valid_after_utc.isoformat(),
                "issued": generation.issued,
            }
            for generation in found.generations
        ],
        "identities": [str(one.guid) for one in found.identities],
        "external": found.external and describe.fingerprint(found.external),
    }


def held_authorities(request: KeyRequest) -> list[CertificateAuthority]:
    """
    Return the CAs of this zone that the backup is one of, oldest first.

    Of an internal CA it holds the key; of an external one, all that the zone has beside it.
    """
    known = {entry["sha256"] for entry in request.findings.get("generations", [])}
    known |= {request.findings.get("external") or ""} - {""}
    rows = CertificateAuthority.objects.filter(zone=request.zone, sha256__in=known)
    return list(rows.order_by("generation"))


def remember(request: KeyRequest, *, by: User, at: datetime) -> None:
    """Note that this file was opened and that its keys sign, for each CA that it holds."""
    for authority in held_authorities(request):
        VerifiedBackup.objects.get_or_create(
            authority=authority,
            file_sha256=request.file_sha256,
            defaults={"by": by, "at": at},
        )


def file_name(zone: Zone, now: datetime) -> str:
    """Return "nordhavn-eu-ca-2026-11-23.zip"."""
    plain = "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in zone.name)
    return f"{plain.strip('-').lower() or 'zone'}-ca-{now:%Y-%m-%d}.zip"


def generations(numbers: Iterable[int]) -> str:
    """Return "generation 2" or "generations 1 and 2"."""
    shown = [str(number) for number in numbers]
    if len(shown) == 1:
        return f"generation {shown[0]}"
    return f"generations {', '.join(shown[:-1])} and {shown[-1]}"
