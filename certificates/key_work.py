"""What a worker does for a request about the zone's keys: the step that is due, or a refusal."""

import logging
from collections.abc import Callable
from datetime import datetime

from django.db.models import Q, QuerySet

from agent.home import Home, HomeError
from certificates import backups, restoring, role_moves, sealing_keys
from certificates.actions import key_requests
from certificates.backups import CannotDo
from certificates.keys import KeyUnavailable
from certificates.models import KeyRemoval, KeyRequest
from certificates.models.key_request import Kind, State
from devices.models import Zone
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


def due(zone: Zone, *, now: datetime) -> "tuple[QuerySet[KeyRequest], QuerySet[KeyRemoval]]":
    """Return the requests that go on, and the copies of keys to be destroyed, now."""
    free = Q(lease_until=None) | Q(lease_until__lt=now)
    requests = KeyRequest.objects.filter(free, zone=zone).open()
    return requests, KeyRemoval.objects.filter(free, done_at=None)


def carry_out(request: KeyRequest, *, home: Home) -> None:
    """Do the step whose turn the claimed request is; what cannot be done is refused."""
    step = _STEPS[request.kind, request.state]
    try:
        with claims.held(request):
            step(request, home=home)
    except claims.LeaseLost as error:
        logger.info("%s", error)
        key_requests.withdraw(request, now=clock.now())  # it may have stored keys after its time
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
