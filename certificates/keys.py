"""
The only place that seals and opens the keys of the zone: CA keys and the update key.

They lie in `ca/` of the home of the server with the CA role, encrypted under that server's
key-encryption key and bound to the zone and the key's own id, so that a file put in another's place
does not open. Nothing of them is in the database, a message or a log.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.faults import fault_point
from agent.home import Home
from devices.models import Zone
from pki import keys, sealing

KEK_FILE = "secrets/key-encryption-key"
KEK_SIZE = 32


class KeyUnavailable(Exception):
    """A key is not on this server or does not open; the message is for the user."""


@dataclass(frozen=True, repr=False)
class Ring:
    """The keys that go with the CA role: each generation's by the GUID of its CA, and trust's."""

    authorities: Mapping[UUID, keys.PrivateKey]
    update_key: Ed25519PrivateKey

    def to_bytes(self) -> bytes:
        """Return the ring in clear, to be sealed at once."""
        authorities = {str(guid): keys.to_der(key).hex() for guid, key in self.authorities.items()}
        update_key = self.update_key.private_bytes_raw().hex()
        return json.dumps({"authorities": authorities, "update_key": update_key}).encode()

    @staticmethod
    def from_bytes(data: bytes) -> "Ring":
        """Return the ring that `to_bytes` wrote. Raises ValueError."""
        read = json.loads(data)
        authorities = {
            UUID(guid): keys.from_der(bytes.fromhex(key))
            for guid, key in read["authorities"].items()
        }
        raw = bytes.fromhex(read["update_key"])
        return Ring(authorities, Ed25519PrivateKey.from_private_bytes(raw))


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


def ring(home: Home, zone: Zone) -> Ring:
    """Open every key of the zone that lies on this server. Raises KeyUnavailable."""
    guids = [UUID(path.stem) for path in _files(home) if not path.stem.startswith("update-")]
    authorities = {guid: load_ca_key(home, zone, guid) for guid in guids}
    return Ring(authorities, load_update_key(home, zone))


def store_ring(home: Home, zone: Zone, found: Ring) -> Ring:
    """Store these keys, and return them as they lie here now."""
    for guid, key in found.authorities.items():
        _store(home, _ca_file(guid), keys.to_der(key), zone)
        fault_point("key-stored")
    _store(home, _update_file(zone), found.update_key.private_bytes_raw(), zone)
    stored = {guid: load_ca_key(home, zone, guid) for guid in found.authorities}
    return Ring(stored, load_update_key(home, zone))


def destroy_others(home: Home, zone: Zone, guids: set[UUID]) -> int:
    """
    Remove every key but those of the CAs `guids`; return how many were removed.

    The update key goes with the CA role: it stays as long as one of those CAs does.
    """
    kept = {_ca_file(guid) for guid in guids} | ({_update_file(zone)} if guids else set())
    others = [f"ca/{path.name}" for path in _files(home) if f"ca/{path.name}" not in kept]
    for name in others:
        home.remove_file(name)
        fault_point("key-destroyed")
    return len(others)


def _files(home: Home) -> list[Path]:
    return sorted((home.path / "ca").glob("*.key"))


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
