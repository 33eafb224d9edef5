"""
The identity of a mobile device: its key, the request for a certificate, and what came back.

Needs the cryptography package; it is not in the zipapp. The key never leaves the device's folder,
and a request that was sent is sent again with the same key until it is answered.
"""

from __future__ import annotations

import base64

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.hazmat.primitives.serialization import pkcs7 as cryptography_pkcs7
from cryptography.x509.oid import NameOID

from agent.client import NoAnswer
from agent.home import Home

FILE = "identity/identity.pem"  # the certificate and its key, as TLS takes them
NEXT_KEY = "identity/next-key.pem"


def is_here(home: Home) -> bool:
    """Return whether the device has an identity."""
    return home.read_file(FILE) is not None


def request(home: Home) -> bytes:
    """Return the request for the next identity, in base64: a fresh key, kept until it is there."""
    pem = home.read_file(NEXT_KEY)
    if pem is None:
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        home.write_secret(NEXT_KEY, pem)
    # The server knows the name: it is that of the link, or of the identity before this one.
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    der = builder.sign(_key(pem), SHA256()).public_bytes(Encoding.DER)
    return base64.b64encode(der)


def keep(home: Home, answer: bytes) -> None:
    """Put the certificate in an answer of EST to use. Raises NoAnswer if it is not for our key."""
    pem = home.read_file(NEXT_KEY)
    try:
        found = certificates(answer)
    except ValueError as error:
        raise NoAnswer("The server sent no certificate that can be read.") from error
    if pem is None or len(found) != 1 or found[0].public_key() != _key(pem).public_key():
        raise NoAnswer("The server sent a certificate that is not for this device's key.")
    home.write_secret(FILE, found[0].public_bytes(Encoding.PEM) + pem)
    home.remove_file(NEXT_KEY)


def certificates(answer: bytes) -> list[x509.Certificate]:
    """Return the certificates in PKCS #7, base64. Raises ValueError."""
    return cryptography_pkcs7.load_der_pkcs7_certificates(base64.b64decode(answer))


def roots(answer: bytes) -> list[bytes]:
    """Return, as PEM, the self-signed CAs in an answer of EST. Raises ValueError."""
    found = [one for one in certificates(answer) if one.issuer == one.subject]
    return [one.public_bytes(Encoding.PEM) for one in found]


def name(home: Home) -> str:
    """Return the device's name, as it stands in its identity."""
    certificate = x509.load_pem_x509_certificate(home.read_file(FILE) or b"")
    return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def _key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("The key of a mobile is an EC key.")
    return key
