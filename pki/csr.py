"""Certificate signing requests (PKCS #10, RFC 2986)."""

import unicodedata
from collections.abc import Mapping

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from pki import describe, issue, keys, names

MAX_CSR = 64 * 1024  # bytes
# Each field of a subject as the manual calls it, and how much of it fits (RFC 5280, appendix A).
FIELDS = {
    "O": ("Organization", 64),
    "OU": ("Organization Unit", 64),
    "L": ("City/Locality", 128),
    "ST": ("State/Province", 128),
    "C": ("Country/region", 2),
}
# In a subject the widest comes first (RFC 4514, 2.1, reads it backwards).
_ORDER = {
    "C": NameOID.COUNTRY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "L": NameOID.LOCALITY_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
}


def check_field(field: str, text: str) -> str:
    """
    Return one of FIELDS as it will stand in the subject (trimmed, NFC), empty if there is nothing.

    Raises ValueError with a sentence for the user: too long, characters that cannot be seen, or a
    country that is not two letters (ISO 3166-1).
    """
    name, most = FIELDS[field]
    value = unicodedata.normalize("NFC", text).strip()
    if field == "C":
        value = value.upper()
        if value and not (len(value) == 2 and value.isascii() and value.isalpha()):
            raise ValueError("A country or region has two letters, such as NO.")
    if len(value) > most:
        raise ValueError(f"{name} has {len(value)} characters; at most {most} fit. Shorten it.")
    if not value.isprintable():
        raise ValueError(f"{name} contains a character that cannot be seen. Remove it.")
    return value


def build(
    key: keys.PrivateKey,
    *,
    subject_dns: str,
    dns_names: list[str],
    ip_addresses: list[str],
    fields: Mapping[str, str] | None = None,
) -> bytes:
    """
    Return a request in DER for a server's certificate, signed by its own key.

    Its names are normalised; `fields` (keys of FIELDS) stand in the subject beside the DNS name.
    Raises ValueError with a sentence for a name or a field that is none.
    """
    subject = _subject(names.check_dns_name(subject_dns), fields or {})
    alternatives = issue.alternative_names([subject_dns, *dns_names], ip_addresses)
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    request = builder.add_extension(alternatives, critical=False)
    return request.sign(key, SHA256()).public_bytes(Encoding.DER)


def _subject(dns_name: str, fields: Mapping[str, str]) -> x509.Name:
    wide = [
        x509.NameAttribute(oid, value)
        for field, oid in _ORDER.items()
        if (value := check_field(field, fields.get(field, "")))
    ]
    return x509.Name([*wide, *names.server_subject(dns_name)])


def check(der: bytes) -> keys.PublicKey:
    """
    Return the public key of a request whose signature proves that its sender holds the key.

    Nothing else is taken from a request: names come from the server's record. Raises ValueError
    with a sentence: too large, not a request, not signed by its key, a key that is too weak.
    """
    if len(der) > MAX_CSR:
        raise ValueError("The request is larger than 64 KiB.")
    try:
        request = x509.load_der_x509_csr(der)
        public, is_proven = request.public_key(), request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("This is not a certificate signing request in DER form.") from error
    if not isinstance(public, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise ValueError(f"Its key is {keys.label(public)}; use RSA, EC P-256 or EC P-384.")
    if not is_proven:
        raise ValueError("The request is not signed by its own key.")
    if reason := keys.is_acceptable(public):
        raise ValueError(reason)
    return public


def alternative_names(der: bytes) -> tuple[str, ...]:
    """Return the names a checked request asks for, as View Certificate writes them."""
    return describe.alternative_names(x509.load_der_x509_csr(der).extensions)


def to_pem(der: bytes) -> bytes:
    """Return a checked request in PEM, as it is handed to a CA."""
    return x509.load_der_x509_csr(der).public_bytes(Encoding.PEM)
