"""The heartbeat of a Primary Server's worker: that it lives, and where."""

import logging
from datetime import datetime

from celery import shared_task

from agent import pem
from devices import actions
from devices.models import Device
from zcc.ground import clock, here, whereabouts

logger = logging.getLogger(__name__)

# When this process last looked for due work; written with the next heartbeat, so that an idle
# zone writes no row of its own for it.
_last_tick: list[datetime] = []


def note_tick(at: datetime) -> None:
    """Remember that this worker looked for due work."""
    _last_tick[:] = [at]


@shared_task(ignore_result=True)
def heartbeat() -> None:
    """Say that this server's worker is alive, where, and how far its clock is off."""
    server = Device.objects.filter(guid=here.identity().guid).first()
    if server is not None:
        ticked = _last_tick[0] if _last_tick else None
        trusted = [pem.fingerprint(anchor) for anchor in here.home().anchors()]
        report, now = _whereabouts(server), clock.now()
        skew = clock.skew()
        actions.beat(server, tick_at=ticked, skew=skew, trusted=trusted, report=report, now=now)


def _whereabouts(server: Device) -> dict[str, object]:
    """
    Return the address and DNS name that the server has today.

    Further addresses of its row stay: it listens at the first alone.
    """
    known = here.identity()
    address = server.addresses[0] if server.addresses else known.address
    try:
        identity = whereabouts.keep_up(known, address=address, dns_name=server.dns_name)
    except OSError as error:  # a home that cannot be written does not make the server a late one
        logger.warning("What %s knows of itself could not be stored: %s", known.name, error)
        return {}
    addresses = [whereabouts.address(identity), *server.addresses[1:]]
    return {"addresses": addresses, "dns_name": whereabouts.dns_name(identity)}
