"""CA certificates: self-signed roots, and the links by which one CA vouches for another."""

import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID

from pki import names
from pki.issue import (
    BACKDATE,
    Plan,
    authority_key_identifier,
    key_identifier,
    make_plan,
    whole_second,
)

MIN_YEARS, MAX_YEARS = 1, 10  # "Specify a value between 1 to 10." (manual)


def plan_root(
    subject: x509.Name,
    key: CertificateIssuerPrivateKeyTypes,
    *,
    now: datetime,
    years: int,
    serial: int | None = None,
) -> Plan:
    """
    Plan a CA certificate for `key`, to be signed by `key`.

    It is valid from one hour before `now` until `years` * 365 days after it, to the second and in
    UTC. It has no path length: the link to the next generation is signed by it.

    Raises ValueError if `years` is not within 1 to 10, or if `now` has no time zone.

    RFC 5280: validity 4.1.2.5, key identifier 4.2.1.2, key usage 4.2.1.3, constraints 4.2.1.9.
    """
    return make_plan(_self_signed(subject, key, now, years), key.public_key(), serial=serial)


def plan_identity_root(
    subject: x509.Name, key: CertificateIssuerPrivateKeyTypes, *, now: datetime, years: int
) -> Plan:
    """
    Plan the self-signed certificate of a CA that signs identities of mobile devices alone.

    It is valid as a root is (`plan_root`). It certifies no CA and no server: path length 0, and the
    extended key usage clientAuth, by which OpenSSL, Go, NSS and others judge what stands below it.

    Raises ValueError if `years` is not within 1 to 10, or if `now` has no time zone.

    RFC 5280: constraints 4.2.1.9, extended key usage 4.2.1.12.
    """
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    builder = _self_signed(subject, key, now, years, path_length=0)
    return make_plan(builder.add_extension(usage, critical=False), key.public_key(), serial=None)


def _self_signed(
    subject: x509.Name,
    key: CertificateIssuerPrivateKeyTypes,
    now: datetime,
    years: int,
    *,
    path_length: int | None = None,
) -> x509.CertificateBuilder:
    if not MIN_YEARS <= years <= MAX_YEARS:
        raise ValueError(f"years must be {MIN_YEARS} to {MAX_YEARS}, not {years}")
    now = whole_second(now)
    public = key.public_key()
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    return (
        _ca_builder(subject, identifier, path_length=path_length)
        .issuer_name(subject)
        .public_key(public)
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + timedelta(days=365 * years))
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
    )


def plan_link(
    certified: x509.Certificate,
    *,
    issuer: x509.Certificate,
    now: datetime,
    permitted: Sequence[str] = (),
    serial: int | None = None,
) -> Plan:
    """
    Plan the certificate by which the CA `issuer` vouches for the CA `certified`.

    It has the subject, public key and key identifier of `certified`, so that it stands in for its
    self-signed certificate wherever `issuer` is trusted. It is valid while both are. With
    `permitted`, DNS names (with all below them) and addresses, it speaks for servers of these names
    alone: so much is vouched for a CA that is not ours.

    Raises ValueError if the two are never valid together after `now`, if one of them is no CA, if
    `issuer` has a path length of 0 and so may certify no CA, or if `now` has no time zone.

    RFC 4210, 4.4 (new-with-old and old-with-new); RFC 5280, 4.2.1.9 (path length) and 4.2.1.10
    (name constraints).
    """
    now = whole_second(now)
    check_may_certify(issuer, certified)
    starts = max(now - BACKDATE, certified.not_valid_before_utc, issuer.not_valid_before_utc)
    ends = min(certified.not_valid_after_utc, issuer.not_valid_after_utc)
    if ends <= now:
        raise ValueError("One of the two CAs has expired, so neither can vouch for the other.")
    identifier = key_identifier(certified)
    public = certified.public_key()
    if not isinstance(public, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise ValueError("The CA has a key of a kind that cannot be certified.")
    builder = (
        _ca_builder(certified.subject, identifier)
        .issuer_name(issuer.subject)
        .public_key(public)
        .not_valid_before(starts)
        .not_valid_after(ends)
        .add_extension(authority_key_identifier(issuer), critical=False)
    )
    if permitted:
        builder = builder.add_extension(_name_constraints(permitted), critical=True)
    return make_plan(builder, issuer.public_key(), serial=serial)


def _name_constraints(permitted: Sequence[str]) -> x509.NameConstraints:
    """
    Permit these names and addresses, and no others of their kind.

    Nothing is excluded: Java (17) breaks off when it compares an IPv4 address with an excluded
    range of IPv6.
    """
    subtrees: list[x509.GeneralName] = [
        x509.IPAddress(ipaddress.ip_network(name)) if names.is_ip(name) else x509.DNSName(name)
        for name in permitted
    ]
    return x509.NameConstraints(subtrees, None)


def why_no_link(root: x509.Certificate, intermediates: Sequence[x509.Certificate]) -> str | None:
    """
    Return why no link can stand in for `root` under these intermediates, None if one can.

    A certificate that names its issuer by issuer and serial number, or by another key identifier
    than the root's, fits the root's own certificate and no other (RFC 5280, 4.2.1.1).
    """
    identifier = key_identifier(root).digest
    for certificate in intermediates:
        try:
            named = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
        except x509.ExtensionNotFound:
            continue
        who = names.display(certificate.subject)
        if named.value.authority_cert_serial_number is not None:
            return f"{who} names its issuer by serial number, which only that one certificate has."
        is_next = certificate.issuer == root.subject
        if is_next and named.value.key_identifier not in (None, identifier):
            return f"{who} names its issuer by another key identifier than the root has."
    return None


def check_may_certify(issuer: x509.Certificate, certified: x509.Certificate) -> None:
    """Raise ValueError with a sentence if one of them is no CA, or `issuer` may certify none."""
    for certificate in (issuer, certified):
        if not _constraints(certificate).ca:
            raise ValueError("One of the two is not a CA, so there can be no link between them.")
    if _constraints(issuer).path_length == 0:
        raise ValueError("This CA may certify no other CA: its certificate has a path length of 0.")


def _constraints(certificate: x509.Certificate) -> x509.BasicConstraints:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return x509.BasicConstraints(ca=False, path_length=None)


def _ca_builder(
    subject: x509.Name, identifier: x509.SubjectKeyIdentifier, *, path_length: int | None = None
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_CA_USAGE, critical=True)
        .add_extension(identifier, critical=False)
    )


_CA_USAGE = x509.KeyUsage(
    digital_signature=False,
    key_encipherment=False,
    content_commitment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
