"""
What the initiating server does when an operation begins: key, certificate, links, content.

Each part is found again by the operation's id if the worker dies after it, so that there is one
key, one CA and one content item whatever happens in between. The CA's id is the operation's.
"""

from datetime import datetime
from functools import partial

from django.db import transaction

from agent.faults import fault_point
from agent.home import Home
from certificates import issuing, keys, linking, package, update_key
from certificates.issuing import HasHold
from certificates.models import CertificateAuthority, Operation, SealedTransfer
from certificates.models.authority import Kind
from certificates.models.operation import State
from devices.models import Device
from pki import keys as pki_keys
from pki import names
from systemupdates import actions as updates
from zcc.ground import claims


def prepare(
    operation: Operation, *, home: Home, hold: HasHold, agent_pyz: bytes, now: datetime
) -> None:
    """
    Make everything the operation needs and offer it, or ask the servers that hold other keys.

    What is asked for comes as rows; then this is called again. Raises KeyUnavailable, OSError.
    """
    is_external = operation.is_to_external
    new_ca = _external(operation) if is_external else _internal(operation, home, hold, now)
    if new_ca is None:
        claims.release(operation)  # the update key is on its way
        return
    linking.make(operation, new_ca, home=home, hold=hold, now=now)
    fault_point("links-made")
    if operation.link_requests.exists():
        claims.release(operation)
        return
    content = package.build(operation, new_ca, agent_pyz=agent_pyz)
    sha256 = package.store(home, content)
    fault_point("content-stored")
    hold.check()
    with transaction.atomic():
        if claims.release(operation):
            updates.start_replication(operation.update, sha256=sha256, size=len(content), now=now)
            operation.mark_prepared(new_ca=new_ca, at=now)
            if operation.is_immediate:
                operation.old_ca.supersede()
                new_ca.activate(at=now)


def waits_for(operation: Operation) -> list[Device]:
    """Return the servers that hold keys which the operation needs before it is prepared."""
    if operation.state != State.PREPARING:
        return []
    asked = SealedTransfer.objects.filter(guid=operation.guid, sealed=None).values("sender")
    signers = operation.link_requests.values("authority__server")
    servers = Device.objects.filter(pk__in=asked) | Device.objects.filter(pk__in=signers)
    return list(servers.select_related("heartbeat").order_by("name").distinct())


def _external(operation: Operation) -> CertificateAuthority:
    """The external CA, whose row has been there since the click."""
    return CertificateAuthority.objects.get(guid=operation.guid)


def _internal(
    operation: Operation, home: Home, hold: HasHold, now: datetime
) -> CertificateAuthority | None:
    """Make the new CA on this server; None as long as the update key is not here yet."""
    hold.check()
    new_ca = _authority(operation, hold=hold, now=now)
    fault_point("ca-row-made")
    if not update_key.bring(operation, home=home):
        return None
    make = partial(_make_key, operation.key_type, hold=hold)
    key = keys.make_ca_key(home, operation.zone, operation.guid, make)
    fault_point("ca-key-made")
    subject = names.ca_subject(operation.common_name, serial_number=f"G{new_ca.generation}")
    issuing.sign_root(new_ca, key, subject=subject, years=operation.years, hold=hold, now=now)
    new_ca.refresh_from_db()
    return new_ca


def _make_key(key_type: str, *, hold: HasHold) -> pki_keys.PrivateKey:
    """Make the key; not for an operation that was cancelled while this worker stood still."""
    key = pki_keys.generate(key_type)
    hold.check()
    return key


@transaction.atomic
def _authority(operation: Operation, *, hold: HasHold, now: datetime) -> CertificateAuthority:
    """The row of the future CA, made once; `hold` keeps the operation until it is there."""
    hold.check()
    last = CertificateAuthority.objects.filter(zone=operation.zone).order_by("generation").last()
    row, _ = CertificateAuthority.objects.get_or_create(
        guid=operation.guid,
        defaults={
            "zone": operation.zone,
            "kind": Kind.INTERNAL,
            "generation": last.generation + 1 if last else 1,
            "server": operation.initiating_server,
            "created_at": now,
        },
    )
    return row
