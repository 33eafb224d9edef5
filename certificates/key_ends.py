"""
The end of a retired CA's key: destroyed in its server's home once nothing lives that it signed.

The file goes first and the row says so afterwards. A worker that dies between the two leaves a row
that is due, and whoever repeats it finds the file gone.
"""

import logging
from datetime import datetime, timedelta

from cryptography import x509
from django.db import transaction
from django.db.models import Max

from agent.faults import fault_point
from agent.home import Home, HomeError
from certificates import keys
from certificates.models import CertificateAuthority, IssuedCertificate, KeyEnd, Operation
from certificates.models.operation import State
from devices.models import Device
from zcc.ground import claims, clock

RETRY_AFTER = timedelta(minutes=1)

logger = logging.getLogger(__name__)


def last_expiry(authority: CertificateAuthority) -> datetime | None:
    """Return when the last of the certificates that the CA signed for others ends, if any."""
    issued = IssuedCertificate.objects.filter(authority=authority).exclude(der=None)
    issued = issued.exclude(purpose="ca")
    # What was signed by a program of before the column was there: none of it must be missed.
    ders = issued.filter(expires_at=None).values_list("der", flat=True)
    ends = {x509.load_der_x509_certificate(bytes(der)).not_valid_after_utc for der in ders if der}
    known = issued.aggregate(last=Max("expires_at"))["last"]
    return max([*ends, *([known] if known else [])], default=None)


def carry_out(row: KeyEnd, *, here: Device, home: Home) -> None:
    """Destroy the key of the claimed row's CA in this server's home, or say why it still exists."""
    authority = row.authority
    if authority.server_id != here.pk:  # the role has moved meanwhile
        claims.release(row)
        return
    try:
        with claims.held(row) as hold:
            _destroy(row, home=home, hold=hold)
    except claims.LeaseLost as error:
        logger.info("The key of %s is another worker's: %s", authority, error)
    except (HomeError, OSError) as error:
        logger.exception("The key of %s could not be destroyed", authority)
        again = clock.now() + RETRY_AFTER
        claims.mine(row).update(
            problem=str(error)[:400], retry_at=again, claim_id=None, lease_until=None
        )


def _destroy(row: KeyEnd, *, home: Home, hold: claims.Hold) -> None:
    authority = row.authority
    last = last_expiry(authority)
    if last is not None and last > clock.now():  # something was signed after it was retired
        claims.mine(row).update(due_at=last, claim_id=None, lease_until=None)
        return
    hold.check()
    fault_point("ca-key-ends")
    keys.destroy_ca_key(home, authority.guid)
    fault_point("ca-key-destroyed")
    now = clock.now()
    with transaction.atomic():
        if claims.mine(row).update(problem="", retry_at=None, claim_id=None, lease_until=None):
            _note(authority, now=now)


def _note(authority: CertificateAuthority, *, now: datetime) -> None:
    authority.mark_key_destroyed(at=now)
    operation = operation_that_ended(authority)
    if operation is not None:
        where = authority.server.name if authority.server else ""
        operation.note(f"Key destroyed: {authority.named}, on {where}.", by=None, at=now)


def operation_that_ended(authority: CertificateAuthority) -> Operation | None:
    """Return the operation that replaced the CA, or that made it and was rolled back."""
    operations = Operation.objects.filter(zone=authority.zone_id)
    replaced = operations.filter(old_ca=authority, state=State.COMPLETED).order_by("pk").last()
    return replaced or operations.filter(new_ca=authority, state=State.ROLLED_BACK).first()
