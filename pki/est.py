"""What travels in EST (RFC 7030): requests in base64, certificates as PKCS #7 without a signer."""

import base64
import binascii
import hashlib
from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, pkcs7
from cryptography.x509.oid import NameOID

from pki import csr, issue, names

MAX_REQUEST = 2 * csr.MAX_CSR  # in base64 it is a third longer, and has line ends


def read_request(body: bytes) -> bytes:
    """
    Return the DER of a request that came as base64 (RFC 7030, 4.2.1; RFC 8951, 3.1).

    White space is passed over. Raises ValueError with a sentence; whether it is a request at all
    says `pki.csr.check`.
    """
    if len(body) > MAX_REQUEST:
        raise ValueError("The request is larger than 64 KiB.")
    if body.lstrip().startswith(b"-----BEGIN"):
        raise ValueError("The request is in PEM. Send the base64 alone, without its two end lines.")
    try:
        der = base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error as error:
        raise ValueError("The request is not base64.") from error
    if not der:
        raise ValueError("The request is empty.")
    return der


def check_names(der: bytes, *, name: str, guid: str) -> None:
    """
    Raise ValueError if a checked request asks for another identity than that of `name` and `guid`.

    It may leave its subject empty: names come from the record of the mobile.
    """
    request = x509.load_der_x509_csr(der)
    try:
        subject = request.subject
        asked = _alternative_names(request)
    except ValueError as error:
        raise ValueError("The names in the request cannot be read.") from error
    if len(subject) and subject != issue.identity_subject(name):
        found = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        shown = str(found[0].value) if len(found) == 1 else subject.rfc4514_string()
        raise ValueError(
            f"The request is for “{shown}”, and this is {name}. "
            f"Ask with CN={name} alone, or with an empty subject."
        )
    if asked - {names.permanent_identifier(guid)}:
        raise ValueError(f"The request asks for alternative names that are not those of {name}.")


def _alternative_names(request: x509.CertificateSigningRequest) -> set[x509.GeneralName]:
    try:
        return set(request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return set()


def key_hash(der: bytes) -> str:
    """Return the SHA-256 of the public key of a checked request, in lower case hex."""
    public = x509.load_der_x509_csr(der).public_key()
    spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


def certs_only(certificates: Iterable[x509.Certificate]) -> bytes:
    """
    Return the certificates as "certs-only" PKCS #7 in base64 (RFC 7030, 4.1.3 and 4.2.3).

    In one line (RFC 8951, 3.1 with RFC 4648, 3.1): strongSwan's client reads no line ends.
    """
    return base64.b64encode(pkcs7.serialize_certificates(list(certificates), Encoding.DER))
