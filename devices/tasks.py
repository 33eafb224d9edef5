"""The heartbeat of a Primary Server's worker."""

from datetime import datetime

from celery import shared_task

from agent import pem
from devices import actions
from devices.models import Device
from zcc.ground import clock, here

# When this process last looked for due work; written with the next heartbeat, so that an idle
# zone writes no row of its own for it.
_last_tick: list[datetime] = []


def note_tick(at: datetime) -> None:
    """Remember that this worker looked for due work."""
    _last_tick[:] = [at]


@shared_task(ignore_result=True)
def heartbeat() -> None:
    """Say that this server's worker is alive, and how far its clock is off."""
    server = Device.objects.filter(guid=here.identity().guid).first()
    if server is not None:
        ticked = _last_tick[0] if _last_tick else None
        trusted = [pem.fingerprint(anchor) for anchor in here.home().anchors()]
        actions.beat(server, tick_at=ticked, skew=clock.skew(), trusted=trusted, now=clock.now())
