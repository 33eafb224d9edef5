"""Celery tasks: claim, call one action, nothing else. See zcc.ground.claims."""

from celery import shared_task

from devices.models import Device
from systemupdates import replication
from systemupdates.models import Replication
from zcc.ground import claims, clock, here


@shared_task(ignore_result=True)
def replicate(*, replication_id: int) -> None:
    """Fetch one update's content to this Primary Server."""
    now = clock.now()
    rows = Replication.objects.filter(pk=replication_id, server=Device.objects.here())
    row = claims.claim(rows.missing(), now=now)
    if row is not None:  # None: there already, or another worker's
        replication.fetch(row, home=here.home(), now=now)
