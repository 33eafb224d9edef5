"""The button `Change CA`: to an internal CA on any Primary Server, or to an external one."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certificates.actions import authorities
from certificates.actions.authorities import Refused, RemintWishes, Wishes
from certificates.models import CertificateAuthority, ChangeCADraft, Operation
from certificates.models.authority import Kind as CAKind
from certificates.models.authority import common_name
from certificates.models.certificate import Certificate
from certificates.models.operation import CsrMode, Kind, WithoutCertificate
from devices.models import Device, Zone
from pki import describe
from pki.trusted_root import TrustedRoot

# RFC 5280, appendix A: the upper bounds of what stands in a subject.
SUBJECT_LENGTHS = {"O": 64, "OU": 64, "L": 128, "ST": 128, "C": 2}
_COUNTRY = re.compile(r"[A-Z]{2}")


@dataclass(frozen=True, kw_only=True)
class InternalWishes(RemintWishes):
    """A new internal CA on `server`, which may be another than today's."""

    server: Device


@dataclass(frozen=True, kw_only=True)
class ExternalWishes(Wishes):
    """An external CA with this root; `key_type` is that of the servers' own keys."""

    trusted: TrustedRoot
    csr_mode: str
    csr_subject: dict[str, str] = field(default_factory=dict)
    without_certificate: str = WithoutCertificate.HOLD
    # Where the operation is begun: "the server on which the remint was initiated" (manual).
    console: Device


def change_to_internal(
    ca: CertificateAuthority, wishes: InternalWishes, *, by: Any, now: datetime
) -> Operation:
    """
    Start replacing the active CA by a new internal one on a Primary Server.

    The same idempotency key returns the operation it began. Raises OperationInProgress and Refused.
    """
    if (known := authorities.begun(wishes.idempotency_key)) is not None:
        return known
    server = wishes.server
    primaries = Device.objects.filter(zone=ca.zone).active().primary_servers()
    if not primaries.filter(pk=server.pk).exists():
        raise Refused(f"{server.name} is no Primary Server of this zone any more. Choose another.")
    authorities.check_new_generation(ca, wishes, now=now)
    return authorities.begin(ca, wishes, kind=Kind.CHANGE_CA, server=server, by=by, now=now)


def change_to_external(
    ca: CertificateAuthority, wishes: ExternalWishes, *, by: Any, now: datetime
) -> Operation:
    """
    Start replacing the active CA by an external one, or renewing the external one there is.

    The same idempotency key returns the operation it began. Raises OperationInProgress and Refused.
    """
    if (known := authorities.begun(wishes.idempotency_key)) is not None:
        return known
    root = wishes.trusted.root
    authorities.check_wishes(ca, wishes, now=now)
    _check_external(wishes)
    ends = root.not_valid_after_utc
    at = wishes.activate_at
    if ca.is_expired(now):
        reason = authorities.why_not_under(ends, now)  # Immediate
    else:
        reason = authorities.why_not_at(ca, at, years=0, now=now, root_expires=ends)
    if reason:
        raise Refused(reason)
    return authorities.begin(
        ca,
        wishes,
        kind=Kind.CHANGE_CA,
        server=wishes.console,
        by=by,
        now=now,
        also=partial(_keep_root, trusted=wishes.trusted, now=now),
        common_name=common_name(describe.describe(root).subject)[:64],
        years=0,
        csr_mode=wishes.csr_mode,
        csr_subject=wishes.csr_subject,
        without_certificate=wishes.without_certificate,
    )


def _check_external(wishes: ExternalWishes) -> None:
    if wishes.csr_mode not in CsrMode.values:
        raise Refused("Choose how the CSR of each server is generated.")
    if wishes.without_certificate not in WithoutCertificate.values:
        raise Refused("Choose what happens to a server without a certificate.")
    for name, value in wishes.csr_subject.items():
        if len(value) > SUBJECT_LENGTHS.get(name, 0):
            raise Refused(f"{name} has {len(value)} characters; that is too long for a subject.")
    if (country := wishes.csr_subject.get("C")) and not _COUNTRY.fullmatch(country):
        raise Refused("A country is written with two letters, such as NO.")


def _keep_root(operation: Operation, *, trusted: TrustedRoot, now: datetime) -> None:
    """The row of the future CA. Its update key stays where it is: nothing is signed by this CA."""
    last = operation.zone.authorities.order_by("generation").last()
    CertificateAuthority.objects.create(
        zone=operation.zone,
        guid=operation.guid,
        kind=CAKind.EXTERNAL,
        generation=last.generation + 1 if last else 1,
        server=operation.old_ca.server,
        intermediates=pem(trusted.intermediates),
        created_at=now,
        **Certificate.columns(trusted.root),
    )


def pem(certificates: tuple[x509.Certificate, ...]) -> str:
    """Return the certificates one after the other as PEM."""
    return "".join(one.public_bytes(Encoding.PEM).decode() for one in certificates)


def forget_drafts(zone: Zone, *, now: datetime) -> int:
    """Delete the drafts of dialogs whose browser went away; return how many there were."""
    left = ChangeCADraft.objects.forgotten(now).filter(zone=zone)
    return left.delete()[0] if left.exists() else 0
