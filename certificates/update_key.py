"""
Who holds the zone update key: the server of each CA that is in force, still trusted, or to come.

A new CA on another server needs it there before the activation, and the old CA's server keeps it as
long as one could roll back to it. Everybody else forgets it.
"""

from datetime import datetime
from uuid import UUID

from agent.home import Home
from certificates import keys, sealed_transfer
from certificates.keys import KeyUnavailable
from certificates.models import CertificateAuthority, KeyRequest, Operation, SealedTransfer
from certificates.models.authority import TRUSTED_STATES, State
from certificates.models.operation import TAKEN_BACK_STATES
from certificates.models.operation import State as OperationState
from devices.models import Device
from zcc.ground import here


def bring(operation: Operation, *, home: Home) -> bool:
    """
    On the new CA server: let this home have the update key; False while it is on its way.

    Raises KeyUnavailable.
    """
    zone, receiver = operation.zone, operation.initiating_server
    if keys.has_update_key(home, zone):
        keys.load_update_key(home, zone)  # nothing is sealed under a wrong encryption key
        sealed_transfer.end(operation.guid)
        return True
    sender = operation.old_ca.server
    if sender is None or sender.pk == receiver.pk:
        raise KeyUnavailable(f"The zone update key is not on {receiver.name}.")
    keys.make_key_encryption_key(home)
    row = sealed_transfer.ask(operation.guid, sender=sender, receiver=receiver)
    if row.sealed is None:
        return False
    pinned = home.read_file(here.UPDATE_KEY) or b""
    keys.keep_update_key(home, zone, sealed_transfer.take(row, home=home), public=pinned)
    sealed_transfer.end(operation.guid)
    return True


def give(row: SealedTransfer, *, home: Home, now: datetime) -> None:
    """On the server that holds it: seal the update key for the server of the CA to come."""
    operation = Operation.objects.filter(guid=row.guid, initiating_server=row.receiver).first()
    is_asked = operation is not None and operation.state == OperationState.PREPARING
    if operation is None or not is_asked or operation.old_ca.server_id != row.sender_id:
        raise KeyUnavailable(f"No operation makes {row.receiver.name} the CA server.")
    secret = keys.load_update_key(home, row.zone).private_bytes_raw()
    sealed_transfer.give(row, secret, home=home, now=now)


def forget_unless_needed(device: Device, *, home: Home, besides: UUID | None = None) -> None:
    """
    Destroy the update key in the home of a server that no CA of the zone is on any more.

    `besides` is the id of a CA that does not count, because it is being cancelled.
    """
    with keys.LOCK:
        if KeyRequest.objects.open().of_the_role().filter(server=device).exists():
            return  # the role, and this key with it, is on its way here
        _forget_unless_needed(device, home, besides)


def _forget_unless_needed(device: Device, home: Home, besides: UUID | None) -> None:
    theirs = CertificateAuthority.objects.filter(zone=device.zone_id, server=device)
    theirs = theirs.exclude(guid=besides) if besides else theirs
    ending = Operation.objects.filter(zone=device.zone_id, state__in=TAKEN_BACK_STATES)
    theirs = theirs.exclude(state=State.FUTURE, guid__in=ending.values("guid"))
    if not theirs.filter(state__in=[*TRUSTED_STATES, State.FUTURE]).exists():
        keys.destroy_update_key(home, device.zone)
