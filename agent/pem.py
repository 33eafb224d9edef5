"""PEM as text: cut apart, put together, fingerprints. What is inside is OpenSSL's business."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import ssl
import textwrap
from collections.abc import Iterable
from typing import Any

_CERTIFICATE = re.compile(
    rb"-----BEGIN CERTIFICATE-----\s*([A-Za-z0-9+/=\s]+?)-----END CERTIFICATE-----"
)


def split(pem: bytes) -> list[bytes]:
    """
    Return each certificate in `pem`, in order, as PEM of its own with lines of 64 characters.

    Raises ValueError if one of them is not Base64.
    """
    return [_wrap("CERTIFICATE", _decode(body)) for body in _CERTIFICATE.findall(pem)]


def join(certificates: Iterable[bytes]) -> bytes:
    """Return the certificates in one PEM file."""
    return b"".join(certificates)


def key(der: bytes) -> bytes:
    """Return the PKCS #8 private key `der` as PEM."""
    return _wrap("PRIVATE KEY", der)


def fingerprint(certificate: bytes) -> str:
    """Return the SHA-256 of the first certificate in `certificate` (PEM), lower case hex."""
    found = _CERTIFICATE.search(certificate)
    if found is None:
        raise ValueError("There is no certificate in it.")
    return hashlib.sha256(_decode(found.group(1))).hexdigest()


def is_root(certificate: bytes) -> bool:
    """Return whether `certificate` (PEM) is a CA certificate issued to itself."""
    return any(ca["subject"] == ca["issuer"] for ca in _as_ca(certificate))


def subject(certificate: bytes) -> Any:
    """Return the subject of a CA certificate, written as `getpeercert` writes an issuer."""
    found = _as_ca(certificate)
    return found[0]["subject"] if found else ()


def _as_ca(certificate: bytes) -> list[dict[str, Any]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=certificate.decode("ascii"))
    except ssl.SSLError as error:
        raise ValueError(f"It is not a certificate: {error.reason or error}.") from error
    return context.get_ca_certs()


def _decode(body: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error as error:
        raise ValueError("A certificate in it is damaged.") from error


def _wrap(label: str, der: bytes) -> bytes:
    lines = textwrap.wrap(base64.b64encode(der).decode("ascii"), 64)
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode()
