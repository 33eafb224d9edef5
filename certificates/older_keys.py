"""
The keys of older generations follow the CA role, so that one backup holds all of them.

A change to a CA on another server leaves the old key where it is: until the old CA is retired, its
server must be able to take the zone back alone, also when the new one is lost. Afterwards, or after
a rollback, the server with the CA role fetches what it lacks: the holder seals the key for it
alone, it stores the key and lets it sign, and one UPDATE makes it the holder; only then does the
other server destroy its copy. Any step may be repeated, and a process may die between any two.
"""

import logging
from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet

from agent.faults import fault_point
from agent.home import Home
from certificates import key_ends, keys, sealed_transfer
from certificates.actions import key_requests
from certificates.keys import KeyUnavailable
from certificates.models import CertificateAuthority, KeyEnd, KeyRequest, Operation, SealedTransfer
from certificates.models.authority import Kind
from certificates.models.authority import State as CAState
from devices.models import Device, Zone
from pki import keys as pki_keys
from pki import signatures
from zcc.ground import claims, clock

OLDER_STATES = (CAState.SUPERSEDED, CAState.RETIRED)

logger = logging.getLogger(__name__)


def elsewhere(zone: Zone) -> "QuerySet[CertificateAuthority]":
    """The older CAs whose key is on another server than that of the active one, oldest first."""
    active = CertificateAuthority.objects.filter(
        zone=zone, state=CAState.ACTIVE, kind=Kind.INTERNAL
    )
    rows = CertificateAuthority.objects.filter(zone=zone, kind=Kind.INTERNAL, key_destroyed_at=None)
    rows = rows.filter(state__in=OLDER_STATES).exclude(server__in=active.values("server"))
    return (rows if active.exists() else rows.none()).order_by("generation")


def to_follow(zone: Zone, *, now: datetime) -> "QuerySet[CertificateAuthority]":
    """Those whose key may come: no operation needs it where it is, and it is not to end now."""
    found = elsewhere(zone).exclude(pk__in=KeyEnd.objects.due(now).values("authority"))
    if not found.exists():
        return found
    is_busy = (
        Operation.objects.filter(zone=zone).live().exists()
        or KeyRequest.objects.filter(zone=zone).open().of_the_role().exists()
    )
    return found.none() if is_busy else found


def is_due(zone: Zone, receiver: Device, *, now: datetime) -> bool:
    """Whether the server with the CA role has to ask for a key, or can take one."""
    wanted = set(to_follow(zone, now=now).values_list("guid", flat=True))
    if not wanted:
        return False
    waiting = SealedTransfer.objects.filter(guid__in=wanted, receiver=receiver)
    given = waiting.filter(sealed__isnull=False).filter(_free(now))
    return given.exists() or waiting.count() < len(wanted)


def _free(now: datetime) -> Q:
    free = Q(lease_until=None) | Q(lease_until__lt=now)
    return free & (Q(retry_at=None) | Q(retry_at__lte=now))


def fetch(zone: Zone, *, receiver: Device, home: Home) -> None:
    """On the server with the CA role: ask for the keys it lacks, and take those that were given."""
    now = clock.now()
    for authority in to_follow(zone, now=now).select_related("server"):
        if authority.server is None:
            continue
        SealedTransfer.objects.filter(guid=authority.guid).exclude(receiver=receiver).delete()
        row = sealed_transfer.ask(authority.guid, sender=authority.server, receiver=receiver)
        rows = SealedTransfer.objects.filter(_free(now), pk=row.pk, sealed__isnull=False)
        if (mine := claims.claim(rows, now=now)) is not None:
            _take(mine, authority, home=home)


def _take(row: SealedTransfer, authority: CertificateAuthority, *, home: Home) -> None:
    """Store the key, let it sign as it lies here now, and become its holder."""
    zone = authority.zone
    with claims.held(row), keys.LOCK:
        key = pki_keys.from_der(sealed_transfer.take(row, home=home))
        stored = keys.make_ca_key(home, zone, authority.guid, lambda: key)
        if not signatures.proves_itself(stored, authority.x509().public_key()):
            keys.destroy_ca_key(home, authority.guid)
            sealed_transfer.end(authority.guid)
            raise KeyUnavailable(f"What {row.sender.name} sent is not the key of {authority}.")
        fault_point("older-key-stored")
        _become_holder(row, authority)
    fault_point("older-key-followed")


