"""
What the home of a Primary Server follows: the zone's anchors, the link it sends, the manifest.

It is desired state, as on a device: whatever was missed is made good by the next epoch's doorbell.
"""

import logging
from datetime import datetime, timedelta

from agent import pem
from agent.home import Home, HomeError
from certificates import (
    identities,
    identity_cas,
    links,
    setup_page,
    trust,
    update_key,
    updater_tool,
)
from certificates.models import (
    CertificateAuthority,
    HomeTrust,
    IdentityCA,
    PublishedTrust,
    ServerCertificate,
    UpdaterTool,
)
from devices.models import Device, Zone
from systemupdates import actions as updates
from zcc.ground import claims, clock, here, outgoing

MANIFEST = "trust-manifest.json"  # what the rescue port answers with
RETRY_AFTER = timedelta(seconds=5)

logger = logging.getLogger(__name__)


def follow(device: Device, *, home: Home) -> int:
    """Let the home trust and send what is published now; return the epoch. Raises HomeError."""
    published = trust.published(device.zone)
    update_key.forget_unless_needed(device, home=home)
    identity_cas.forget_unneeded(device, home=home)
    home.set_anchors([anchor.encode() for anchor in trust.wanted(device.zone)["anchors"]])
    outgoing.write_bundle(home)
    home.write_file(here.ISSUERS, identities.issuers_pem(device.zone))
    live = home.live()
    if live is not None:
        rows = ServerCertificate.objects.filter(device=device, sha256=live.leaf_sha256)
        row = rows.exclude(authority=None).select_related("authority").first()
        if row is not None and row.authority is not None:
            home.set_link(links.for_leaf_of(row.authority), leaf_sha256=live.leaf_sha256)
    before = home.read_file("previous/ca.cert")
    if before is not None and not _is_trusted(before, device.zone):
        home.forget_previous(before)
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
            known = _identity_cas(row.device.zone)
            epoch = follow(row.device, home=home)
            offered = setup_page.write(row.device, home=home)
            for sha256 in updates.dropped_content(row.device.zone) & set(home.content_items()):
                home.drop_content(sha256)
    except (HomeError, OSError, ValueError) as error:
        logger.warning("%s: could not follow the zone's trust: %s", row.device.name, error)
        facts = {"problem": str(error)[:400], "retry_at": clock.now() + RETRY_AFTER}
    else:
        facts = {"problem": "", "retry_at": None, "epoch": epoch, "updater_sha256": offered}
        facts["identity_cas"] = known
    claims.mine(row).update(claim_id=None, lease_until=None, **facts)


def behind(zone: Zone, servers: "dict[int, Device]") -> list[Device]:
    """Return those of the servers, given by id, that do not follow what is published yet."""
    published = trust.published(zone)
    if published is None:
        return []
    rows = {row.device_id: row for row in HomeTrust.objects.filter(device__in=servers)}
    now, offer, known = clock.now(), updater_tool.offer(zone), _identity_cas(zone)
    return [
        server
        for pk, server in servers.items()
        if _is_due(rows.get(pk), published, offer.at(server) if offer else None, known, now=now)
    ]


def _identity_cas(zone: Zone) -> int:
    """How many there are; they are never deleted, so that another one makes it more."""
    return IdentityCA.objects.of_zone(zone).made().count()


def _is_due(
    row: HomeTrust | None,
    published: PublishedTrust,
    tool: UpdaterTool | None,
    identity_cas: int,
    *,
    now: datetime,
) -> bool:
    if row is None:
        return True
    is_waiting = row.retry_at is not None and row.retry_at > now
    is_held = row.lease_until is not None and row.lease_until > now
    if is_waiting or is_held:
        return False
    if row.epoch < published.epoch or row.identity_cas < identity_cas:
        return True
    return row.updater_sha256 != (tool.sha256 if tool else "")
