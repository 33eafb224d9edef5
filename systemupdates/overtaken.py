"""
An update that a newer one has overtaken: whoever completed the newer has no more to do for it.

Each certificate update brings whom the zone trusts, not a part of it, and a device is given one at
a time, the newest first. Without this the older one would stay pending on it for ever.
"""

from datetime import datetime

from django.db.models import OuterRef, Subquery

from devices.models import Device
from systemupdates.models import DeviceUpdate
from systemupdates.models.device_update import OVERTAKEN, PENDING_STATES, State
from systemupdates.models.update import State as UpdateState

# An update that was taken back has overtaken nothing.
_GONE_THROUGH = (UpdateState.ASSIGNED, UpdateState.BASELINED, UpdateState.DELETED)


def complete(device: Device, *, now: datetime) -> int:
    """
    Complete every update of the device that is older than one it has completed, baselined or not.

    Ignored ones stay ignored and failed ones failed. Return how many were still pending.
    """
    rows = DeviceUpdate.objects.filter(device=device)
    newer = rows.filter(
        state=State.COMPLETED, update__state__in=_GONE_THROUGH, update__gt=OuterRef("update")
    )
    name = Subquery(newer.order_by("-update").values("update__name")[:1])
    pending = rows.filter(state__in=PENDING_STATES, update__state__in=_GONE_THROUGH)
    # Asked first: at nearly every refresh there is none, and a write would wait for its turn.
    found = dict(pending.annotate(newer=name).exclude(newer=None).values_list("pk", "newer"))
    if not found:
        return 0
    (newest,) = set(found.values())
    reason = f"{OVERTAKEN} {newest}, which it has completed."
    return rows.filter(pk__in=found).move(to=State.COMPLETED, by=None, at=now, reason=reason[:400])
