"""
A backup of the zone's CA: every generation's key and certificate, and the key that signs trust.

    README.txt              how to open it with nothing but unzip and OpenSSL
    manifest.json           what it is a backup of, the KDF's parameters, every member's SHA-256,
                            and an HMAC over all of that
    generation-N.p12        PKCS #12 (RFC 7292) with the key and the certificate of generation N
    update-key.p12          the zone update key (Ed25519)

K = scrypt(passphrase, salt, N = 2^17, r = 8, p = 1) (RFC 7914). The PKCS #12 password is K in lower
case hexadecimal, so that whoever guesses at a .p12 alone guesses at 256 bits. The HMAC is under a
key derived from K. The archive is canonical (pki.archive): any changed byte is refused.

A wrong passphrase and a damaged or hostile file are told apart by nobody: NotABackup, one sentence.
"""

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import (
    KeySerializationEncryption,
    PrivateFormat,
    pkcs12,
)

from pki import archive, describe, keys, signatures

MIN_PASSPHRASE = 10  # "The passphrase should contain at least 10 characters." (manual)
MAX_BYTES = archive.MAX_BYTES
COST = 2**17  # scrypt's N: 0.33 s and 128 MiB for each guess
BLOCK_SIZE, PARALLELISM = 8, 1  # scrypt's r and p
SALT_BYTES = 16
# Of PKCS #12 itself. Its password has 256 random bits, so slowing a guess down adds nothing.
_P12_ROUNDS = 2048
_FORMAT = "zcc-ca-backup"
_VERSION = 1
_README, _MANIFEST, _UPDATE_KEY = "README.txt", "manifest.json", "update-key.p12"

REFUSAL = (
    "The passphrase does not open this file, or the file is damaged or no backup of a CA. "
    "Check Caps Lock and the keyboard layout, then try another copy of the file."
)


class NotABackup(ValueError):
    """The file cannot be opened; the message is for the user and always the same."""

    def __init__(self) -> None:
        super().__init__(REFUSAL)


@dataclass(frozen=True, repr=False)
class Generation:
    """One generation of the CA: its number and GUID in the zone, how it stood, and its pair."""

    number: int
    guid: UUID
    state: str
    issued: int  # how many certificates it had signed
    certificate: x509.Certificate
    key: keys.PrivateKey


@dataclass(frozen=True, repr=False)
class Contents:
    """What a backup holds. `epoch` is that of the last trust manifest when it was made."""

    zone: UUID
    zone_name: str
    made_at: datetime
    made_on: str
    epoch: int
    generations: tuple[Generation, ...]
    update_key: Ed25519PrivateKey

    @property
    def newest(self) -> Generation:
        """The generation with the highest number."""
        return max(self.generations, key=lambda generation: generation.number)


def write(contents: Contents, passphrase: str, *, cost: int = COST) -> bytes:
    """
    Return the backup as the bytes of a ZIP.

    `cost` is scrypt's N; anything but the default is for tests of what is not about guessing.
    """
    salt = secrets.token_bytes(SALT_BYTES)
    key = _derive(passphrase, salt, cost)
    members = {_README: _readme(salt, cost, contents)}
    for generation in contents.generations:
        members[_member(generation.number)] = _p12(
            f"generation-{generation.number}", generation.key, generation.certificate, key
        )
    members[_UPDATE_KEY] = _p12("update-key", contents.update_key, None, key)
    manifest = _manifest(contents, salt, cost, members)
    manifest["hmac"] = _mac(manifest, key)
    return archive.write({_README: members.pop(_README), _MANIFEST: _json(manifest), **members})


def read(data: bytes, passphrase: str, *, cost: int = COST) -> Contents:
    """
    Return what the backup `data` holds, every key of it proven to sign for its certificate.

    Sizes, names and checksums are judged first and the passphrase last. The KDF's parameters must
    be those of `write`: a file cannot ask for more time or memory. Raises NotABackup.
    """
    try:
        members = archive.read(data)
        manifest = _checked(members)
        key = _derive(passphrase, _salt(manifest, cost), cost)
        if not hmac.compare_digest(_mac(manifest, key), str(manifest["hmac"])):
            raise NotABackup
        return _contents(manifest, members, key)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise NotABackup from error


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


def _member(number: int) -> str:
    return f"generation-{number}.p12"


