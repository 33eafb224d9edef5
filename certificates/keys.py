"""
The only place that seals and opens the keys of the zone: CA keys and the update key.

They lie in `ca/` of the home of the server with the CA role, encrypted under that server's
key-encryption key and bound to the zone and the key's own id, so that a file put in another's place
does not open. Nothing of them is in the database, a message or a log.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.home import Home
from devices.models import Zone
from pki import keys, sealing

KEK_FILE = "secrets/key-encryption-key"
KEK_SIZE = 32


class KeyUnavailable(Exception):
    """A key is not on this server or does not open; the message is for the user."""


def make_key_encryption_key(home: Home) -> None:
    """Give the home its key-encryption key if it has none."""
    if home.read_file(KEK_FILE) is None:
        home.write_secret(KEK_FILE, secrets.token_bytes(KEK_SIZE))


def make_ca_key(
    home: Home, zone: Zone, guid: UUID, make: Callable[[], keys.PrivateKey]
) -> keys.PrivateKey:
    """Return the key of the CA `guid`; made and stored now if this home has none, else read."""
    if home.read_file(_ca_file(guid)) is None:
        key = make()
        _store(home, _ca_file(guid), keys.to_der(key), zone)
    return load_ca_key(home, zone, guid)


def load_ca_key(home: Home, zone: Zone, guid: UUID) -> keys.PrivateKey:
    """Open the key of the CA `guid`. Raises KeyUnavailable."""
    return keys.from_der(_load(home, _ca_file(guid), zone))


def destroy_ca_key(home: Home, guid: UUID) -> None:
    """Remove the key of a CA that will not be used, or no more."""
    home.remove_file(_ca_file(guid))


def has_ca_key(home: Home, guid: UUID) -> bool:
    return home.read_file(_ca_file(guid)) is not None


def make_update_key(home: Home, zone: Zone) -> Ed25519PrivateKey:
    """Return the zone update key, made now if this home has none."""
    if home.read_file(_update_file(zone)) is None:
        _store(home, _update_file(zone), Ed25519PrivateKey.generate().private_bytes_raw(), zone)
    return load_update_key(home, zone)


def load_update_key(home: Home, zone: Zone) -> Ed25519PrivateKey:
    """Open the key that signs trust manifests. Raises KeyUnavailable."""
    return Ed25519PrivateKey.from_private_bytes(_load(home, _update_file(zone), zone))


def has_update_key(home: Home, zone: Zone) -> bool:
    return home.read_file(_update_file(zone)) is not None


def keep_update_key(home: Home, zone: Zone, raw: bytes, *, public: bytes) -> None:
    """
    Store the update key that another server handed over.

    Raises KeyUnavailable if it is not the one whose `public` half every device has pinned.
    """
    key = Ed25519PrivateKey.from_private_bytes(raw)
    if key.public_key().public_bytes_raw() != public:
        raise KeyUnavailable("What was handed over is not the update key of this zone.")
    _store(home, _update_file(zone), raw, zone)


def destroy_update_key(home: Home, zone: Zone) -> None:
    """Remove the update key from a server that does not sign for the zone any more."""
    home.remove_file(_update_file(zone))


def join_token(home: Home, guid: UUID) -> str:
    """
    Return the one-time token `guid`: HMAC-SHA256 of its id under the key-encryption key.

    The CA server computes it again to check a request, so that nobody has to store it.
    """
    code = hmac.digest(_kek(home), b"zcc join token " + guid.bytes, hashlib.sha256)
    return f"{guid.hex}.{code.hex()}"


def _ca_file(guid: UUID) -> str:
    return f"ca/{guid}.key"


def _update_file(zone: Zone) -> str:
    return f"ca/update-{zone.guid}.key"


def _store(home: Home, name: str, plaintext: bytes, zone: Zone) -> None:
    home.write_secret(name, sealing.seal(plaintext, _kek(home), context=_context(name, zone)))


def _load(home: Home, name: str, zone: Zone) -> bytes:
    sealed = home.read_file(name)
    if sealed is None:
        raise KeyUnavailable(f"The key {name} is not on this server.")
    try:
        return sealing.unseal(sealed, _kek(home), context=_context(name, zone))
    except sealing.SealBroken as error:
        raise KeyUnavailable(
            f"The key {name} does not open with this server's key-encryption key."
        ) from error


def _context(name: str, zone: Zone) -> bytes:
    return f"zcc key {zone.guid} {name}".encode()


def _kek(home: Home) -> bytes:
    kek = home.read_file(KEK_FILE)
    if kek is None or len(kek) != KEK_SIZE:
        raise KeyUnavailable("This server has no key-encryption key.")
    return kek
