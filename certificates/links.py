"""
Which link a server sends: desired state, by the table of the design (section 6).

A server shows a leaf of the CA A. Whoever trusts A needs no link; everybody else trusts another CA
of the zone, so the link that is sent vouches for A in the name of the oldest of those whose key is
ours. In Overlap that is new-with-old, after a rollback old-with-new, and at rest nothing. Only one
is sent: two with the same subject confuse OpenSSL and NSS, and whoever is up to date trusts the
oldest, too.

Nobody here can sign for an external CA; what one of ours says of it holds for the zone's names.
"""

from collections.abc import Iterable, Sequence

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certificates.models import CertificateAuthority, LinkCertificate, Operation
from certificates.models.operation import Policy, State
from devices.models import Device, Zone
from pki import authority as authorities
from pki import names

_BACK = (State.ROLLING_BACK, State.ROLLED_BACK)


def for_leaf_of(
    authority: CertificateAuthority, *, trusted: Iterable[CertificateAuthority] | None = None
) -> bytes | None:
    """
    Return the link, as PEM, for servers that show a certificate of this CA; None: no link.

    `trusted` are the CAs, oldest first, that can vouch in a state of the zone that is not now.
    """
    strict = Operation.objects.filter(new_ca=authority, policy=Policy.STRICT)
    if strict.exclude(activated_at=None).exclude(state__in=_BACK).exists():
        return None
    oldest = oldest_beside(authority, trusted)
    return None if oldest is None else _newest(certified=authority.pk, by=oldest.pk)


def oldest_beside(
    authority: CertificateAuthority, trusted: Iterable[CertificateAuthority] | None = None
) -> CertificateAuthority | None:
    """Return the CA in whose name the link to `authority` is sent, None if no other can vouch."""
    if trusted is None:
        trusted = CertificateAuthority.objects.filter(zone=authority.zone_id).trusted().vouching()
    return next((ca for ca in trusted if ca.pk != authority.pk), None)


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


def oldest_signer(zone: Zone) -> CertificateAuthority | None:
    """Return who vouches for a new CA: the oldest trusted one with a key, None without any."""
    return CertificateAuthority.objects.filter(zone=zone).trusted().vouching().first()


def why_none(
    zone: Zone, root: x509.Certificate, intermediates: Sequence[x509.Certificate]
) -> str | None:
    """Return why the zone's CA cannot vouch for this external CA, None if it can."""
    oldest = oldest_signer(zone)
    if oldest is None:
        return "The active CA is external: it cannot vouch for another."
    if reason := authorities.why_no_link(root, intermediates):
        return reason
    try:
        authorities.check_may_certify(oldest.x509(), root)
    except ValueError as error:
        return str(error)
    return None


def permitted(zone: Zone) -> list[str]:
    """
    Return the names for which an external CA is vouched for: those of the zone's servers.

    Of each DNS name also the domain above it, if that is more than a top-level domain: wildcard
    certificates are for all of it.
    """
    servers = Device.objects.filter(zone=zone).active().tls_servers().order_by("name")
    hosts: dict[str, None] = {}
    addresses: dict[str, None] = {}
    for server in servers:
        for name in [server.dns_name, *server.additional_dns_names]:
            hosts.update(dict.fromkeys(_domain(name)))
        addresses.update(dict.fromkeys(server.addresses))
    widest = [host for host in hosts if not _is_below(host, hosts)]
    return sorted(widest) + list(addresses)


def _domain(name: str) -> list[str]:
    try:
        host = names.check_dns_name(name)
    except ValueError:
        return []
    above = host.partition(".")[2]
    return [above] if "." in above else [host]


def _is_below(host: str, others: "dict[str, None]") -> bool:
    return any(host.endswith(f".{other}") for other in others)


def _newest(*, certified: int | None, by: int | None) -> bytes | None:
    links = LinkCertificate.objects.filter(certified=certified, authority=by, revoked_at=None)
    link = links.order_by("pk").last()
    return link.x509().public_bytes(Encoding.PEM) if link else None
