"""
A key on its way from one Primary Server's home to another's, in a row that is then deleted.

It is sealed to the receiver's own key, which is believed only if it is vouched for
(`certificates.sealing_keys`), and bound to the zone, the receiver and what it is asked for.
"""

from datetime import datetime
from uuid import UUID

from django.db.models import Q, QuerySet

from agent.home import Home
from certificates import sealing_keys
from certificates.keys import KeyUnavailable
from certificates.models import SealedTransfer
from devices.models import Device
from pki import sealing
from zcc.ground import claims


def due(now: datetime) -> "QuerySet[SealedTransfer]":
    """What is asked for and not given yet, and that no worker is busy with."""
    free = Q(lease_until=None) | Q(lease_until__lt=now)
    rows = SealedTransfer.objects.filter(free, Q(retry_at=None) | Q(retry_at__lte=now))
    return rows.filter(sealed=None)


def ask(guid: UUID, *, sender: Device, receiver: Device) -> SealedTransfer:
    """On the receiver: ask for what `guid` names, once."""
    asked = {"zone": receiver.zone, "sender": sender, "receiver": receiver}
    return SealedTransfer.objects.get_or_create(guid=guid, defaults=asked)[0]


def give(row: SealedTransfer, secret: bytes, *, home: Home, now: datetime) -> bool:
    """
    On the sender: seal the secret for the receiver of the claimed row; False if the claim is lost.

    Raises KeyUnavailable, with a sentence, if the receiver's key is not vouched for.
    """
    try:
        sealed = sealing_keys.seal(row.receiver, secret, context=_context(row), home=home, now=now)
    except sealing_keys.Untrusted as error:
        raise KeyUnavailable(str(error)) from error
    return bool(claims.mine(row).update(sealed=sealed, claim_id=None, lease_until=None))


def take(row: SealedTransfer, *, home: Home) -> bytes:
    """On the receiver: open what was given. Raises KeyUnavailable if it does not open."""
    try:
        return sealing_keys.unseal(bytes(row.sealed or b""), context=_context(row), home=home)
    except sealing.SealBroken as error:
        row.delete()  # it is asked for anew
        raise KeyUnavailable(f"What {row.sender.name} sent does not open here.") from error


def end(guid: UUID) -> None:
    """Nothing of the transfer stays."""
    SealedTransfer.objects.filter(guid=guid).delete()


def _context(row: SealedTransfer) -> bytes:
    return f"zcc transfer {row.zone.guid} {row.receiver.guid} {row.guid}".encode()
