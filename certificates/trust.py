"""
The trust manifest: what every device of the zone is to trust, signed by the zone update key.

It follows from rows: `wanted` says what it should say now, and when that differs from what was
published last, the server that holds the update key publishes the next epoch. Assignment, arming,
activation, cancel and retirement are thus one code path, and a device that missed any of them
catches up with the next one it sees.
"""

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.db import IntegrityError, transaction

from agent.home import Home
from certificates import keys
from certificates.models import CertificateAuthority, Operation, PublishedTrust
from certificates.models.authority import distinct
from certificates.models.certificate import Certificate
from certificates.models.operation import State
from devices.models import Zone
from pki import describe, manifest

LIFETIME = timedelta(days=30)
RENEW_BEFORE = timedelta(days=15)
# From assignment on the update is part of what devices are told, and stays so until a later one.
TOLD_STATES = (State.ASSIGNED, State.ARMED, State.ACTIVATING, State.OVERLAP, State.COMPLETED)


def wanted(zone: Zone) -> dict[str, Any]:
    """Return what the manifest should say now, without epoch and dates."""
    operation = told_operation(zone)
    anchors = list(CertificateAuthority.objects.filter(zone=zone).trusted())
    if operation is not None and operation.is_strict and operation.activated_at is not None:
        anchors = []  # nobody but the new one, from the activation on
    if operation is not None and operation.new_ca is not None:
        anchors.append(operation.new_ca)
    return {
        "anchors": [anchor_pem(anchor) for anchor in distinct(anchors)],
        "update": _update(operation) if operation is not None else None,
    }


def told_operation(zone: Zone) -> Operation | None:
    """Return the operation whose update devices are told of, if there is one."""
    operations = Operation.objects.filter(
        zone=zone, state__in=TOLD_STATES, update__state="assigned"
    )
    return operations.select_related("new_ca", "old_ca", "update").order_by("pk").last()


def anchor_pem(authority: Certificate) -> str:
    return authority.x509().public_bytes(Encoding.PEM).decode()


def _update(operation: Operation) -> dict[str, Any]:
    update, new_ca = operation.update, operation.new_ca
    return {
        "id": str(update.guid),
        "name": update.name,
        "content": {"sha256": update.content_sha256, "size": update.content_size},
        "operation": str(operation.guid),
        "new_anchor": new_ca.sha256 if new_ca else "",
        "old_anchor": operation.old_ca.sha256,
        "activate_at": instant(operation.activate_at),
        "armed": operation.state not in (State.ASSIGNED,),
        "activated": operation.activated_at is not None,
    }


def instant(at: datetime) -> str:
    """Return the instant as the wire has it: ISO 8601, UTC, to the second or finer, with Z."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _digest(zone: Zone) -> str:
    """
    Return the SHA-256 of what the manifest should say, and of how often it was taken back.

    So a cancel raises the epoch also when no manifest had told of the operation yet.
    """
    cancels = Operation.objects.filter(zone=zone).exclude(cancelling_since=None).count()
    canonical = json.dumps([wanted(zone), cancels], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def published(zone: Zone) -> PublishedTrust | None:
    return PublishedTrust.objects.filter(zone=zone).order_by("epoch").last()


def is_due(zone: Zone, *, now: datetime) -> bool:
    """Whether another manifest should be published: it would say something new, or is old."""
    last = published(zone)
    if last is None or last.expires_at < now + RENEW_BEFORE:
        return True
    return last.digest != _digest(zone)


def publish(zone: Zone, *, home: Home, now: datetime, above: int = 0) -> PublishedTrust | None:
    """
    Publish the next epoch if one is due; None when there is nothing new to say.

    One is due, and is higher, too, when the last is not above the epoch `above`: after a restore
    devices may have been told of more than this database knows.

    Raises KeyUnavailable when the update key is not on this server.
    """
    last = published(zone)
    is_behind = last is not None and last.epoch < above
    if not is_behind and not is_due(zone, now=now):
        return None
    key = keys.load_update_key(home, zone)
    # The last epoch first: what another worker publishes meanwhile then has this one's epoch.
    last, what, told = published(zone), wanted(zone), _digest(zone)
    epoch = max(last.epoch if last else 0, above) + 1
    payload = {
        "version": 1,
        "zone": str(zone.guid),
        "epoch": epoch,
        "issued_at": instant(now),
        "expires_at": instant(now + LIFETIME),
        **what,
    }
    try:
        with transaction.atomic():
            return PublishedTrust.objects.create(
                zone=zone,
                epoch=epoch,
                envelope=manifest.sign(payload, key).decode(),
                digest=told,
                published_at=now,
                expires_at=now + LIFETIME,
            )
    except IntegrityError:
        return None  # another worker has just published this epoch; the next tick compares anew


def update_in(published_trust: PublishedTrust) -> dict[str, Any] | None:
    """Return what the published manifest says of the update; None if it tells of none."""
    envelope = json.loads(published_trust.envelope)
    update: dict[str, Any] | None = json.loads(base64.b64decode(envelope["payload"]))["update"]
    return update


def anchors_in(published_trust: PublishedTrust) -> list[str]:
    """Return the SHA-256 fingerprints of the anchors in a published manifest."""
    payload = json.loads(base64.b64decode(json.loads(published_trust.envelope)["payload"]))
    anchors = [x509.load_pem_x509_certificate(pem.encode()) for pem in payload["anchors"]]
    return [describe.fingerprint(anchor) for anchor in anchors]
