"""What a worker does for a request about the zone's keys: the step that is due, or a refusal."""

import logging
from collections.abc import Callable, Iterator
from datetime import datetime

from django.db.models import Q

from agent.home import Home, HomeError
from certificates import backups, restoring, role_moves, sealing_keys
from certificates.actions import key_requests
from certificates.backups import CannotDo
from certificates.keys import KeyUnavailable
from certificates.models import KeyRemoval, KeyRequest
from certificates.models.key_request import Kind, State
from devices.models import Device, Zone
from pki.sealing import SealBroken
from zcc.ground import claims, clock

logger = logging.getLogger(__name__)

Step = Callable[..., None]
_STEPS: dict[tuple[str, str], Step] = {
    (Kind.BACKUP, State.ASKED): backups.make,
    (Kind.VERIFY, State.ASKED): backups.verify,
    (Kind.RESTORE, State.ASKED): restoring.restore,
    (Kind.MOVE, State.ASKED): role_moves.send,
    (Kind.MOVE, State.SENT): role_moves.receive,
    (Kind.MOVE, State.PROVEN): role_moves.give_up,
}
_REFUSALS = (CannotDo, sealing_keys.Untrusted, KeyUnavailable, SealBroken, ValueError)


def due(zone: Zone, servers: dict[int, Device], *, now: datetime) -> Iterator[tuple[str, str, int]]:
    """Yield task, queue and row for what the given servers, which are alive, should do now."""
    free = Q(lease_until=None) | Q(lease_until__lt=now)
    for request in KeyRequest.objects.filter(free, zone=zone, turn__in=servers).open():
        yield "key_request", servers[request.turn_id].queue, request.pk
    for removal in KeyRemoval.objects.filter(free, server__in=servers, done_at=None):
        yield "remove_keys", servers[removal.server_id].queue, removal.pk
    for server in sealing_keys.unpublished(servers):
        yield "publish_sealing_key", server.queue, server.pk


def carry_out(request: KeyRequest, *, home: Home) -> None:
    """Do the step whose turn the claimed request is; what cannot be done is refused."""
    step = _STEPS[request.kind, request.state]
    try:
        with claims.held(request):
            step(request, home=home)
    except claims.LeaseLost as error:
        logger.info("%s", error)
    except (OSError, HomeError) as error:  # a full disk: tried again until its minute is over
        logger.warning("%s could not go on: %s", request, error)
        claims.release(request)
    except _REFUSALS as error:
        _refuse(request, str(error))


def _refuse(request: KeyRequest, reason: str) -> None:
    now = clock.now()
    logger.warning("%s was refused: %s", request, reason)
    request.refuse(reason.removesuffix(" Nothing has changed."), at=now)
    key_requests.withdraw(request, now=now)
