"""
The only place that seals and opens the keys of the zone: CA keys and the update key.

They lie in `ca/` of the home of the server with the CA role, encrypted under that server's
key-encryption key and bound to the zone and the key's own id, so that a file put in another's place
does not open. Nothing of them is in the database, a message or a log.

Beside them lie keys of identity CAs (certificates.identity_cas). They go where the update key goes;
one that is lost on the way is replaced by another, so nothing waits for it.
"""

import hashlib
import hmac
import json
import secrets
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.faults import fault_point
from agent.home import Home
from devices.models import Zone
from pki import keys, sealing

KEK_FILE = "secrets/key-encryption-key"
KEK_SIZE = 32
IDENTITY_KEY = "ec-p256"
# In one server's worker: no key is destroyed between its being stored and its being given the role.
LOCK = threading.RLock()
_IDENTITY = "identity-"


class KeyUnavailable(Exception):
    """A key is not on this server or does not open; the message is for the user."""


@dataclass(frozen=True, repr=False)
class Ring:
    """
    The keys that go with the CA role: each generation's by the GUID of its CA, and trust's.

    In a zone with an external CA there may be no generation's, but those of identity CAs by theirs.
    """

    authorities: Mapping[UUID, keys.PrivateKey]
    update_key: Ed25519PrivateKey
    identities: Mapping[UUID, keys.PrivateKey] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Return the ring in clear, to be sealed at once."""
        plain = {
            "authorities": _in_hex(self.authorities),
            "update_key": self.update_key.private_bytes_raw().hex(),
            "identities": _in_hex(self.identities),
        }
        return json.dumps(plain).encode()

    @staticmethod
    def from_bytes(data: bytes) -> "Ring":
        """Return the ring that `to_bytes` wrote. Raises ValueError."""
        read = json.loads(data)
        raw = bytes.fromhex(read["update_key"])
        return Ring(
            _from_hex(read["authorities"]),
            Ed25519PrivateKey.from_private_bytes(raw),
            _from_hex(read.get("identities", {})),  # a server of an older version sends none
        )


def _in_hex(found: Mapping[UUID, keys.PrivateKey]) -> dict[str, str]:
    return {str(guid): keys.to_der(key).hex() for guid, key in found.items()}


def _from_hex(found: Mapping[str, str]) -> dict[UUID, keys.PrivateKey]:
    return {UUID(guid): keys.from_der(bytes.fromhex(key)) for guid, key in found.items()}


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


def make_identity_key(home: Home, zone: Zone, guid: UUID) -> keys.PrivateKey:
    """Return the key of the identity CA `guid`; made and stored now if this home has none."""
    if home.read_file(_identity_file(guid)) is None:
        _store(home, _identity_file(guid), keys.to_der(keys.generate(IDENTITY_KEY)), zone)
    return load_identity_key(home, zone, guid)


def load_identity_key(home: Home, zone: Zone, guid: UUID) -> keys.PrivateKey:
    """Open the key of the identity CA `guid`. Raises KeyUnavailable."""
    return keys.from_der(_load(home, _identity_file(guid), zone))


def identity_keys(home: Home) -> set[UUID]:
    """Return of which identity CAs the keys are in this home."""
    found = (home.path / "ca").glob(f"{_IDENTITY}*.key")
    return {UUID(path.stem.removeprefix(_IDENTITY)) for path in found}


def destroy_identity_key(home: Home, guid: UUID) -> None:
    """Remove the key of an identity CA that signs no more."""
    home.remove_file(_identity_file(guid))


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
    return Ring(authorities, load_update_key(home, zone), _identities(home, zone))


def _identities(home: Home, zone: Zone) -> dict[UUID, keys.PrivateKey]:
    """Return the keys of identity CAs that open here; another one is made instead of the others."""
    found = {}
    for guid in identity_keys(home):
        with suppress(KeyUnavailable):
            found[guid] = load_identity_key(home, zone, guid)
    return found


def store_ring(home: Home, zone: Zone, found: Ring) -> Ring:
    """Store these keys, and return them as they lie here now."""
    for guid, key in found.authorities.items():
        _store(home, _ca_file(guid), keys.to_der(key), zone)
        fault_point("key-stored")
    for guid, key in found.identities.items():
        _store(home, _identity_file(guid), keys.to_der(key), zone)
        fault_point("identity-key-stored")
    _store(home, _update_file(zone), found.update_key.private_bytes_raw(), zone)
    authorities = {guid: load_ca_key(home, zone, guid) for guid in found.authorities}
    identities = {guid: load_identity_key(home, zone, guid) for guid in found.identities}
    return Ring(authorities, load_update_key(home, zone), identities)


def destroy_others(home: Home, zone: Zone, guids: set[UUID], *, keep_update_key: bool) -> int:
    """Remove every key but those of the CAs `guids`, and of identity CAs; return how many."""
    kept = {_ca_file(guid) for guid in guids}
    kept |= {_update_file(zone)} if keep_update_key else set()
    others = [f"ca/{path.name}" for path in _files(home) if f"ca/{path.name}" not in kept]
    for name in others:
        home.remove_file(name)
        fault_point("key-destroyed")
    return len(others)


def _files(home: Home) -> list[Path]:
    found = (home.path / "ca").glob("*.key")
    return sorted(path for path in found if not path.name.startswith(_IDENTITY))


def join_token(home: Home, guid: UUID) -> str:
    """
    Return the one-time token `guid`: HMAC-SHA256 of its id under the key-encryption key.

    The CA server computes it again to check a request, so that nobody has to store it.
    """
    code = hmac.digest(_kek(home), b"zcc join token " + guid.bytes, hashlib.sha256)
    return f"{guid.hex}.{code.hex()}"


def _ca_file(guid: UUID) -> str:
    return f"ca/{guid}.key"


def _identity_file(guid: UUID) -> str:
    return f"ca/{_IDENTITY}{guid}.key"


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
