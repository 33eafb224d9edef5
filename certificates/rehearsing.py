"""
What the signing server's worker does for a rehearsal, and what of the zone it leaves alone.

The key of the throw-away CA is never stored: it signs its own certificate and one for this server,
and is gone when they are made. That certificate and its key are in `rehearsal/` of the home, where
the canary port shows them to whoever asks for their name. A worker that died in between begins
anew, with another CA, as no device has been told of the first one.
"""

import logging
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.db.models import Q

from agent import pem, rehearsal
from agent.faults import fault_point
from agent.home import Home
from certificates import keys, trust
from certificates.models import CertificateAuthority, Rehearsal, ServerCertificate
from certificates.models.rehearsal import IllegalTransition, State
from devices import actions as devices
from devices.models import Device, Zone
from pki import authority, issue, manifest, names
from pki import keys as pki_keys
from zcc.ground import claims, clock, ports

logger = logging.getLogger(__name__)

SUBJECT = "Rehearsal"


def live_facts(zone: Zone) -> dict[str, Any]:
    """Return what a rehearsal must not touch: the epoch, the roots, the servers' certificates."""
    published = trust.published(zone)
    rows = ServerCertificate.objects.filter(device__zone=zone).current()
    certificates = rows.values_list("device__name", "sha256")
    roots = CertificateAuthority.objects.filter(zone=zone).trusted()
    return {
        "epoch": published.epoch if published else 0,
        "roots": sorted(roots.values_list("sha256", flat=True)),
        "certificates": dict(certificates.order_by("device__name")),
    }


def is_time_to_activate(row: Rehearsal, *, now: datetime) -> bool:
    """Whether every device has proven the throw-away CA, or was waited for long enough."""
    return now >= row.waits_until or not row.devices.filter(proven_at=None).exists()


def due(zone: Zone, *, now: datetime) -> Rehearsal | None:
    """Return the rehearsal for which its server has to do something now."""
    free = Q(lease_until=None) | Q(lease_until__lt=now)
    row = Rehearsal.objects.filter(free, zone=zone).open().first()
    return row if row is not None and is_due(row, now=now) else None


def is_due(row: Rehearsal, *, now: datetime) -> bool:
    """Whether its server has to do something; a message may come when it was done already."""
    if row.state == State.TOLD:
        return is_time_to_activate(row, now=now)
    if row.state == State.CLEANING:
        return row.files_destroyed_at is None
    return row.state == State.PREPARING


def ask_to_refresh(row: Rehearsal, *, now: datetime) -> None:
    """There is something new to be told: agents that run come at once."""
    chosen = Device.objects.filter(pk__in=row.devices.values("device"))
    devices.ask_refresh(chosen, now=now)


def carry_out(row: Rehearsal, *, home: Home) -> None:
    """Do the step that is due of the claimed rehearsal, or end it and say why."""
    if not is_due(row, now=clock.now()):
        claims.release(row)
        return
    try:
        with claims.held(row) as hold:
            _STEPS[row.state](row, home, hold)
    except (claims.LeaseLost, IllegalTransition) as error:
        logger.info("%s went on without this worker: %s", row, error)
    except (keys.KeyUnavailable, OSError, ValueError) as error:
        logger.exception("%s could not go on", row)
        if row.state != State.CLEANING:  # that is tried again when the claim's lease is over
            row.start_cleaning(State.FAILED, by=None, at=clock.now(), problem=str(error))


def _prepare(row: Rehearsal, home: Home, hold: claims.Hold) -> None:
    key = keys.load_update_key(home, row.zone)
    now = clock.now()
    root, pair = _throw_away(row, now=now)
    hold.check()
    home.write_secret(rehearsal.server_file(rehearsal.FUTURE), pair)
    fault_point("rehearsal-shown")
    envelopes = {
        stage: manifest.sign(_payload(row, root, stage), key, domain=rehearsal.PREFIX).decode()
        for stage in rehearsal.STAGES
    }
    row.mark_told(envelopes, at=clock.now())
    ask_to_refresh(row, now=clock.now())


def _activate(row: Rehearsal, home: Home, hold: claims.Hold) -> None:
    """The file goes first: whoever repeats it finds it moved."""
    future, active = map(rehearsal.server_file, (rehearsal.FUTURE, rehearsal.ACTIVE))
    hold.check()
    pair = home.read_file(future)
    if pair is not None:
        home.write_secret(active, pair)
        fault_point("rehearsal-activated")
        home.remove_file(future)
    row.mark_activated(at=clock.now())
    ask_to_refresh(row, now=clock.now())


def _clean(row: Rehearsal, home: Home, hold: claims.Hold) -> None:
    hold.check()
    destroy(home)
    fault_point("rehearsal-destroyed")
    row.note_destroyed(at=clock.now())
    claims.release(row)


_STEPS = {
    State.PREPARING.value: _prepare,
    State.TOLD.value: _activate,
    State.CLEANING.value: _clean,
}


def destroy(home: Home) -> None:
    """Remove whatever a rehearsal has left in the home of a server."""
    for which in (rehearsal.FUTURE, rehearsal.ACTIVE):
        home.remove_file(rehearsal.server_file(which))


def forget_leftovers(server: Device, *, home: Home) -> None:
    """At a worker's start: what belongs to no rehearsal of this server is removed."""
    if not Rehearsal.objects.open().filter(server=server).exists():
        destroy(home)


def _throw_away(row: Rehearsal, *, now: datetime) -> tuple[x509.Certificate, bytes]:
    """Return a new CA's certificate, and one for the canary port with its key, as PEM."""
    key, server_key = pki_keys.generate("ec-p256"), pki_keys.generate("ec-p256")
    subject = names.ca_subject(SUBJECT, serial_number=str(row.guid))
    root = issue.sign(authority.plan_root(subject, key, now=now, years=1), key)
    which = (rehearsal.FUTURE, rehearsal.ACTIVE)
    dns_names = [rehearsal.server_name(one, str(row.guid)) for one in which]
    days = (row.expires_at - row.created_at).days + 1
    plan = issue.plan_server(
        server_key.public_key(),
        issuer=root,
        subject_dns=dns_names[0],
        dns_names=dns_names,
        ip_addresses=[],
        now=now,
        days=days,
    )
    leaf = issue.sign(plan, key).public_bytes(Encoding.PEM)
    return root, leaf + pem.key(pki_keys.to_der(server_key))


def _payload(row: Rehearsal, root: x509.Certificate, stage: str) -> dict[str, Any]:
    guids = row.devices.order_by("pk").values_list("device__guid", flat=True)
    return {
        "version": 1,
        "zone": str(row.zone.guid),
        "id": str(row.guid),
        "devices": [str(guid) for guid in guids],
        "stage": stage,
        "issued_at": trust.instant(row.created_at),
        "expires_at": trust.instant(row.expires_at),
        "anchor": root.public_bytes(Encoding.PEM).decode(),
        "canaries": [ports.canary_url(row.server.address)],
    }
