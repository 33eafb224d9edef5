"""
Which link a server sends: desired state, by the table of the design (section 6).

A server shows a leaf of the CA A. Whoever trusts A needs no link; everybody else trusts another CA
of the zone, so the link that is sent vouches for A in the name of the oldest of those. In Overlap
that is new-with-old, after a rollback old-with-new, and at rest nothing. Only one is sent: two with
the same subject confuse OpenSSL and NSS, and whoever is up to date trusts the oldest, too.
"""

from cryptography.hazmat.primitives.serialization import Encoding

from certificates.models import CertificateAuthority, LinkCertificate, Operation
from certificates.models.operation import Policy, State

_BACK = (State.ROLLING_BACK, State.ROLLED_BACK)


def for_leaf_of(authority: CertificateAuthority) -> bytes | None:
    """Return the link, as PEM, for servers that show a certificate of this CA; None: no link."""
    strict = Operation.objects.filter(new_ca=authority, policy=Policy.STRICT)
    if strict.exclude(activated_at=None).exclude(state__in=_BACK).exists():
        return None
    oldest = oldest_beside(authority)
    return None if oldest is None else _newest(certified=authority.pk, by=oldest.pk)


def oldest_beside(authority: CertificateAuthority) -> CertificateAuthority | None:
    """Return the CA in whose name the link to `authority` is sent, None if no other is trusted."""
    trusted = CertificateAuthority.objects.filter(zone=authority.zone_id).trusted()
    return trusted.exclude(pk=authority.pk).first()


def carrier(operation: Operation) -> bytes | None:
    """New-with-old: sent after the switch, for those who know only the old CA. None in Strict."""
    if operation.is_strict or operation.new_ca is None:
        return None
    return for_leaf_of(operation.new_ca)


def bridge(operation: Operation) -> bytes | None:
    """Old-with-new: sent from arming until the switch, for those who know only the new CA."""
    if operation.is_strict:
        return None
    return _newest(certified=operation.old_ca_id, by=operation.new_ca_id)


def _newest(*, certified: int | None, by: int | None) -> bytes | None:
    links = LinkCertificate.objects.filter(certified=certified, authority=by, revoked_at=None)
    link = links.order_by("pk").last()
    return link.x509().public_bytes(Encoding.PEM) if link else None
