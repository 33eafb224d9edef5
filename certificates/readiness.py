"""
Which devices of an operation are ready, and from when on a contact makes one ready.

Three things are told apart, each by one word. Who has applied the update *trusts* the new CA.
Whose proof stands is *proven*. A server of the operation needs its new *certificate*, too. *Ready*
is who is proven and lacks no certificate; a Primary Server, whose own canary it is, needs no proof.
After the activation whoever has completed is ready, too: it has seen a certificate of the new CA.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Max, Q, QuerySet

from certificates import guard
from certificates.models import Operation, ServerProgress
from certificates.models.server_certificate import State as CertificateState
from devices.models import Kind, Zone
from systemupdates import rounds
from systemupdates.models import DeviceUpdate
from systemupdates.models.device_update import APPLIED_STATES, State


@dataclass(frozen=True)
class Readiness:
    """How many devices are ready, how many are proven, and how many servers lack a certificate."""

    ready: int
    proven: int
    without_certificate: int


def counted(operation: Operation) -> QuerySet[DeviceUpdate]:
    """The devices that are to become ready: whoever is retired or ignored is not."""
    rows = DeviceUpdate.objects.in_play().filter(update=operation.update_id)
    return rows.exclude(state__in=[State.IGNORED, State.WITHDRAWN])


def without_certificate(operation: Operation) -> QuerySet[ServerProgress]:
    """The servers whose new certificate is not there yet: of one they have a request at most."""
    there = [CertificateState.FUTURE, CertificateState.CURRENT]
    have = operation.server_certificates.filter(state__in=there)
    rows = operation.servers.filter(device__retired_at=None, activated_at=None)
    return rows.exclude(device__in=have.values("device"))


def is_ready(operation: Operation) -> Q:
    """The condition by which a row of `counted` is ready."""
    proven = Q(pk__in=guard.proven(operation).values("pk"))
    server = Q(state__in=APPLIED_STATES, device__kind=Kind.PRIMARY_SERVER)
    return (proven | server | Q(state=State.COMPLETED)) & ~_lacks_certificate(operation)


def is_stuck(operation: Operation) -> Q:
    """What no contact mends: somebody must look at it, or import a certificate."""
    stuck = Q(state=State.FAILED) | ~Q(proof_problem="")
    return stuck | _lacks_certificate(operation) if operation.is_to_external else stuck


def _lacks_certificate(operation: Operation) -> Q:
    return Q(device__in=without_certificate(operation).values("device"))


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
