"""
Which link a server sends: desired state, by the table of the design (section 6).

A server shows a leaf of the CA A. Whoever trusts A needs no link; everybody else trusts another CA
of the zone, so the link that is sent vouches for A in the name of the oldest of those. In Overlap
that is new-with-old, after a rollback old-with-new, and at rest nothing.
"""

from cryptography.hazmat.primitives.serialization import Encoding

from certificates.models import CertificateAuthority, LinkCertificate, Operation


def for_leaf_of(authority: CertificateAuthority) -> bytes | None:
    """Return the link, as PEM, for servers that show a certificate of this CA; None: no link."""
    trusted = CertificateAuthority.objects.filter(zone=authority.zone_id).trusted()
    oldest = trusted.exclude(pk=authority.pk).first()
    return None if oldest is None else _newest(certified=authority.pk, by=oldest.pk)


def carrier(operation: Operation) -> bytes | None:
    """New-with-old: sent after the switch, for those who know only the old CA. None in Strict."""
    return None if operation.is_strict else _newest(certified=operation.new_ca_id, by=None)


def bridge(operation: Operation) -> bytes | None:
    """Old-with-new: sent from arming until the switch, for those who know only the new CA."""
    if operation.is_strict:
        return None
    return _newest(certified=operation.old_ca_id, by=operation.new_ca_id)


def _newest(*, certified: int | None, by: int | None) -> bytes | None:
    links = LinkCertificate.objects.filter(certified=certified, revoked_at=None)
    link = (links.filter(authority=by) if by else links).order_by("pk").last()
    return link.x509().public_bytes(Encoding.PEM) if link else None
