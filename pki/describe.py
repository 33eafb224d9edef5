"""What View Certificate shows. Odd certificates raise when a field is read: each is guarded."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.hashes import MD5, SHA1, SHA256, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from pki import keys, names

UNREADABLE = "unreadable"
_SIGNATURES = {
    "sha256WithRSAEncryption": "SHA-256 with RSA",
    "sha384WithRSAEncryption": "SHA-384 with RSA",
    "sha512WithRSAEncryption": "SHA-512 with RSA",
    "sha1WithRSAEncryption": "SHA-1 with RSA",
    "md5WithRSAEncryption": "MD5 with RSA",
    "ecdsa-with-SHA256": "SHA-256 with ECDSA",
    "ecdsa-with-SHA384": "SHA-384 with ECDSA",
    "ecdsa-with-SHA512": "SHA-512 with ECDSA",
}


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A certificate in words. Digests are upper case with colons; times are UTC."""

    subject: str
    issuer: str
    valid_from: datetime | None
    expires_at: datetime | None
    key_length: str
    md5: str
    sha1: str
    sha256: str
    serial: str
    signature_algorithm: str
    alternative_names: tuple[str, ...]


def describe(certificate: x509.Certificate) -> Facts:
    """Return the facts of a certificate; a field that cannot be read says so. Never raises."""
    return Facts(
        subject=_guarded(lambda: names.display(certificate.subject)),
        issuer=_guarded(lambda: names.display(certificate.issuer)),
        valid_from=_time(lambda: certificate.not_valid_before_utc),
        expires_at=_time(lambda: certificate.not_valid_after_utc),
        key_length=_guarded(lambda: keys.label(certificate.public_key())),
        md5=_digest(certificate, MD5()),
        sha1=_digest(certificate, SHA1()),
        sha256=_digest(certificate, SHA256()),
        serial=_guarded(lambda: _serial(certificate.serial_number)),
        signature_algorithm=_guarded(lambda: _signature(certificate)),
        alternative_names=_alternative_names(certificate),
    )


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate as it stands in rows and messages: lower case hex."""
    return certificate.fingerprint(SHA256()).hex()


def der(certificate: x509.Certificate) -> bytes:
    """Return the certificate in DER."""
    return certificate.public_bytes(Encoding.DER)


def with_colons(hexadecimal: str) -> str:
    """Return hexadecimal digits in pairs, upper case, with colons."""
    upper = hexadecimal.upper()
    return ":".join(upper[index : index + 2] for index in range(0, len(upper), 2))


def _serial(number: int) -> str:
    digits = f"{abs(number):x}"
    whole = digits if len(digits) % 2 == 0 else f"0{digits}"
    return f"{'-' if number < 0 else ''}{with_colons(whole)}"


def _digest(certificate: x509.Certificate, algorithm: HashAlgorithm) -> str:
    return _guarded(lambda: with_colons(certificate.fingerprint(algorithm).hex()))


def _signature(certificate: x509.Certificate) -> str:
    oid = certificate.signature_algorithm_oid
    return _SIGNATURES.get(oid._name, oid._name if "nknown" not in oid._name else oid.dotted_string)


def _guarded(read: Callable[[], str]) -> str:
    try:
        return read()
    except Exception:  # whatever a parser raises on an odd certificate, the page must stand
        return UNREADABLE


def _time(read: Callable[[], datetime]) -> datetime | None:
    try:
        return read()
    except Exception:  # as above
        return None


def _alternative_names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        return alternative_names(certificate.extensions)
    except Exception:  # as above
        return (UNREADABLE,)


def alternative_names(extensions: x509.Extensions) -> tuple[str, ...]:
    """Return the alternative names of a certificate or a request in words; none if it has none."""
    try:
        found = extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(_general_name(name) for name in found.value)


def _general_name(name: x509.GeneralName) -> str:
    if isinstance(name, x509.DNSName):
        return f"DNS: {names.printable(name.value)}"
    if isinstance(name, x509.IPAddress):
        return f"IP: {name.value}"
    if isinstance(name, x509.DirectoryName):
        return f"Directory name: {_guarded(lambda: names.display(name.value))}"
    if isinstance(name, x509.OtherName) and (guid := names.read_permanent_identifier(name)):
        return f"Permanent identifier: {guid}"
    return f"{type(name).__name__}: {_guarded(lambda: names.printable(str(name.value)))}"
