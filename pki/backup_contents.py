"""What a backup of the zone's CA holds (pki.backup), and its README."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pki import describe, keys

UPDATE_KEY = "update-key.p12"


@dataclass(frozen=True, repr=False)
class Generation:
    """One generation of the CA: its number and GUID in the zone, how it stood, and its pair."""

    number: int
    guid: UUID
    state: str
    issued: int  # how many certificates it had signed
    certificate: x509.Certificate
    key: keys.PrivateKey

    @property
    def member(self) -> str:
        return generation_member(self.number)


@dataclass(frozen=True, repr=False)
class Identity:
    """A CA that signs identities of mobile devices beside an external CA: its GUID and pair."""

    guid: UUID
    certificate: x509.Certificate
    key: keys.PrivateKey


@dataclass(frozen=True, repr=False)
class Contents:
    """
    What a backup holds. `epoch` is that of the last trust manifest when it was made.

    `not_held` are the numbers of the generations that were trusted then and whose key it lacks.
    `external` is the certificate of the external CA that was in force then, if one was.
    """

    zone: UUID
    zone_name: str
    made_at: datetime
    made_on: str
    epoch: int
    generations: tuple[Generation, ...]
    update_key: Ed25519PrivateKey
    not_held: tuple[int, ...] = ()
    identities: tuple[Identity, ...] = ()
    external: x509.Certificate | None = None

    @property
    def newest(self) -> Generation | None:
        """The generation with the highest number; none if it holds no key of an internal CA."""
        return max(self.generations, key=lambda generation: generation.number, default=None)


def generation_member(number: int) -> str:
    """Return the name in the archive of the generation with this number."""
    return f"generation-{number}.p12"


def identity_member(number: int) -> str:
    """Identity CAs are numbered by their place in the backup, from 1."""
    return f"identity-{number}.p12"


def readme(contents: Contents, kdf: dict[str, Any]) -> bytes:
    """Return README.txt: how to open the backup with nothing but unzip and OpenSSL."""
    newest = contents.newest
    pairs = [newest.member] if newest else [identity_member(1)] if contents.identities else []
    text = f"""\
Backup of the certificate authority of the zone {_printable(contents.zone_name)}
Made on {contents.made_on}, {contents.made_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC.

{_worth(contents)}
{_not_held(contents)}
To restore it: Configuration > Certificates > Restore CA, or, when the zone's database is gone too,
    manage.py setup_zone --from-backup FILE

Without this product, with OpenSSL 3 alone. The first command makes the password of the .p12 files
from the passphrase, the second shows what one of them holds:

    K=$(openssl kdf -keylen 32 -kdfopt pass:'THE PASSPHRASE' -kdfopt hexsalt:{kdf["salt"]} \\
        -kdfopt n:{kdf["n"]} -kdfopt r:{kdf["r"]} -kdfopt p:{kdf["p"]} SCRYPT \\
        | tr -d ':\\n' | tr A-F a-f)
    openssl pkcs12 -nodes -passin "pass:$K" -in {[*pairs, UPDATE_KEY][0]}
{_keytool(pairs)}
{UPDATE_KEY} holds the key that signs what devices are told to trust (Ed25519).
"""
    return text.encode()


def _worth(contents: Contents) -> str:
    """What somebody can do with the file."""
    said = []
    if any(one.state in ("active", "superseded") for one in contents.generations):
        said.append(
            "It holds the private keys of the zone's CA. Whoever has this file and its passphrase\n"
            "can issue certificates that the whole zone trusts."
        )
    if contents.external is not None:
        name = _printable(describe.describe(contents.external).subject)
        said.append(
            f"The zone's CA was an external one: {name}\n"
            "Its key is not in this file. The zone's own keys are: whoever has this file and its\n"
            "passphrase can tell every device of the zone what to trust, and issue identities of\n"
            "mobile devices."
        )
    return "\n".join(said)


def _not_held(contents: Contents) -> str:
    """The lines about keys that are on another server, none if it holds all."""
    lines = "".join(
        f"Generation {number} was still trusted, and its key is NOT in this file.\n"
        for number in contents.not_held
    )
    return f"\n{lines}" if lines else ""


def _keytool(pairs: list[str]) -> str:
    """How keytool shows the first of the files with a key and its certificate, if there is one."""
    if not pairs:
        return ""
    return f"""
keytool opens the .p12 files with the same password:

    keytool -list -keystore {pairs[0]} -storepass "$K"
"""


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in text)
