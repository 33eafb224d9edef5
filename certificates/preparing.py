"""
What the new CA server does when an operation begins: key, certificate, links, content.

Each part is found again by the operation's id if the worker dies after it, so that there is one
key, one CA and one content item whatever happens in between. The CA's id is the operation's.
"""

from datetime import datetime
from functools import partial

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from django.db import transaction

from agent.faults import fault_point
from agent.home import Home
from certificates import issuing, keys, package
from certificates.issuing import HasHold
from certificates.models import CertificateAuthority, LinkCertificate, Operation
from certificates.models.authority import Kind
from certificates.models.certificate import Certificate
from pki import authority as authorities
from pki import keys as pki_keys
from pki import names
from systemupdates import actions as updates
from zcc.ground import claims


def prepare(
    operation: Operation, *, home: Home, hold: HasHold, agent_pyz: bytes, now: datetime
) -> None:
    """Make everything the operation needs and offer it. Raises KeyUnavailable, OSError."""
    keys.load_update_key(home, operation.zone)  # nothing is sealed under a wrong encryption key
    make = partial(_make_key, operation.key_type, hold=hold)
    key = keys.make_ca_key(home, operation.zone, operation.guid, make)
    fault_point("ca-key-made")
    new_ca = _authority(operation, hold=hold, now=now)
    fault_point("ca-row-made")
    subject = names.ca_subject(operation.common_name, serial_number=f"G{new_ca.generation}")
    issuing.sign_root(new_ca, key, subject=subject, years=operation.years, hold=hold, now=now)
    new_ca.refresh_from_db()
    make_links(operation, new_ca, key, home=home, hold=hold, now=now)
    fault_point("links-made")
    content = package.build(operation, new_ca, agent_pyz=agent_pyz)
    sha256 = package.store(home, content)
    fault_point("content-stored")
    hold.check()
    with transaction.atomic():
        if claims.release(operation):
            updates.start_replication(operation.update, sha256=sha256, size=len(content), now=now)
            operation.mark_prepared(new_ca=new_ca, at=now)


def _make_key(key_type: str, *, hold: HasHold) -> pki_keys.PrivateKey:
    """Make the key; not for an operation that was cancelled while this worker stood still."""
    key = pki_keys.generate(key_type)
    hold.check()
    return key


@transaction.atomic
def _authority(operation: Operation, *, hold: HasHold, now: datetime) -> CertificateAuthority:
    """The row of the future CA, made once; `hold` keeps the operation until it is there."""
    hold.check()
    last = CertificateAuthority.objects.filter(zone=operation.zone).order_by("generation").last()
    row, _ = CertificateAuthority.objects.get_or_create(
        guid=operation.guid,
        defaults={
            "zone": operation.zone,
            "kind": Kind.INTERNAL,
            "generation": last.generation + 1 if last else 1,
            "server": operation.initiating_server,
            "created_at": now,
        },
    )
    return row


def make_links(
    operation: Operation,
    new_ca: CertificateAuthority,
    new_key: CertificateIssuerPrivateKeyTypes,
    *,
    home: Home,
    hold: HasHold,
    now: datetime,
) -> None:
    """
    Let the old and the new CA vouch for each other (RFC 4210, 4.4).

    New-with-old is signed by every CA that is not retired. Only the oldest one's link is sent, but
    when that is retired the next oldest takes over, and nothing has to be signed in that moment.
    """
    for old_ca in CertificateAuthority.objects.filter(zone=operation.zone).trusted():
        if old_ca.is_internal and not old_ca.is_expired(now):
            key = keys.load_ca_key(home, operation.zone, old_ca.guid)
            _link(new_ca, by=old_ca, key=key, hold=hold, now=now)
    _link(operation.old_ca, by=new_ca, key=new_key, hold=hold, now=now)


def _link(
    certified: CertificateAuthority,
    *,
    by: CertificateAuthority,
    key: CertificateIssuerPrivateKeyTypes,
    hold: HasHold,
    now: datetime,
) -> None:
    if LinkCertificate.objects.filter(certified=certified, authority=by).exists():
        return
    plan = authorities.plan_link(certified.x509(), issuer=by.x509(), now=now)
    link: x509.Certificate = issuing.sign(
        plan, key, authority=by, purpose="link", hold=hold, now=now
    )
    LinkCertificate.objects.get_or_create(
        certified=certified, authority=by, defaults=Certificate.columns(link)
    )
