"""
To whom a secret may be sealed: a Primary Server's X25519 key, believed only with two signatures.

Whoever can write the database can put another key into the row, and can even have a certificate
issued, because requests and names are rows. So the zone update key vouches for each key when its
server is set up or joins with its token, and every server has that key's public half in its home.
Besides, the server signs its key with the key of the certificate it shows, and that certificate
must be of a CA of the zone and for the server's name.
"""

from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from agent import pem
from agent.home import Home, HomeError
from certificates.models import CertificateAuthority, SealingKey, ServerCertificate
from devices.models import Device, Zone
from pki import chains, keys, sealing, signatures
from zcc.ground import here

FILE = "secrets/seal-key"


class Untrusted(Exception):
    """Nothing is sealed to this server; the message is for the user."""


def own(home: Home) -> X25519PrivateKey:
    """Return this server's key, made now if it has none."""
    raw = home.read_file(FILE)
    if raw is None:
        raw = X25519PrivateKey.generate().private_bytes_raw()
        home.write_secret(FILE, raw)
    return X25519PrivateKey.from_private_bytes(raw)


def vouch(device: Device, public: bytes, *, update_key: Ed25519PrivateKey) -> None:
    """On the holder of the update key: this is the key of a server that was authenticated."""
    voucher = update_key.sign(_statement(device, public))
    facts = {"public": public, "voucher": voucher, "signature": None, "signed_for": ""}
    SealingKey.objects.update_or_create(device=device, defaults=facts)


def publish(device: Device, *, home: Home) -> None:
    """On the server itself: sign its key with the key of the certificate it shows."""
    shown = home.read_file("security/server.pem")
    if shown is None:
        raise HomeError("This server has no certificate yet.")
    row = SealingKey.objects.get(device=device)
    current = ServerCertificate.objects.filter(device=device).current().first()
    statement = _statement(device, own(home).public_key().public_bytes_raw())
    SealingKey.objects.filter(pk=row.pk).update(
        signature=signatures.sign(keys.from_pem(_key_in(shown)), statement),
        chain=pem.join(pem.split(shown)).decode(),
        signed_for=current.sha256 if current else "",
    )


def unpublished(servers: "dict[int, Device]") -> list[Device]:
    """Return those of the servers, given by id, whose key is not signed for what they show now."""
    rows = SealingKey.objects.filter(device__in=servers)
    signed = dict(rows.values_list("device_id", "signed_for"))
    current = ServerCertificate.objects.current().filter(device__in=signed)
    shown = dict(current.values_list("device_id", "sha256"))
    return [servers[pk] for pk, leaf in shown.items() if signed[pk] != leaf]


def of(device: Device, *, home: Home, now: datetime) -> X25519PublicKey:
    """Return the key that only `device` can open with. Raises Untrusted."""
    row = SealingKey.objects.filter(device=device).first()
    if row is None or row.signature is None:
        raise Untrusted(
            f"{device.name} has not published the key that secrets are sealed to. "
            "Start it; it does so within seconds."
        )
    statement = _statement(device, bytes(row.public))
    _check_voucher(device, statement, bytes(row.voucher), home)
    _check_signature(device, statement, row, now)
    return X25519PublicKey.from_public_bytes(bytes(row.public))


def seal(device: Device, secret: bytes, *, context: bytes, home: Home, now: datetime) -> bytes:
    """Seal `secret` so that `device` alone can open it. Raises Untrusted."""
    return sealing.seal_to(of(device, home=home, now=now), secret, context=context)


def unseal(sealed: bytes, *, context: bytes, home: Home) -> bytes:
    """Open what was sealed to this server. Raises pki.sealing.SealBroken."""
    return sealing.unseal_with(own(home), sealed, context=context)


def _key_in(shown: bytes) -> bytes:
    """The private key at the end of what a listener loads."""
    _, begin, key = shown.rpartition(b"-----BEGIN PRIVATE KEY-----")
    return begin + key


def _statement(device: Device, public: bytes) -> bytes:
    zone: Zone = device.zone
    return f"zcc sealing key {zone.guid} {device.guid} {public.hex()}".encode()


def _check_voucher(device: Device, statement: bytes, voucher: bytes, home: Home) -> None:
    update_key = home.read_file(here.UPDATE_KEY)
    if update_key is None:
        raise Untrusted("The public half of the zone update key is missing on this server.")
    try:
        Ed25519PublicKey.from_public_bytes(update_key).verify(voucher, statement)
    except InvalidSignature as error:
        raise Untrusted(_forged(device)) from error


def _check_signature(device: Device, statement: bytes, row: SealingKey, now: datetime) -> None:
    """The certificate may have ended: that it was the server's is what counts."""
    roots = [ca.x509() for ca in CertificateAuthority.objects.filter(zone=device.zone).trusted()]
    try:
        chain = chains.load(row.chain.encode())
        at = min(now, chain[0].not_valid_after_utc)
        chains.check_server_chain(chain, None, wanted=[device.dns_name], at=at, roots=roots)
    except ValueError as error:
        raise Untrusted(f"{_forged(device)} {error}") from error
    if not signatures.is_valid(chain[0].public_key(), statement, bytes(row.signature or b"")):
        raise Untrusted(_forged(device))


def _forged(device: Device) -> str:
    return (
        f"The key in the database that secrets for {device.name} are sealed to is not its own. "
        "Nothing was sent. Find out who writes to the database."
    )
