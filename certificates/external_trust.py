"""
CAs from outside the zone that this server trusts when *it* connects: PostgreSQL, Redis, webhooks.

They lie in its trust store under an alias of their own. The zone's anchors come and go with remints
and leave every other alias alone, so what was added here survives.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from agent.home import Home
from pki import chains, describe, names
from zcc.ground import outgoing

STORE = "security/trust-store"
ZONE_PREFIX = "zone-ca-"  # aliases of the zone's own CAs, which agent.home keeps
_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class CannotAdd(Exception):
    """The certificate is not added; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Added:
    """What came of it: under which alias, what stood there before, what is there now."""

    alias: str
    subject: str
    sha256: str
    is_new: bool
    was_kept: bool


def add(home: Home, file: Path, *, alias: str | None, override: bool) -> Added:
    """
    Add the CA in `file` to the trust store under `alias`, by default its common name.

    "If a certificate with same alias already exists, then this command does not overrides the
    existing certificate", unless `override` (-Z). Raises CannotAdd.
    """
    certificates = _read(file)
    chosen = check_alias(alias) if alias else _default_alias(certificates[0])
    path = f"{STORE}/{chosen}.pem"
    before = home.read_file(path)
    wanted = b"".join(one.public_bytes(Encoding.PEM) for one in certificates)
    was_kept = before is not None and before != wanted and not override
    if not was_kept:
        home.write_file(path, wanted)
        outgoing.write_bundle(home)
    return Added(
        alias=chosen,
        subject=names.display(certificates[0].subject),
        sha256=describe.fingerprint(certificates[0]),
        is_new=before != wanted and not was_kept,
        was_kept=was_kept,
    )


def check_alias(text: str) -> str:
    """Return the alias if it can be one. Raises CannotAdd."""
    alias = text.strip().removesuffix(".pem")
    if not _ALIAS.fullmatch(alias):
        raise CannotAdd(
            f"{text!r} cannot be an alias. Use up to 64 letters, digits, dots, hyphens and "
            "underscores, a letter or digit first."
        )
    if alias.startswith(ZONE_PREFIX):
        reason = f"Aliases that begin with {ZONE_PREFIX} are the zone's own."
        raise CannotAdd(f"{reason} Choose another.")
    return alias


def _read(file: Path) -> list[x509.Certificate]:
    try:
        certificates = chains.load(file.expanduser().read_bytes())
    except OSError as error:
        raise CannotAdd(f"{file} could not be read: {error.strerror}.") from error
    except ValueError as error:
        raise CannotAdd(f"{file}: {error}") from error
    for certificate in certificates:
        if not _is_ca(certificate):
            name = names.display(certificate.subject)
            raise CannotAdd(
                f'{file}: "{name}" is not a CA certificate. Give the certificate of the CA that '
                "issued it."
            )
    return certificates


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        extensions = certificate.extensions
        return extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        return False


def _default_alias(certificate: x509.Certificate) -> str:
    """Return the CA's common name as an alias, or the start of its fingerprint if it has none."""
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    text = str(found[0].value) if found else ""
    words = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:64].strip("-")
    is_ours = words.startswith(ZONE_PREFIX)
    return words if words and not is_ours else describe.fingerprint(certificate)[:16]