def _become_holder(row: SealedTransfer, authority: CertificateAuthority) -> None:
    now = clock.now()
    with transaction.atomic():
        if not claims.mine(row).delete()[0]:
            return  # another worker's by now
        rows = CertificateAuthority.objects.select_for_update().filter(pk=authority.pk)
        rows = rows.filter(server=row.sender, state__in=OLDER_STATES, key_destroyed_at=None)
        if rows.exists() and to_follow(authority.zone, now=now).filter(pk=authority.pk).exists():
            rows.update(server=row.receiver)
            key_requests.remove_keys(row.sender, now=now)
            _note(authority, row, now=now)
        else:  # what came here must not stay
            key_requests.remove_keys(row.receiver, now=now)


def _note(authority: CertificateAuthority, row: SealedTransfer, *, now: datetime) -> None:
    """Among what happened to the operation that replaced the CA."""
    text = f"Key moved: {authority.named}, from {row.sender.name} to {row.receiver.name}."
    logger.info(text)
    operation = key_ends.operation_that_ended(authority)
    if operation is not None:
        operation.note(text, by=None, at=now)


def is_asked(row: SealedTransfer) -> bool:
    """Whether the transfer is about an older key, and not about the update key."""
    rows = CertificateAuthority.objects.filter(guid=row.guid, state__in=OLDER_STATES)
    return rows.exists()


def give(row: SealedTransfer, *, home: Home) -> None:
    """On the holder: seal the key for the server with the CA role. Raises KeyUnavailable."""
    now = clock.now()
    wanted = to_follow(row.zone, now=now).filter(guid=row.guid, server=row.sender)
    if row.receiver_id != _server_with_role(row.zone) or not wanted.exists():
        claims.mine(row).delete()  # asked anew when it is needed
        return
    key = keys.load_ca_key(home, row.zone, row.guid)
    fault_point("older-key-opened")
    sealed_transfer.give(row, pki_keys.to_der(key), home=home, now=now)


def _server_with_role(zone: Zone) -> int | None:
    active = CertificateAuthority.objects.filter(zone=zone, state=CAState.ACTIVE)
    return active.values_list("server", flat=True).first()


def _beside_external(zone: Zone) -> "QuerySet[CertificateAuthority]":
    """Older CAs that are still trusted, on another server than signs beside an external CA."""
    active = CertificateAuthority.objects.filter(
        zone=zone, state=CAState.ACTIVE, kind=Kind.EXTERNAL
    )
    rows = CertificateAuthority.objects.filter(zone=zone, kind=Kind.INTERNAL)
    rows = rows.filter(state=CAState.SUPERSEDED).exclude(server__in=active.values("server"))
    return (rows if active.exists() else rows.none()).order_by("generation")


def lacking(zone: Zone, *, now: datetime) -> list[str]:
    """Say of each older key that a backup made now would lack where it is, and when it comes."""
    live = Operation.objects.filter(zone=zone).live().exists()
    found = []
    beside = _beside_external(zone)
    stays = set(beside.values_list("pk", flat=True))
    for ca in (elsewhere(zone) | beside).select_related("server__heartbeat"):
        where = ca.server.name if ca.server else ""
        if ca.pk in stays and not live:
            found.append(
                f"The key of {ca.named} is on {where}, and stays there until that CA ends."
            )
        elif live:
            when = "It stays there until the old CA is retired, so that a rollback needs no other"
            found.append(f"The key of {ca.named} is on {where}. {when} server.")
        elif ca.server and not ca.server.is_alive(now):
            found.append(
                f"The key of {ca.named} is on {where}, which does not answer. It comes to the CA "
                f"server as soon as {where} runs."
            )
        else:
            found.append(
                f"The key of {ca.named} is on its way from {where}. Make the backup in a minute."
            )
    return found
