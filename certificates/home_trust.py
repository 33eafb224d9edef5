"""
What the home of a Primary Server follows: the zone's anchors, the link it sends, the manifest.

It is desired state, as on a device: whatever was missed is made good by the next epoch's doorbell.
"""

import logging
from datetime import timedelta

from agent import pem
from agent.home import Home, HomeError
from certificates import links, trust, update_key
from certificates.models import CertificateAuthority, HomeTrust, ServerCertificate
from devices.models import Device, Zone
from zcc.ground import claims, clock

MANIFEST = "trust-manifest.json"  # what the rescue port answers with
RETRY_AFTER = timedelta(seconds=5)

logger = logging.getLogger(__name__)


def follow(device: Device, *, home: Home) -> int:
    """Let the home be what is published now; return the epoch. Raises HomeError, OSError."""
    published = trust.published(device.zone)
    update_key.forget_unless_needed(device, home=home)
    home.set_anchors([anchor.encode() for anchor in trust.wanted(device.zone)["anchors"]])
    live = home.live()
    if live is not None:
        rows = ServerCertificate.objects.filter(device=device, sha256=live.leaf_sha256)
        row = rows.exclude(authority=None).select_related("authority").first()
        if row is not None and row.authority is not None:
            home.set_link(links.for_leaf_of(row.authority))
    before = home.read_file("previous/ca.cert")
    if before is not None and not _is_trusted(before, device.zone):
        home.retire()
    if published is None:
        return 0
    home.write_file(MANIFEST, published.envelope.encode())
    return published.epoch


def _is_trusted(ca_pem: bytes, zone: Zone) -> bool:
    """Whether the CA is in force or still trusted: then a server can go back to it."""
    trusted = CertificateAuthority.objects.filter(zone=zone).trusted()
    return trusted.filter(sha256=pem.fingerprint(ca_pem)).exists()


def carry_out(row: HomeTrust, *, home: Home) -> None:
    """Follow the newest epoch on the claimed row's server, and note which it was."""
    try:
        with claims.held(row):
            epoch = follow(row.device, home=home)
    except (HomeError, OSError, ValueError) as error:
        logger.warning("%s: could not follow the zone's trust: %s", row.device.name, error)
        facts = {"problem": str(error)[:400], "retry_at": clock.now() + RETRY_AFTER}
    else:
        facts = {"problem": "", "retry_at": None, "epoch": epoch}
    claims.mine(row).update(claim_id=None, lease_until=None, **facts)


def behind(zone: Zone, servers: "dict[int, Device]") -> list[Device]:
    """Return those of the servers, given by id, that do not follow the newest epoch yet."""
    published = trust.published(zone)
    if published is None:
        return []
    follows = HomeTrust.objects.filter(device__in=servers, epoch__gte=published.epoch)
    waiting = HomeTrust.objects.filter(device__in=servers, retry_at__gt=clock.now())
    held = HomeTrust.objects.filter(device__in=servers, lease_until__gt=clock.now())
    settled = {row.device_id for row in (follows | waiting | held)}
    return [server for pk, server in servers.items() if pk not in settled]
