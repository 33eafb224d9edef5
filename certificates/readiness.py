"""
Which devices of an operation are ready, and from when on a contact makes one ready.

Ready is who holds a proof that stands; a Primary Server, whose own canary it is, needs none. After
the activation whoever has completed is ready, too: it has seen a certificate of the new CA.
"""

from datetime import datetime

from django.db.models import Max, Q, QuerySet

from certificates import guard
from certificates.models import Operation
from devices.models import Kind, Zone
from systemupdates import rounds
from systemupdates.models import DeviceUpdate
from systemupdates.models.device_update import READY_STATES, State


def counted(operation: Operation) -> QuerySet[DeviceUpdate]:
    """The devices that are to become ready: whoever is retired or ignored is not."""
    rows = DeviceUpdate.objects.in_play().filter(update=operation.update_id)
    return rows.exclude(state__in=[State.IGNORED, State.WITHDRAWN])


def is_ready(operation: Operation) -> Q:
    """The condition by which a row of `counted` is ready."""
    proven = Q(state__in=READY_STATES, proof_leaf__in=guard.future_leaves(operation))
    server = Q(state__in=READY_STATES, device__kind=Kind.PRIMARY_SERVER)
    return proven | server | Q(state=State.COMPLETED)


# What no contact mends: somebody must look at it.
IS_STUCK = Q(state=State.FAILED) | ~Q(proof_problem="")


def starts_at(operation: Operation, *, now: datetime) -> datetime:
    """Return from when on a contact makes a device ready: once the update is assigned."""
    if operation.update.is_assigned:
        return now
    missing = operation.update.replications.filter(server__retired_at=None).missing()
    last: datetime | None = missing.aggregate(at=Max("due_at"))["at"]
    return max(last or now, now)


def starts_at_rest(zone: Zone, *, now: datetime) -> datetime:
    """Return the same for an operation that would begin now: the next round of replication."""
    return rounds.next_round(zone, after=now)
