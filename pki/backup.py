"""
A backup of the zone's CA: every generation's key and certificate, and the key that signs trust.

Of a zone with an external CA it holds no key of the CA in force: there it may have no generation.

    README.txt              how to open it with nothing but unzip and OpenSSL
    manifest.json           what it is a backup of, the KDF's parameters, every member's SHA-256,
                            and an HMAC over all of that
    generation-N.p12        PKCS #12 (RFC 7292) with the key and the certificate of generation N
    identity-N.p12          the same of a CA that signs identities beside an external CA
    update-key.p12          the zone update key (Ed25519)
    external-ca.pem         the certificate of the external CA that was in force, if one was

K = scrypt(passphrase, salt, N = 2^17, r = 8, p = 1) (RFC 7914). The PKCS #12 password is K in lower
case hexadecimal, so that whoever guesses at a .p12 alone guesses at 256 bits. The HMAC is under a
key derived from K. The archive is canonical (pki.archive): any changed byte is refused.

A wrong passphrase and a damaged or hostile file are told apart by nobody: NotABackup, one sentence.
"""

import hashlib
import hmac
import json
import secrets
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    KeySerializationEncryption,
    PrivateFormat,
    pkcs12,
)

from pki import archive, describe, keys, signatures
from pki.backup_contents import (
    UPDATE_KEY,
    Contents,
    Generation,
    Identity,
    generation_member,
    identity_member,
    readme,
)

MIN_PASSPHRASE = 10  # "The passphrase should contain at least 10 characters." (manual)
MAX_BYTES = archive.MAX_BYTES
COST = 2**17  # scrypt's N: 0.33 s and 128 MiB for each guess
BLOCK_SIZE, PARALLELISM = 8, 1  # scrypt's r and p
SALT_BYTES = 16
# Of PKCS #12 itself. Its password has 256 random bits, so slowing a guess down adds nothing.
_P12_ROUNDS = 2048
_FORMAT = "zcc-ca-backup"
_VERSION = 1
_README, _MANIFEST, _EXTERNAL = "README.txt", "manifest.json", "external-ca.pem"

_UNREADABLE = (
    *(AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError),
    UnsupportedAlgorithm,
)

REFUSAL = (
    "The passphrase does not open this file, or the file is damaged or no backup of a CA. "
    "Check Caps Lock and the keyboard layout, then try another copy of the file."
)


class NotABackup(ValueError):
    """The file cannot be opened; the message is for the user and always the same."""

    def __init__(self) -> None:
        super().__init__(REFUSAL)


def write(contents: Contents, passphrase: str, *, cost: int | None = None) -> bytes:
    """
    Return the backup as the bytes of a ZIP.

    `cost` is scrypt's N, by default COST; another is for tests of what is not about guessing.
    """
    cost = cost or COST
    salt = secrets.token_bytes(SALT_BYTES)
    key = _derive(passphrase, salt, cost)
    kdf = _kdf(salt, cost)
    members = {_README: readme(contents, kdf), **_members(contents, key)}
    manifest = _manifest(contents, kdf, members)
    manifest["hmac"] = _mac(manifest, key)
    return archive.write({_README: members.pop(_README), _MANIFEST: _json(manifest), **members})


def read(data: bytes, passphrase: str, *, cost: int | None = None) -> Contents:
    """
    Return what the backup `data` holds, every key of it proven to sign for its certificate.

    Sizes, names and checksums are judged first and the passphrase last. The KDF's parameters must
    be those of `write`: a file cannot ask for more time or memory. Raises NotABackup.
    """
    try:
        members = archive.read(data)
        manifest = _checked(members)
        cost = cost or COST
        key = _derive(passphrase, _salt(manifest, cost), cost)
        if not hmac.compare_digest(_mac(manifest, key), str(manifest["hmac"])):
            raise NotABackup
        return _contents(manifest, members, key)
    except _UNREADABLE as error:
        raise NotABackup from error


def _members(contents: Contents, password: bytes) -> dict[str, bytes]:
    """Return what is in the archive beside README and manifest."""
    pairs = {one.member: (one.key, one.certificate) for one in contents.generations}
    for number, one in enumerate(contents.identities, start=1):
        pairs[identity_member(number)] = (one.key, one.certificate)
    members = {
        member: _p12(member.removesuffix(".p12"), key, certificate, password)
        for member, (key, certificate) in pairs.items()
    }
    members[UPDATE_KEY] = _p12("update-key", contents.update_key, None, password)
    if contents.external is not None:
        members[_EXTERNAL] = contents.external.public_bytes(Encoding.PEM)
    return members


def _kdf(salt: bytes, cost: int) -> dict[str, Any]:
    return {"name": "scrypt", "salt": salt.hex(), "n": cost, "r": BLOCK_SIZE, "p": PARALLELISM}


def _derive(passphrase: str, salt: bytes, cost: int) -> bytes:
    scrypt = Scrypt(salt=salt, length=32, n=cost, r=BLOCK_SIZE, p=PARALLELISM)
    return scrypt.derive(passphrase.encode())


def _encryption(key: bytes) -> KeySerializationEncryption:
    return (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(_P12_ROUNDS)
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(SHA256())
        .build(key.hex().encode())
    )


def _p12(
    name: str,
    key: keys.PrivateKey | Ed25519PrivateKey,
    certificate: x509.Certificate | None,
    password: bytes,
) -> bytes:
    return pkcs12.serialize_key_and_certificates(
        name.encode(), key, certificate, None, _encryption(password)
    )


