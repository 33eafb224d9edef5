"""A Primary Server that has left the zone for good is retired; it can be brought back."""

from datetime import datetime
from typing import Any

from django.db import transaction

from certificates.actions.authorities import Refused, in_progress
from certificates.models import CertificateAuthority, KeyRequest, Operation
from certificates.models.authority import State as CAState
from devices.models import Device, Zone
from zcc.ground import audit

HOLDING = (CAState.ACTIVE, CAState.SUPERSEDED, CAState.FUTURE)


@transaction.atomic
def retire(server: Device, *, by: Any, now: datetime) -> None:
    """Take the server out of every count and operation; no device is sent to it. Raises Refused."""
    Zone.objects.select_for_update().get(pk=server.zone_id)  # two at once would leave none
    server.refresh_from_db()
    if why_not := why_not_retired(server):
        raise Refused(why_not)
    Device.objects.filter(pk=server.pk, retired_at=None).update(retired_at=now)
    audit.record("Retired", server, by=by, at=now)


def why_not_retired(server: Device) -> str:
    """Return why the server cannot be retired, nothing if it can."""
    if not server.is_primary_server:
        return f"{server.name} is no Primary Server."
    if server.is_retired:
        return f"{server.name} is retired already."
    others = Device.objects.filter(zone=server.zone_id).active().primary_servers()
    if not others.exclude(pk=server.pk).exists():
        return f"{server.name} is the last Primary Server of the zone. Add another one first."
    if CertificateAuthority.objects.filter(server=server, state=CAState.ACTIVE).exists():
        return (
            f"{server.name} has the CA role. Give it to another server with Move CA Role first, or "
            "with Restore CA if this one is lost."
        )
    if CertificateAuthority.objects.filter(server=server, state__in=HOLDING).exists():
        return (
            f"{server.name} holds the key of a CA that is still trusted. Retire that CA first, or "
            "roll back."
        )
    return _why_not_now(server)


def _why_not_now(server: Device) -> str:
    if Operation.objects.filter(zone=server.zone_id).open().exists():
        return in_progress(server.zone)
    requests = KeyRequest.objects.filter(zone=server.zone_id).open()
    if request := (requests.filter(server=server) | requests.filter(holder=server)).first():
        return (
            f"{request.get_kind_display()} is in progress on {server.name}. It takes a few "
            "seconds; look at the page again."
        )
    return ""
