"""
Issuing certificates in two steps: plan what will be signed, then sign exactly that.

The bytes to be signed are known before the CA key is used, so that they can be stored first and
every signature ever made is accounted for.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificateIssuerPrivateKeyTypes,
    CertificatePublicKeyTypes,
)
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pki import keys, names

BACKDATE = timedelta(hours=1)  # tolerates clients whose clock runs slow
MAX_DAYS = 825  # the longest that Apple's TLS clients accept of any CA


@dataclass(frozen=True)
class Plan:
    """A certificate that is complete but for its signature."""

    builder: x509.CertificateBuilder
    serial: int
    tbs: bytes
    hash_algorithm: SHA256 | SHA384
    issuer_spki: bytes


def make_plan(
    builder: x509.CertificateBuilder,
    issuer_key: CertificatePublicKeyTypes,
    *,
    serial: int | None,
) -> Plan:
    """
    Return the plan for a certificate that the key of `issuer_key` (public) will sign.

    `serial` is given to plan the same certificate again; otherwise it is random, of 159 bits
    (RFC 5280, 4.1.2.2, asks for at most 20 octets).
    """
    number = serial if serial is not None else x509.random_serial_number()
    complete = builder.serial_number(number)
    algorithm = _hash_for(issuer_key)
    draft = complete.sign(_throw_away_key(isinstance(issuer_key, rsa.RSAPublicKey)), algorithm)
    return Plan(complete, number, draft.tbs_certificate_bytes, algorithm, _spki(issuer_key))


def sign(plan: Plan, issuer_key: CertificateIssuerPrivateKeyTypes) -> x509.Certificate:
    """
    Return the planned certificate signed by `issuer_key`.

    Raises ValueError, before anything is signed, if this is not the key of the issuer; and if what
    was signed is not byte for byte what was planned.
    """
    if _spki(issuer_key.public_key()) != plan.issuer_spki:
        raise ValueError("This is not the key of the CA that the certificate was planned for.")
    certificate = plan.builder.sign(issuer_key, plan.hash_algorithm)
    if certificate.tbs_certificate_bytes != plan.tbs:
        raise ValueError("What was signed is not what was planned.")
    return certificate


def _spki(public_key: CertificatePublicKeyTypes) -> bytes:
    return public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@cache
def _throw_away_key(is_rsa: bool) -> keys.PrivateKey:
    """A key that signs drafts: only the kind of signature stands in the signed bytes."""
    return keys.generate("rsa-2048" if is_rsa else "ec-p256")


def _hash_for(issuer_key: object) -> SHA256 | SHA384:
    """SHA-256, with P-384 SHA-384: a hash no weaker than the curve (RFC 5480, 4)."""
    is_p384 = isinstance(issuer_key, ec.EllipticCurvePublicKey) and issuer_key.key_size == 384
    return SHA384() if is_p384 else SHA256()


def plan_server(
    public_key: keys.PublicKey,
    *,
    issuer: x509.Certificate,
    subject_dns: str,
    dns_names: list[str],
    ip_addresses: list[str],
    now: datetime,
    days: int = 397,
    serial: int | None = None,
) -> Plan:
    """
    Plan the TLS certificate of a server.

    It is valid from one hour before `now` (never before its issuer) until `days` days (1 to 825)
    after it, and never longer than its issuer. Its names are the given ones, each once, and
    nothing else.

    Raises ValueError with a sentence when a name, the key or the time does not fit.

    RFC 5280: key identifiers 4.2.1.1 and .2, key usage 4.2.1.3, alternative names 4.2.1.6, basic
    constraints 4.2.1.9, extended key usage 4.2.1.12.
    """
    if reason := keys.is_acceptable(public_key):
        raise ValueError(reason)
    starts, ends = _validity(issuer, now=now, days=days)
    builder = (
        x509.CertificateBuilder()
        .subject_name(names.server_subject(names.check_dns_name(subject_dns)))
        .issuer_name(issuer.subject)
        .public_key(public_key)
        .not_valid_before(starts)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_server_usage(public_key), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(alternative_names([subject_dns, *dns_names], ip_addresses), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(authority_key_identifier(issuer), critical=False)
    )
    return make_plan(builder, issuer.public_key(), serial=serial)


def plan_identity(
    public_key: keys.PublicKey,
    *,
    issuer: x509.Certificate,
    name: str,
    guid: str,
    now: datetime,
    days: int = 397,
) -> Plan:
    """
    Plan the certificate with which a mobile device says who it is: the TLS client kind.

    Its subject is the device's name, its alternative name the device's GUID. It is valid as that of
    a server is (`plan_server`). Raises ValueError with a sentence.

    RFC 5280: key usage 4.2.1.3, alternative names 4.2.1.6, extended key usage 4.2.1.12.
    """
    if reason := keys.is_acceptable(public_key):
        raise ValueError(reason)
    starts, ends = _validity(issuer, now=now, days=days)
    alternatives = x509.SubjectAlternativeName([names.permanent_identifier(guid)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(identity_subject(name))
        .issuer_name(issuer.subject)
        .public_key(public_key)
        .not_valid_before(starts)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(key_encipherment=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(alternatives, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(authority_key_identifier(issuer), critical=False)
    )
    return make_plan(builder, issuer.public_key(), serial=None)


def identity_subject(name: str) -> x509.Name:
    """Return the subject of a mobile device's identity."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def alternative_names(
    dns_names: Iterable[str], ip_addresses: Iterable[str]
) -> x509.SubjectAlternativeName:
    """Return the names and addresses, normalised and each once. Raises ValueError for the user."""
    hosts = dict.fromkeys(map(names.check_dns_name, dns_names))
    addresses = dict.fromkeys(map(names.check_ip, ip_addresses))
    found: list[x509.GeneralName] = [x509.DNSName(host) for host in hosts]
    found += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
    return x509.SubjectAlternativeName(found)


def whole_second(now: datetime) -> datetime:
    """
    Return `now` without its fraction of a second, which RFC 5280 (4.1.2.5) does not allow.

    Raises ValueError if it has no time zone.
    """
    if now.tzinfo is None:
        raise ValueError("now must have a time zone")
    return now.replace(microsecond=0)


def _validity(issuer: x509.Certificate, *, now: datetime, days: int) -> tuple[datetime, datetime]:
    if not 1 <= days <= MAX_DAYS:
        raise ValueError(f"days must be 1 to {MAX_DAYS}, not {days}")
    now = whole_second(now)
    if not issuer.not_valid_before_utc <= now < issuer.not_valid_after_utc:
        raise ValueError("The CA is not valid at this time, so it cannot sign.")
    starts = max(now - BACKDATE, issuer.not_valid_before_utc)
    return starts, min(now + timedelta(days=days), issuer.not_valid_after_utc)


def authority_key_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """
    Return the key identifier of the issuer, and nothing else of it (RFC 5280, 4.2.1.1).

    With issuer and serial number in it a link could not stand in for the root.
    """
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_identifier(issuer))


def key_identifier(ca: x509.Certificate) -> x509.SubjectKeyIdentifier:
    """Return the key identifier of a CA; if it has none, that of RFC 5280, 4.2.1.2, method 1."""
    try:
        return ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.SubjectKeyIdentifier.from_public_key(ca.public_key())


def _server_usage(public_key: keys.PublicKey) -> x509.KeyUsage:
    """Signing, and for RSA the key transport of TLS 1.2 (RFC 5280, 4.2.1.3)."""
    return _usage(key_encipherment=isinstance(public_key, rsa.RSAPublicKey))


def _usage(*, key_encipherment: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=key_encipherment,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
