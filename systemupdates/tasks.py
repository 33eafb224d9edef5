"""Celery tasks: claim, call one action, nothing else. See zcc.ground.claims."""

from celery import shared_task

from devices.models import Device
from systemupdates import actions, replication
from systemupdates.models import Replication
from systemupdates.models.replication import State
from systemupdates.models.update import HELD_STATES
from zcc.ground import claims, clock, here


@shared_task(ignore_result=True)
def replicate(*, replication_id: int) -> None:
    """Fetch one update's content to this Primary Server."""
    now = clock.now()
    rows = Replication.objects.filter(pk=replication_id, server=Device.objects.here())
    row = claims.claim(rows.missing(), now=now)
    if row is not None:  # None: there already, or another worker's
        replication.fetch(row, home=here.home(), now=now)


@shared_task(ignore_result=True)
def look_after_content() -> None:
    """Find content of this Primary Server that was damaged or removed; it is fetched again."""
    home, now = here.home(), clock.now()
    rows = Replication.objects.filter(server__guid=here.identity().guid, state=State.AVAILABLE)
    for row in rows.filter(update__state__in=HELD_STATES).select_related("update"):
        if not home.check_content(row.update.content_sha256):
            actions.content_lost(row, now=now)
