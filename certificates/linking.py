"""
Which links an operation needs, and who signs them: the server that holds the key of the issuer.

New-with-old is signed by every CA that is not retired (RFC 4210, 4.4). Only the oldest one's link
is sent, but when that is retired the next oldest takes over, and nothing has to be signed then.
Keys that live on two servers make two requests, each for its server's queue.
"""

from datetime import datetime
from typing import NamedTuple

from cryptography import x509
from django.db import transaction
from django.db.models import Q, QuerySet

from agent.home import Home
from certificates import issuing, keys, links
from certificates.issuing import HasHold
from certificates.models import CertificateAuthority, LinkCertificate, LinkRequest, Operation
from certificates.models.certificate import Certificate
from certificates.models.operation import State
from pki import authority as authorities
from zcc.ground import claims


class Pair(NamedTuple):
    """`by` is to vouch for `certified`."""

    certified: CertificateAuthority
    by: CertificateAuthority


def wanted(operation: Operation, new_ca: CertificateAuthority) -> list[Pair]:
    """
    Return the links that carry devices over from the old CA to the new one, and back.

    A CA that has expired vouches for nobody.
    """
    if operation.is_immediate:
        return []
    signers = CertificateAuthority.objects.filter(zone=operation.zone).trusted().vouching()
    if new_ca.is_internal:
        back = [Pair(operation.old_ca, new_ca)] if operation.old_ca.is_internal else []
        return [*(Pair(new_ca, signer) for signer in signers), *back]
    if links.why_none(operation.zone, new_ca.x509(), intermediates_of(new_ca)):
        return []
    return [Pair(new_ca, signer) for signer in signers if _may(signer, new_ca)]


def _may(signer: CertificateAuthority, new_ca: CertificateAuthority) -> bool:
    try:
        authorities.check_may_certify(signer.x509(), new_ca.x509())
    except ValueError:
        return False
    return True


def intermediates_of(ca: CertificateAuthority) -> list[x509.Certificate]:
    """Return the intermediates that came with an external CA's root."""
    return x509.load_pem_x509_certificates(ca.intermediates.encode()) if ca.intermediates else []


def make(
    operation: Operation,
    new_ca: CertificateAuthority,
    *,
    home: Home,
    hold: HasHold,
    now: datetime,
) -> None:
    """Sign the links whose key is on the initiating server, and ask the others for theirs."""
    for pair in wanted(operation, new_ca):
        if LinkCertificate.objects.filter(certified=pair.certified, authority=pair.by).exists():
            continue
        if pair.by.server_id == operation.initiating_server_id:
            _keep(pair, _sign(pair, home=home, hold=hold, now=now))
        else:
            hold.check()
            LinkRequest.objects.get_or_create(
                certified=pair.certified, authority=pair.by, defaults={"operation": operation}
            )


def due(now: datetime) -> "QuerySet[LinkRequest]":
    """The links that are asked for, and that no worker is busy with."""
    free = Q(lease_until=None) | Q(lease_until__lt=now)
    rows = LinkRequest.objects.filter(free, Q(retry_at=None) | Q(retry_at__lte=now))
    return rows.filter(operation__state=State.PREPARING)


def answer(request: LinkRequest, *, home: Home, hold: HasHold, now: datetime) -> None:
    """On the server that holds the key: sign the claimed request. Raises KeyUnavailable."""
    pair = Pair(request.certified, request.authority)
    link = _sign(pair, home=home, hold=hold, now=now)
    with transaction.atomic():
        if claims.mine(request).delete()[0]:  # else the operation was cancelled meanwhile
            _keep(pair, link)


def _sign(pair: Pair, *, home: Home, hold: HasHold, now: datetime) -> x509.Certificate:
    zone = pair.by.zone
    key = keys.load_ca_key(home, zone, pair.by.guid)
    names = () if pair.certified.is_internal else links.permitted(zone)
    plan = authorities.plan_link(
        pair.certified.x509(), issuer=pair.by.x509(), permitted=names, now=now
    )
    return issuing.sign(plan, key, authority=pair.by, purpose="link", hold=hold, now=now)


def _keep(pair: Pair, link: x509.Certificate) -> None:
    LinkCertificate.objects.get_or_create(
        certified=pair.certified, authority=pair.by, defaults=Certificate.columns(link)
    )
