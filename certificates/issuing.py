"""
Signing with a CA key: the serial number and the to-be-signed bytes are stored first.

So whatever a CA has signed is found in the database, also when the worker died right after signing.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding

from agent.faults import fault_point
from certificates.models import CertificateAuthority, IdentityCA, IssuedCertificate
from certificates.models.certificate import Certificate
from devices.models import Device
from pki import authority as authorities
from pki import csr, issue, names
from pki.issue import Plan

# MDM clients want two years or less; browsers stop at 398 days.
SERVER_CERTIFICATE_LIFETIME = timedelta(days=397)
IDENTITY_LIFETIME = timedelta(days=397)


class HasHold(Protocol):
    """What tells a worker that its claim still stands (zcc.ground.claims.Hold)."""

    def check(self) -> None: ...


def sign(
    plan: Plan,
    key: CertificateIssuerPrivateKeyTypes,
    *,
    authority: CertificateAuthority,
    identity_ca: IdentityCA | None = None,
    purpose: str,
    hold: HasHold,
    now: datetime,
) -> x509.Certificate:
    """Store what will be signed, make sure the work is still ours, sign, store the signature."""
    row = IssuedCertificate.objects.create(
        authority=authority,
        identity_ca=identity_ca,
        serial=f"{plan.serial:040x}",
        purpose=purpose,
        tbs=plan.tbs,
        planned_at=now,
    )
    fault_point("planned")
    hold.check()
    certificate = issue.sign(plan, key)
    fault_point("signed")
    IssuedCertificate.objects.filter(pk=row.pk).update(
        der=certificate.public_bytes(Encoding.DER),
        signed_at=now,
        expires_at=certificate.not_valid_after_utc,
    )
    return certificate


def sign_root(
    authority: CertificateAuthority,
    key: CertificateIssuerPrivateKeyTypes,
    *,
    subject: x509.Name,
    years: int,
    hold: HasHold,
    now: datetime,
) -> x509.Certificate:
    """Sign the CA's own certificate and store it in its row; once."""
    if authority.der is None:
        plan = authorities.plan_root(subject, key, now=now, years=years)
        root = sign(plan, key, authority=authority, purpose="ca", hold=hold, now=now)
        columns = Certificate.columns(root)
        CertificateAuthority.objects.filter(pk=authority.pk, der=None).update(**columns)
        authority.refresh_from_db()
    return authority.x509()


def sign_server(
    authority: CertificateAuthority,
    key: CertificateIssuerPrivateKeyTypes,
    *,
    request_der: bytes,
    device: Device,
    include_additional: bool,
    hold: HasHold,
    now: datetime,
) -> x509.Certificate:
    """
    Sign a server's certificate: the key is the request's, the names are the server's record's.

    Raises ValueError with a sentence when the request or a name is not acceptable.
    """
    plan = issue.plan_server(
        csr.check(request_der),
        issuer=authority.x509(),
        subject_dns=device.dns_name,
        dns_names=dns_names(device, include_additional=include_additional),
        ip_addresses=list(device.addresses),
        now=now,
        days=SERVER_CERTIFICATE_LIFETIME.days,
    )
    return sign(plan, key, authority=authority, purpose="server", hold=hold, now=now)


def sign_identity_root(
    identity_ca: IdentityCA,
    key: CertificateIssuerPrivateKeyTypes,
    *,
    hold: HasHold,
    now: datetime,
) -> x509.Certificate:
    """Sign an identity CA's own certificate."""
    authority = identity_ca.authority
    subject = names.identity_ca_subject(authority.zone.name, serial_number=f"I{identity_ca.pk}")
    plan = authorities.plan_identity_root(subject, key, now=now, years=authorities.MAX_YEARS)
    return sign(
        plan, key, authority=authority, identity_ca=identity_ca, purpose="ca", hold=hold, now=now
    )


def sign_identity(
    signer: CertificateAuthority | IdentityCA,
    key: CertificateIssuerPrivateKeyTypes,
    *,
    request_der: bytes,
    device: Device,
    hold: HasHold,
    now: datetime,
) -> x509.Certificate:
    """Sign a mobile's identity: the key is the request's, the name is the mobile's record's."""
    plan = issue.plan_identity(
        csr.check(request_der),
        issuer=signer.x509(),
        name=device.name,
        guid=str(device.guid),
        now=now,
        days=IDENTITY_LIFETIME.days,
    )
    own = signer if isinstance(signer, IdentityCA) else None
    authority = signer.authority if isinstance(signer, IdentityCA) else signer
    return sign(
        plan, key, authority=authority, identity_ca=own, purpose="identity", hold=hold, now=now
    )


def dns_names(device: Device, *, include_additional: bool) -> list[str]:
    """Return the DNS names for a server's certificate, its own first, each once."""
    extra: Iterable[str] = device.additional_dns_names if include_additional else []
    return list(dict.fromkeys([device.dns_name, *extra]))
