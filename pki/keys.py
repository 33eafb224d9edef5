"""Private keys: the kinds that are offered, and what is acceptable of others."""

import re
from collections.abc import Callable
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
)

PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

KEY_TYPES = {
    "rsa-2048": "RSA 2048",
    "rsa-3072": "RSA 3072",
    "rsa-4096": "RSA 4096",
    "ec-p256": "EC P-256",
    "ec-p384": "EC P-384",
}
DEFAULT = "rsa-3072"
LEAST_RSA_BITS, MOST_RSA_BITS = 2048, 8192
MAX_KEY_FILE = 64 * 1024  # bytes

_CURVES: dict[str, ec.EllipticCurve] = {"ec-p256": ec.SECP256R1(), "ec-p384": ec.SECP384R1()}
_CURVE_LABELS = {"secp256r1": "EC P-256", "secp384r1": "EC P-384", "secp521r1": "EC P-521"}


def generate(key_type: str) -> PrivateKey:
    """Return a new key of one of KEY_TYPES. Raises ValueError for any other kind."""
    if key_type in _CURVES:
        return ec.generate_private_key(_CURVES[key_type])
    if key_type not in KEY_TYPES:
        raise ValueError(f"There is no key type {key_type}.")
    return rsa.generate_private_key(public_exponent=65537, key_size=int(key_type[-4:]))


def key_type_of(public_key: object) -> str | None:
    """Return which of KEY_TYPES the public key is of, None if of none."""
    name = label(public_key)
    return next((key_type for key_type, text in KEY_TYPES.items() if text == name), None)


def label(public_key: object) -> str:
    """Return the kind and length of a public key in words, such as `RSA 3072`."""
    if isinstance(public_key, rsa.RSAPublicKey):
        return f"RSA {public_key.key_size}"
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        return _CURVE_LABELS.get(public_key.curve.name, f"EC {public_key.curve.name}")
    return re.sub("(Public|Private)Key$", "", type(public_key).__name__)


def is_acceptable(public_key: object) -> str | None:
    """Return why a server or CA may not use this key, None if it may."""
    if isinstance(public_key, rsa.RSAPublicKey):
        if public_key.key_size < LEAST_RSA_BITS:
            return (
                f"Its key is RSA {public_key.key_size}; "
                f"the least that is accepted is {LEAST_RSA_BITS}. Use one with a larger key."
            )
        if public_key.key_size > MOST_RSA_BITS:
            return (
                f"Its key is RSA {public_key.key_size}; the most is {MOST_RSA_BITS}. "
                "Use one with a smaller key."
            )
        return None
    if isinstance(public_key, ec.EllipticCurvePublicKey) and key_type_of(public_key):
        return None
    return f"Its key is {label(public_key)}; use RSA, EC P-256 or EC P-384."


def to_der(key: PrivateKey) -> bytes:
    """Return the key as PKCS #8 (RFC 5958) in DER, not encrypted."""
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def from_der(der: bytes) -> PrivateKey:
    """Read a key from PKCS #8 in DER. Raises ValueError with a sentence."""
    return _read(load_der_private_key, der)


def to_pem(key: PrivateKey) -> bytes:
    """Return the key as PKCS #8 in PEM, not encrypted."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def from_pem(pem: bytes) -> PrivateKey:
    """Read a key from PEM. Raises ValueError with a sentence."""
    return _read(load_pem_private_key, pem)


def load(data: bytes) -> PrivateKey:
    """
    Read a key from a file, PEM or DER by content.

    Raises ValueError with a sentence for the user: too large, encrypted, not a key, of a kind that
    servers cannot use.
    """
    if len(data) > MAX_KEY_FILE:
        raise ValueError("This is too large for a private key. Choose the key file.")
    return from_pem(data) if b"-----BEGIN" in data else from_der(data)


def _read(loader: Callable[[bytes, None], object], data: bytes) -> PrivateKey:
    try:
        key = loader(data, None)
    except TypeError as error:  # it would need a password
        raise ValueError("The key is encrypted. Store it without a password first.") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("This is not a private key in PEM or DER form.") from error
    if isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        return key
    raise ValueError(f"Its key is {label(key)}; use RSA, EC P-256 or EC P-384.")


def spki(
    owner: PrivateKey | PublicKey | x509.Certificate | x509.CertificateSigningRequest,
) -> bytes:
    """Return the SubjectPublicKeyInfo (RFC 5280, 4.1.2.7) of a key, certificate or CSR in DER."""
    key = owner if isinstance(owner, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) else None
    public = key or owner.public_key()  # type: ignore[union-attr]
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def spki_of(certificate: x509.Certificate) -> bytes | None:
    """Return the SubjectPublicKeyInfo of a certificate, None if its key cannot be read."""
    try:
        return certificate.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None


def same_key(
    one: PrivateKey | x509.Certificate | x509.CertificateSigningRequest,
    other: PrivateKey | x509.Certificate | x509.CertificateSigningRequest,
) -> bool:
    """Say whether a key, certificate or CSR has the same public key as another."""
    return spki(one) == spki(other)
