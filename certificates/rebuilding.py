"""
Setting a zone up again from a backup of its CA, when its database is gone, too.

What comes back is what the backup holds: the zone's GUID and name, its CAs with their keys, and the
key that signs what devices trust. So whoever trusts the zone still does. What does not come back is
what only the database knew: servers and devices join again.

The key of an external CA is in no backup: that CA signs a certificate for the server beforehand.
"""

from collections.abc import Sequence
from datetime import datetime

from cryptography.hazmat.primitives.serialization import Encoding
from django.db import transaction

from agent.home import Home
from certificates import installing, issuing, keys, links, sealing_keys, trust
from certificates.installing import CannotSetUp, ExternalCA, SoleWorker
from certificates.joining import NewServer
from certificates.keys import Ring
from certificates.models import CertificateAuthority, IssuedCertificate, LinkCertificate
from certificates.models.authority import Kind, State
from certificates.models.certificate import Certificate
from devices.models import Device, Zone
from pki import authority as authorities
from pki import keys as pki_keys
from pki.backup_contents import Contents, Generation

# Others were cancelled or are not yet in force: their keys are kept, nobody is to trust them.
_KEPT_STATES = (State.ACTIVE, State.SUPERSEDED)


def rebuild_zone(
    contents: Contents,
    server: NewServer,
    external: ExternalCA | None = None,
    *,
    home: Home,
    now: datetime,
) -> Zone:
    """
    Create the zone of the backup with `server` as its only one. Raises CannotSetUp.

    `external` is what an external CA has signed for the server, if one was in force in the zone.
    """
    if Zone.objects.exists():
        raise CannotSetUp("This database has a zone already. Nothing has changed.")
    if external is None:
        _check_active(contents, now=now)
    server.check()
    home.make()
    home.clean(None)  # what an operation left that nobody knows of any more
    keys.make_key_encryption_key(home)
    with transaction.atomic():
        zone = Zone.objects.create(
            guid=contents.zone, name=contents.zone_name, created_at=contents.made_at
        )
        device = installing.first_server(zone, server, now=now)
        ring = Ring({one.guid: one.key for one in contents.generations}, contents.update_key)
        keys.store_ring(home, zone, ring)
        for one in contents.generations:
            _authority(zone, device, one, now=now)
        if external is None:
            _certify(device, ring, home=home, now=now)
        else:
            _take_over(device, contents, external, home=home, now=now)
        trusted = list(CertificateAuthority.objects.filter(zone=zone).trusted())
        public = sealing_keys.own(home).public_key().public_bytes_raw()
        sealing_keys.vouch(device, public, update_key=ring.update_key)
        trust.publish(zone, home=home, now=now, above=_epoch(contents, now))
    installing.settle(home, server, device, anchors=trusted)
    return zone


def _take_over(
    device: Device, contents: Contents, external: ExternalCA, *, home: Home, now: datetime
) -> None:
    """Let the external CA be in force, and an older CA vouch for it if one is trusted and can."""
    generation = max((one.number for one in contents.generations), default=0) + 1
    in_force = installing.take_over(device, external, generation=generation, home=home, now=now)
    zone, oldest = device.zone, links.oldest_signer(device.zone)
    if oldest and not links.why_none(zone, external.root, external.chain[1:]):
        key = keys.load_ca_key(home, zone, oldest.guid)
        _link(in_force, oldest, key, permitted=links.permitted(zone), now=now)


def _certify(device: Device, ring: Ring, *, home: Home, now: datetime) -> None:
    """Let the CA in force sign a certificate of the server, and the oldest one vouch for it."""
    rows = CertificateAuthority.objects.filter(zone=device.zone)
    in_force = rows.get(state=State.ACTIVE)
    key = ring.authorities[in_force.guid]
    oldest = rows.trusted()[0]
    _link(in_force, oldest, ring.authorities[oldest.guid], now=now)
    key_type = pki_keys.key_type_of(key.public_key()) or pki_keys.DEFAULT
    installing.certify(device, in_force, key, key_type=key_type, home=home, now=now)


def _check_active(contents: Contents, *, now: datetime) -> None:
    """Raise CannotSetUp unless the CA that was in force when the backup was made still can be."""
    if contents.external is not None:
        raise CannotSetUp(
            "The zone's CA was an external one. Give a certificate that it signed for this server."
        )
    active = [one for one in contents.generations if one.state == State.ACTIVE]
    if not active:
        raise CannotSetUp("This backup does not hold the CA that was in force. Use a newer one.")
    starts = active[0].certificate.not_valid_before_utc
    if now < starts:
        raise CannotSetUp(
            f"This host's clock shows {now:%d %b %Y, %H:%M} UTC, but the CA in this backup begins "
            f"on {starts:%d %b %Y, %H:%M} UTC. Set the clock."
        )
    ends = active[0].certificate.not_valid_after_utc
    if ends <= now:
        raise CannotSetUp(
            f"The CA in this backup expired on {ends:%d %b %Y}, so nobody trusts what it signs. "
            "Set up a new zone."
        )


def _authority(
    zone: Zone, device: Device, one: Generation, *, now: datetime
) -> CertificateAuthority:
    is_kept = one.state in _KEPT_STATES
    row = CertificateAuthority.objects.create(
        zone=zone,
        guid=one.guid,
        kind=Kind.INTERNAL,
        state=one.state if is_kept else State.RETIRED,
        generation=one.number,
        server=device,
        created_at=one.certificate.not_valid_before_utc,
        activated_at=one.certificate.not_valid_before_utc,
        retired_at=None if is_kept else now,
        **Certificate.columns(one.certificate),
    )
    IssuedCertificate.objects.create(  # so that at least this serial number is known
        authority=row,
        serial=f"{one.certificate.serial_number:040x}",
        purpose="ca",
        tbs=one.certificate.tbs_certificate_bytes,
        der=one.certificate.public_bytes(Encoding.DER),
        planned_at=one.certificate.not_valid_before_utc,
        signed_at=one.certificate.not_valid_before_utc,
        expires_at=one.certificate.not_valid_after_utc,
    )
    return row


def _link(
    certified: CertificateAuthority,
    oldest: CertificateAuthority,
    key: pki_keys.PrivateKey,
    *,
    permitted: Sequence[str] = (),
    now: datetime,
) -> None:
    """A backup made in Overlap: who trusts only the older CA is carried over as before."""
    if oldest.pk == certified.pk or oldest.is_expired(now):
        return
    plan = authorities.plan_link(
        certified.x509(), issuer=oldest.x509(), permitted=permitted, now=now
    )
    link = issuing.sign(
        plan,
        key,
        authority=oldest,
        purpose="link",
        hold=SoleWorker(),
        now=now,
    )
    LinkCertificate.objects.create(
        certified=certified, authority=oldest, **Certificate.columns(link)
    )


def _epoch(contents: Contents, now: datetime) -> int:
    """
    An epoch that every device has below it, however often it was told something since the backup.

    Epochs count from one, by one, so the seconds since 1970 are above all of them, and a second
    rebuilding of the same backup is above the first.
    """
    return max(contents.epoch, int(now.timestamp()))
