"""
`Remint Server Certificate`: a fresh certificate of the same internal CA, outside any operation.

The row of the new certificate says what is due: without a request the server makes a key and asks;
then the CA's server signs; then the server puts it to use. A Satellite does its part when it
refreshes. At two thirds of a certificate's life it is begun by itself.
"""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from agent.home import Home, HomeError
from certificates import issuing, server_steps, trust, wire
from certificates.actions import server_certificates
from certificates.models import CertificateAuthority, Operation, ServerCertificate
from certificates.models.authority import State as CAState
from certificates.models.server_certificate import State
from devices.models import Device, Zone
from pki import csr, issue, keys
from zcc.ground import claims, clock

RETRY_AFTER = timedelta(seconds=5)

logger = logging.getLogger(__name__)


class NotYet(Exception):
    """The step could not be done now; the message is for the user."""


def due(now: datetime) -> "QuerySet[ServerCertificate]":
    """Rows in which the server's own part is due: to ask, or to put to use."""
    free = Q(lease_until=None) | Q(lease_until__lt=now)
    waiting = Q(retry_at=None) | Q(retry_at__lte=now)
    part = Q(state__in=[State.REQUESTED, State.FAILED], csr=None) | Q(state=State.FUTURE)
    return ServerCertificate.objects.filter(free, waiting, part, operation=None)


def carry_out(row: ServerCertificate, *, home: Home) -> None:
    """Do what is due for the claimed row on its server, or note why that could not be done."""
    try:
        with claims.held(row):
            _put_to_use(row, home) if row.state == State.FUTURE else _ask(row, home)
    except (NotYet, HomeError, OSError, ValueError) as error:
        logger.warning("%s: could not renew its certificate: %s", row.device.name, error)
        retry_at = clock.now() + RETRY_AFTER
        _give_back(row, reason=str(error)[:400], retry_at=retry_at)


def _ask(row: ServerCertificate, home: Home) -> None:
    device = row.device

    def make() -> bytes:
        return keys.to_der(keys.generate(key_type(device.zone)))

    request = csr.build(
        keys.from_der(home.current_key(make)),
        subject_dns=device.dns_name,
        dns_names=issuing.dns_names(device, include_additional=True),
        ip_addresses=list(device.addresses),
    )
    _give_back(row, csr=request, reason="", retry_at=None)


def _put_to_use(row: ServerCertificate, home: Home) -> None:
    live = home.live()
    if live is None or live.leaf_sha256 != row.sha256:
        key_der = home.read_file("security/requested.der")
        if key_der is None or row.authority is None:
            ServerCertificate.objects.filter(pk=row.pk).move(to=State.CANCELLED)
            raise NotYet("The key it was made for is gone. Remint the certificate again.")
        ca_pem = trust.anchor_pem(row.authority).encode()
        home.install(key_der=key_der, chain_pem=server_steps.chain_pem(row), ca_pem=ca_pem)
    shown = wire.why_not_shown(row.device.address, row.sha256)
    if shown is not None:
        raise NotYet(shown)
    with transaction.atomic():
        server_certificates.take_into_use(row, now=clock.now())
        _give_back(row, reason="", retry_at=None)


def _give_back(row: ServerCertificate, **facts: object) -> None:
    claims.mine(row).update(claim_id=None, lease_until=None, **facts)


def key_type(zone: Zone) -> str:
    """Servers get keys of the kind their CA has."""
    active = CertificateAuthority.objects.get(zone=zone, state=CAState.ACTIVE)
    return keys.key_type_of(active.x509().public_key()) or keys.DEFAULT


def begin_due(zone: Zone, *, now: datetime) -> None:
    """Begin what is due by itself; another worker may have been faster."""
    for device in due_by_itself(zone, now=now):
        try:
            with transaction.atomic():
                ServerCertificate.objects.create(device=device, created_at=now)
        except IntegrityError:
            logger.info("%s: its certificate is being renewed already", device.name)


def due_by_itself(zone: Zone, *, now: datetime) -> list[Device]:
    """
    Return the servers whose certificate has passed two thirds of its life.

    Not while an operation is open, which brings every server a new one; nor when the CA itself ends
    so soon that the new certificate would hardly last longer.
    """
    authority = CertificateAuthority.objects.filter(zone=zone, state=CAState.ACTIVE).first()
    if authority is None or not authority.is_internal or authority.expires_at is None:
        return []
    soon = now + timedelta(days=issue.MAX_DAYS) / 3
    current = ServerCertificate.objects.current().filter(authority=authority, expires_at__lt=soon)
    rows = [row for row in _in_use(current, zone) if _is_due(row, authority.expires_at, now)]
    if not rows or Operation.objects.filter(zone=zone).open().exists():
        return []
    coming = ServerCertificate.objects.coming().filter(device__zone=zone).values("device")
    servers = Device.objects.filter(pk__in=[row.device_id for row in rows])
    return list(servers.exclude(pk__in=coming).order_by("pk"))


def _in_use(rows: "QuerySet[ServerCertificate]", zone: Zone) -> Iterator[ServerCertificate]:
    """Those of the rows whose device still is a server of the zone."""
    servers = Device.objects.filter(zone=zone).active().tls_servers()
    fields = ("pk", "device_id", "valid_from", "expires_at")
    yield from rows.filter(device__in=servers).only(*fields)


def _is_due(row: ServerCertificate, ca_ends: datetime, now: datetime) -> bool:
    if row.valid_from is None or row.expires_at is None:
        return False
    third = (row.expires_at - row.valid_from) / 3
    fresh = min(now + issuing.SERVER_CERTIFICATE_LIFETIME, ca_ends)
    return now >= row.expires_at - third and fresh >= row.expires_at + third
