"""
Who signs identities of mobile devices while the zone's CA is an external one.

Each external CA in force or to come has an identity CA on the server that signs manifests, made as
soon as it lacks one: with an operation, for a zone set up with an external CA, and when the key is
lost. Its key goes where the update key goes; nobody has to do anything.
"""

import logging
from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from agent.faults import fault_point
from agent.home import Home, HomeError
from certificates import issuing, keys
from certificates.models import CertificateAuthority, IdentityCA, KeyRequest, Operation
from certificates.models.authority import Kind, State
from certificates.models.certificate import Certificate
from certificates.models.operation import TAKEN_BACK_STATES
from devices.models import Device, Zone
from pki.keys import PrivateKey
from zcc.ground import audit, claims, clock

# Before identities that it signs would have to be shorter than others.
RENEW_BEFORE = 2 * issuing.IDENTITY_LIFETIME
RETRY_AFTER = timedelta(seconds=10)
_SIGNING = (State.FUTURE, State.ACTIVE)
_NEEDED = (*_SIGNING, State.SUPERSEDED)  # one could go back to it

logger = logging.getLogger(__name__)


def in_force(authority: CertificateAuthority) -> IdentityCA | None:
    """Return who signs identities while this external CA is in force; None: nobody can yet."""
    rows = IdentityCA.objects.in_force().made().filter(authority=authority)
    return rows.select_related("authority__zone", "server").first()


def of_use(zone: Zone) -> "QuerySet[IdentityCA]":
    """Those that sign, will sign, or would again after a rollback."""
    rows = IdentityCA.objects.of_zone(zone).in_force().made()
    return rows.filter(key_destroyed_at=None, authority__state__in=_NEEDED)


def to_be_made(zone: Zone, *, now: datetime) -> list[CertificateAuthority]:
    """Return the external CAs that should have another identity CA than they have, or any."""
    rows = CertificateAuthority.objects.filter(zone=zone, kind=Kind.EXTERNAL, state__in=_SIGNING)
    wanted = list(rows.exclude(server=None).exclude(guid__in=_taken_back(zone)))
    if not wanted:
        return []
    known = IdentityCA.objects.in_force().filter(authority__in=wanted).select_related("authority")
    cared_for = {row.authority_id for row in known if _is_cared_for(row, now=now)}
    return [ca for ca in wanted if ca.pk not in cared_for]


def _taken_back(zone: Zone) -> "QuerySet[Operation, UUID]":
    """The ids of CAs that are on their way out: each is that of its operation."""
    operations = Operation.objects.filter(zone=zone, state__in=TAKEN_BACK_STATES)
    return operations.values_list("guid", flat=True)


def _is_cared_for(row: IdentityCA, *, now: datetime) -> bool:
    """Whether it will do, or nothing can be done for it just now."""
    if not _is_good(row, now=now):
        return False
    is_waiting = row.retry_at is not None and row.retry_at > now
    is_held = row.lease_until is not None and row.lease_until > now
    return row.der is not None or is_waiting or is_held


def _is_good(row: IdentityCA, *, now: datetime) -> bool:
    """Whether it is on the right server and signs long enough, or will once it is made."""
    is_at_end = row.expires_at is not None and row.expires_at <= now + RENEW_BEFORE
    return row.server_id == row.authority.server_id and not is_at_end


def claim(authority_id: int, *, server: Device, now: datetime) -> IdentityCA | None:
    """On the signing server: claim what is to be made for the external CA, if it still is."""
    authority = CertificateAuthority.objects.select_related("zone").get(pk=authority_id)
    if authority.server_id != server.pk or authority not in to_be_made(authority.zone, now=now):
        return None
    try:
        row = _row_for(authority, server, now=now)
    except IntegrityError:  # another worker has just begun with it
        return None
    return claims.claim(IdentityCA.objects.filter(pk=row.pk, der=None), now=now)