def _manifest(contents: Contents, kdf: dict[str, Any], members: dict[str, bytes]) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "version": _VERSION,
        "zone": {"guid": str(contents.zone), "name": contents.zone_name},
        "made_at": contents.made_at.astimezone(UTC).isoformat(),
        "made_on": contents.made_on,
        "epoch": contents.epoch,
        "generations": [_facts(generation) for generation in contents.generations],
        "not_held": list(contents.not_held),
        "identities": [_identity_facts(one) for one in contents.identities],
        "update_key": contents.update_key.public_key().public_bytes_raw().hex(),
        "kdf": kdf,
        "members": {name: hashlib.sha256(data).hexdigest() for name, data in members.items()},
    }


def _facts(generation: Generation) -> dict[str, Any]:
    return {
        "generation": generation.number,
        "guid": str(generation.guid),
        "state": generation.state,
        "issued": generation.issued,
        "sha256": describe.fingerprint(generation.certificate),
    }


def _identity_facts(one: Identity) -> dict[str, Any]:
    return {"guid": str(one.guid), "sha256": describe.fingerprint(one.certificate)}


def _json(manifest: dict[str, Any]) -> bytes:
    return json.dumps(manifest, indent=1, sort_keys=True).encode() + b"\n"


def _mac(manifest: dict[str, Any], key: bytes) -> str:
    """HMAC-SHA256 over the manifest without its HMAC, and so over every member's SHA-256."""
    subkey = hmac.digest(key, b"zcc backup manifest 1", hashlib.sha256)
    signed = {name: value for name, value in manifest.items() if name != "hmac"}
    return hmac.digest(subkey, _json(signed), hashlib.sha256).hex()


def _checked(members: dict[str, bytes]) -> dict[str, Any]:
    """Return the manifest if its form, the names of the members and their checksums fit."""
    manifest: dict[str, Any] = json.loads(members[_MANIFEST])
    if _json(manifest) != members[_MANIFEST]:
        raise NotABackup
    if (manifest["format"], manifest["version"]) != (_FORMAT, _VERSION):
        raise NotABackup
    if list(members) != _expected(manifest, has_external=_EXTERNAL in members):
        raise NotABackup
    sums = {name: hashlib.sha256(members[name]).hexdigest() for name in members}
    del sums[_MANIFEST]
    if manifest["members"] != sums:
        raise NotABackup
    return manifest


def _expected(manifest: dict[str, Any], *, has_external: bool) -> list[str]:
    """Return the members that the manifest speaks of, in their order."""
    numbers = [_whole(facts["generation"]) for facts in manifest["generations"]]
    if len(set(numbers)) != len(numbers) or not (numbers or has_external):
        raise NotABackup
    identities = range(1, len(manifest.get("identities", [])) + 1)
    pairs = [*map(generation_member, numbers), *map(identity_member, identities)]
    return [_README, _MANIFEST, *pairs, UPDATE_KEY, *([_EXTERNAL] if has_external else [])]


def _salt(manifest: dict[str, Any], cost: int) -> bytes:
    """Return the KDF's salt if all its other parameters are those that are allowed."""
    salt = bytes.fromhex(manifest["kdf"]["salt"])
    if manifest["kdf"] != _kdf(salt, cost) or len(salt) != SALT_BYTES:
        raise NotABackup
    return salt


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**62:
        raise NotABackup
    return value


def _contents(manifest: dict[str, Any], members: dict[str, bytes], key: bytes) -> Contents:
    password = key.hex().encode()
    update_key, _, _ = pkcs12.load_key_and_certificates(members[UPDATE_KEY], password)
    if not isinstance(update_key, Ed25519PrivateKey):
        raise NotABackup
    if update_key.public_key().public_bytes_raw().hex() != manifest["update_key"]:
        raise NotABackup
    external = members.get(_EXTERNAL)
    return Contents(
        zone=UUID(manifest["zone"]["guid"]),
        zone_name=str(manifest["zone"]["name"]),
        made_at=datetime.fromisoformat(manifest["made_at"]).astimezone(UTC),
        made_on=str(manifest["made_on"]),
        epoch=_whole(manifest["epoch"]),
        generations=tuple(
            _generation(facts, members, password) for facts in manifest["generations"]
        ),
        # Older backups say nothing of the rest.
        not_held=tuple(map(_whole, manifest.get("not_held", []))),
        identities=tuple(
            _identity(facts, members[identity_member(number)], password)
            for number, facts in enumerate(manifest.get("identities", []), start=1)
        ),
        external=x509.load_pem_x509_certificate(external) if external is not None else None,
        update_key=update_key,
    )


def _generation(facts: dict[str, Any], members: dict[str, bytes], password: bytes) -> Generation:
    number = _whole(facts["generation"])
    key, certificate = _pair(facts, members[generation_member(number)], password)
    return Generation(
        number=number,
        guid=UUID(facts["guid"]),
        state=str(facts["state"]),
        issued=_whole(facts["issued"]),
        certificate=certificate,
        key=key,
    )


def _identity(facts: dict[str, Any], data: bytes, password: bytes) -> Identity:
    key, certificate = _pair(facts, data, password)
    return Identity(UUID(facts["guid"]), certificate, key)


def _pair(
    facts: dict[str, Any], data: bytes, password: bytes
) -> tuple[keys.PrivateKey, x509.Certificate]:
    """Return a key that signs what its certificate verifies, and that certificate."""
    key, certificate, others = pkcs12.load_key_and_certificates(data, password)
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) or others:
        raise NotABackup
    if certificate is None or describe.fingerprint(certificate) != facts["sha256"]:
        raise NotABackup
    if not signatures.proves_itself(key, certificate.public_key()):
        raise NotABackup
    return key, certificate
