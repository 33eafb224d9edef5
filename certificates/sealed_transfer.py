"""
A secret on its way from one Primary Server's home to another's.

The receiver makes an X25519 key for this once and signs it with its *server key*. The sender checks
that server certificate against the CA in its own home and the receiver's record, so that whoever
can write the database gets nothing, and seals to that key. Both are bound to the zone, the receiver
and what it is asked for.
"""

from datetime import datetime
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from django.db.models import Q, QuerySet

from agent.home import Home
from certificates.keys import KeyUnavailable
from certificates.models import SealedTransfer, ServerCertificate
from devices.models import Device
from pki import chains, describe, sealing, signatures
from pki import keys as pki_keys
from zcc.ground import claims


def due(now: datetime) -> "QuerySet[SealedTransfer]":
    """What is asked for and not given yet, and that no worker is busy with."""
    free = Q(lease_until=None) | Q(lease_until__lt=now)
    rows = SealedTransfer.objects.filter(free, Q(retry_at=None) | Q(retry_at__lte=now))
    return rows.filter(sealed=None)


def ask(guid: UUID, *, sender: Device, receiver: Device, home: Home) -> SealedTransfer:
    """On the receiver: ask for what `guid` names, once. Raises KeyUnavailable."""
    known = SealedTransfer.objects.filter(guid=guid).first()
    if known is not None:
        return known
    live, key_pem = home.live(), home.read_file("security/server.key")
    if live is None or key_pem is None:
        raise KeyUnavailable(f"{receiver.name} has no certificate to prove itself with.")
    row = SealedTransfer(zone=receiver.zone, guid=guid, sender=sender, receiver=receiver)
    row.public = _one_time_key(home, guid).public_key().public_bytes_raw()
    row.signature = signatures.sign(pki_keys.from_pem(key_pem), _statement(row))
    row.chain = live.chain_pem.decode()
    row.save()
    return row


def give(row: SealedTransfer, secret: bytes, *, home: Home, now: datetime) -> bool:
    """
    On the sender: seal the secret for the receiver of the claimed row; False if the claim is lost.

    Raises KeyUnavailable, with a sentence, if the receiver does not prove who it is.
    """
    _check_receiver(row, home=home, now=now)
    public = X25519PublicKey.from_public_bytes(bytes(row.public))
    sealed = sealing.seal_to(public, secret, context=_context(row))
    return bool(claims.mine(row).update(sealed=sealed, claim_id=None, lease_until=None))


def take(row: SealedTransfer, *, home: Home) -> bytes:
    """On the receiver: open what was given. Raises KeyUnavailable if it does not open."""
    try:
        key = _one_time_key(home, row.guid)
        return sealing.unseal_with(key, bytes(row.sealed or b""), context=_context(row))
    except sealing.SealBroken as error:
        row.delete()  # it is asked for anew
        raise KeyUnavailable(f"What {row.sender.name} sent does not open here.") from error


def end(guid: UUID, *, home: Home) -> None:
    """On the receiver: nothing of the transfer stays."""
    SealedTransfer.objects.filter(guid=guid).delete()
    home.remove_file(_file(guid))


def _check_receiver(row: SealedTransfer, *, home: Home, now: datetime) -> None:
    """The proof is by the certificate that this device shows, of the CA that *this* home knows."""
    ca_pem = home.read_file("security/ca.cert")
    try:
        chain = x509.load_pem_x509_certificates(row.chain.encode())
        roots = x509.load_pem_x509_certificates(ca_pem or b"")
        wanted = [row.receiver.dns_name]
        chains.check_server_chain(chain, None, wanted=wanted, at=now, roots=roots)
        proven = signatures.is_valid(chain[0].public_key(), _statement(row), bytes(row.signature))
    except ValueError as error:
        raise KeyUnavailable(f"{row.receiver.name} could not prove who it is: {error}") from error
    current = ServerCertificate.objects.current().filter(device__guid=row.receiver.guid)
    if not proven or not current.filter(sha256=describe.fingerprint(chain[0])).exists():
        raise KeyUnavailable(
            f"{row.receiver.name} could not prove who it is: it did not sign with the key of its "
            "server certificate."
        )


def _statement(row: SealedTransfer) -> bytes:
    return b"zcc: seal it for this key\n" + _context(row) + b"\n" + bytes(row.public)


def _context(row: SealedTransfer) -> bytes:
    return f"zcc transfer {row.zone.guid} {row.receiver.guid} {row.guid}".encode()


def _one_time_key(home: Home, guid: UUID) -> X25519PrivateKey:
    raw = home.read_file(_file(guid))
    if raw is None:
        raw = X25519PrivateKey.generate().private_bytes_raw()
        home.write_secret(_file(guid), raw)
    return X25519PrivateKey.from_private_bytes(raw)


def _file(guid: UUID) -> str:
    return f"secrets/transfer-{guid}.key"