@transaction.atomic
def _row_for(authority: CertificateAuthority, server: Device, *, now: datetime) -> IdentityCA:
    """Return what is to be made; one that signs already goes on until that is done."""
    rows = IdentityCA.objects.in_force().filter(authority=authority, der=None)
    row = rows.select_related("authority").first()
    if row is not None and _is_good(row, now=now):
        return row
    rows.update(replaced_at=now)
    return IdentityCA.objects.create(authority=authority, server=server, created_at=now)


def carry_out(row: IdentityCA, *, home: Home) -> None:
    """On the signing server: make the claimed row's key and certificate, or note why not."""
    try:
        with claims.held(row) as hold:
            _make(row, home=home, hold=hold)
    except claims.LeaseLost as error:
        logger.info("%s is another worker's: %s", row, error)
    except (keys.KeyUnavailable, HomeError, OSError) as error:
        logger.exception("%s could not be made", row)
        again = {"problem": str(error)[:400], "retry_at": clock.now() + RETRY_AFTER}
        claims.mine(row).update(claim_id=None, lease_until=None, **again)
    forget_unneeded(row.server, home=home)  # the operation may have been cancelled meanwhile


def _make(row: IdentityCA, *, home: Home, hold: claims.Hold) -> None:
    now = clock.now()
    key = _key(row, home=home, hold=hold)
    fault_point("identity-key-made")
    certificate = issuing.sign_identity_root(row, key, hold=hold, now=now)
    facts = {"problem": "", "retry_at": None, **Certificate.columns(certificate)}
    with transaction.atomic():
        before = IdentityCA.objects.in_force().made().filter(authority=row.authority)
        before.update(replaced_at=now)
        mine = claims.mine(row).filter(replaced_at=None)
        if not mine.update(claim_id=None, lease_until=None, **facts):
            raise claims.LeaseLost("Another one is made meanwhile.")
        row.refresh_from_db()
        _note(row, now=now)


def _key(row: IdentityCA, *, home: Home, hold: claims.Hold) -> PrivateKey:
    """Return its key; one that does not open was left half-made, and another takes its place."""
    zone = row.authority.zone
    try:
        return keys.make_identity_key(home, zone, row.guid)
    except keys.KeyUnavailable:
        hold.check()
        keys.destroy_identity_key(home, row.guid)  # nothing that it has signed is in use
        return keys.make_identity_key(home, zone, row.guid)


def _note(row: IdentityCA, *, now: datetime) -> None:
    """Among what happened to the operation that brings the external CA, if there is one."""
    text = f"Identity CA made: {row.named}, on {row.server.name}."
    logger.info(text)
    operation = Operation.objects.filter(guid=row.authority.guid).first()
    if operation is not None:
        operation.note(text, by=None, at=now)


@transaction.atomic
def replace(row: IdentityCA, *, at: datetime) -> None:
    """Let another one be made, because the key of this one is lost. What it signed stays good."""
    rows = IdentityCA.objects.in_force().filter(pk=row.pk, server=row.server_id)
    if rows.update(replaced_at=at):  # else it has moved to another server meanwhile
        logger.error("The key of %s is lost. Another identity CA takes its place.", row)
        note = f"The key of {row.named} is lost, or does not open."
        audit.record("Identity CA replaced", row.server, by=None, at=at, note=note)


def forget_unneeded(server: Device, *, home: Home) -> int:
    """Destroy the keys of identity CAs that will not sign here any more; return how many."""
    with keys.LOCK:
        if KeyRequest.objects.open().of_the_role().filter(server=server).exists():
            return 0  # the keys are on their way here
        rows = IdentityCA.objects.in_force().filter(server=server, authority__state__in=_NEEDED)
        rows = rows.exclude(authority__guid__in=_taken_back(server.zone))
        unneeded = keys.identity_keys(home) - set(rows.values_list("guid", flat=True))
        for guid in unneeded:
            keys.destroy_identity_key(home, guid)
            fault_point("identity-key-destroyed")
        gone = IdentityCA.objects.made().filter(server=server, key_destroyed_at=None)
        gone.exclude(pk__in=rows.values("pk")).update(key_destroyed_at=clock.now())
    return len(unneeded)