def _manifest(
    contents: Contents, salt: bytes, cost: int, members: dict[str, bytes]
) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "version": _VERSION,
        "zone": {"guid": str(contents.zone), "name": contents.zone_name},
        "made_at": contents.made_at.astimezone(UTC).isoformat(),
        "made_on": contents.made_on,
        "epoch": contents.epoch,
        "generations": [_facts(generation) for generation in contents.generations],
        "update_key": contents.update_key.public_key().public_bytes_raw().hex(),
        "kdf": {
            "name": "scrypt",
            "salt": salt.hex(),
            "n": cost,
            "r": BLOCK_SIZE,
            "p": PARALLELISM,
        },
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
    numbers = [_whole(facts["generation"]) for facts in manifest["generations"]]
    if not numbers or len(set(numbers)) != len(numbers):
        raise NotABackup
    if list(members) != [_README, _MANIFEST, *map(_member, numbers), _UPDATE_KEY]:
        raise NotABackup
    sums = {name: hashlib.sha256(members[name]).hexdigest() for name in members}
    del sums[_MANIFEST]
    if manifest["members"] != sums:
        raise NotABackup
    return manifest


def _salt(manifest: dict[str, Any], cost: int) -> bytes:
    """Return the KDF's salt if all its other parameters are those that are allowed."""
    salt = bytes.fromhex(manifest["kdf"]["salt"])
    allowed = {
        "name": "scrypt",
        "salt": salt.hex(),
        "n": cost,
        "r": BLOCK_SIZE,
        "p": PARALLELISM,
    }
    if manifest["kdf"] != allowed or len(salt) != SALT_BYTES:
        raise NotABackup
    return salt


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**62:
        raise NotABackup
    return value


def _contents(manifest: dict[str, Any], members: dict[str, bytes], key: bytes) -> Contents:
    update_key, _, _ = pkcs12.load_key_and_certificates(members[_UPDATE_KEY], key.hex().encode())
    if not isinstance(update_key, Ed25519PrivateKey):
        raise NotABackup
    if update_key.public_key().public_bytes_raw().hex() != manifest["update_key"]:
        raise NotABackup
    return Contents(
        zone=UUID(manifest["zone"]["guid"]),
        zone_name=str(manifest["zone"]["name"]),
        made_at=datetime.fromisoformat(manifest["made_at"]).astimezone(UTC),
        made_on=str(manifest["made_on"]),
        epoch=_whole(manifest["epoch"]),
        generations=tuple(
            _generation(facts, members, key.hex().encode()) for facts in manifest["generations"]
        ),
        update_key=update_key,
    )


def _generation(facts: dict[str, Any], members: dict[str, bytes], password: bytes) -> Generation:
    """Return a generation whose key signs what its certificate verifies."""
    number = _whole(facts["generation"])
    key, certificate, others = pkcs12.load_key_and_certificates(members[_member(number)], password)
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) or others:
        raise NotABackup
    if certificate is None or describe.fingerprint(certificate) != facts["sha256"]:
        raise NotABackup
    if not signatures.proves_itself(key, certificate.public_key()):
        raise NotABackup
    return Generation(
        number=number,
        guid=UUID(facts["guid"]),
        state=str(facts["state"]),
        issued=_whole(facts["issued"]),
        certificate=certificate,
        key=key,
    )


def _readme(salt: bytes, cost: int, contents: Contents) -> bytes:
    zone = "".join(sign if sign.isprintable() else "?" for sign in contents.zone_name)
    text = f"""\
Backup of the certificate authority of the zone {zone}
Made on {contents.made_on}, {contents.made_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC.

It holds the private keys of the zone's CA. Whoever has this file and its passphrase can issue
certificates that the whole zone trusts.

To restore it: Configuration > Certificates > Restore CA, or, when the zone's database is gone too,
    manage.py setup_zone --from-backup FILE

Without this product, with OpenSSL 3 alone. The first command makes the password of the .p12 files
from the passphrase, the second shows key and certificate of one generation:

    K=$(openssl kdf -keylen 32 -kdfopt pass:'THE PASSPHRASE' -kdfopt hexsalt:{salt.hex()} \\
        -kdfopt n:{cost} -kdfopt r:{BLOCK_SIZE} -kdfopt p:{PARALLELISM} SCRYPT \\
        | tr -d ':\\n' | tr A-F a-f)
    openssl pkcs12 -nodes -passin "pass:$K" -in {_member(contents.newest.number)}

keytool opens the .p12 files with the same password:

    keytool -list -keystore {_member(contents.newest.number)} -storepass "$K"

update-key.p12 holds the key that signs what devices are told to trust (Ed25519).
"""
    return text.encode()
