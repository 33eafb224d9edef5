"""
What workers do for an operation as a whole: prepare it, tell devices of it, close a cancel; and
what the initiating server asks of those that hold other keys.

A problem is shown on the operation and the work tried again; nothing is half done meanwhile.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.db.models import Q

from agent import package
from agent.faults import fault_point
from agent.home import Home, HomeError
from certificates import (
    keys,
    linking,
    older_keys,
    preparing,
    sealed_transfer,
    trust,
    update_key,
    updater_tool,
)
from certificates.actions import operations
from certificates.models import LinkRequest, Operation, SealedTransfer
from certificates.models.operation import State
from devices.models import Device, Zone
from zcc.ground import claims, clock

RETRY_AFTER = timedelta(seconds=10)

logger = logging.getLogger(__name__)


def claim(operation_id: int, *, state: State, now: datetime) -> Operation | None:
    """Claim the operation for this server's worker if it is in `state` and its work is due."""
    due = Q(retry_at=None) | Q(retry_at__lte=now)
    rows = Operation.objects.filter(due, pk=operation_id, state=state)
    return claims.claim(rows.filter(initiating_server=Device.objects.here()), now=now)


def prepare(operation: Operation, *, home: Home) -> None:
    """Make the claimed operation's key, CA, links and content."""
    agent_pyz = package.contents()
    with claims.held(operation) as hold, _problems_of(operation):
        preparing.prepare(operation, home=home, hold=hold, agent_pyz=agent_pyz, now=clock.now())


def publish_trust(zone: Zone, *, home: Home) -> None:
    """Publish the next trust manifest if one is due, or show why that cannot be done."""
    problem = ""
    try:
        trust.publish(zone, home=home, now=clock.now())
    except keys.KeyUnavailable as error:
        logger.error("The trust manifest cannot be signed: %s", error)
        problem = str(error)
    operations.note_telling(zone, problem=problem)


def make_updater_tool(zone: Zone, *, home: Home) -> None:
    """Sign the Certificate Updater Tool anew if it should say something else."""
    try:
        updater_tool.make(zone, home=home, now=clock.now())
    except keys.KeyUnavailable as error:
        logger.error("The Certificate Updater Tool cannot be signed: %s", error)


def finish_cancel(operation: Operation, *, home: Home) -> None:
    """Destroy the future key of the claimed operation, then close its books."""
    with claims.held(operation), _problems_of(operation):
        keys.destroy_ca_key(home, operation.guid)
        sealed_transfer.end(operation.guid)
        server = operation.initiating_server
        update_key.forget_unless_needed(server, home=home, besides=operation.guid)
        fault_point("ca-key-destroyed")
        operations.finish_cancel(operation, now=clock.now())


def sign_link(request: LinkRequest, *, home: Home) -> None:
    """Sign the claimed request with the key in this home, or show why that cannot be done."""
    with claims.held(request) as hold, _problems_told(request, request.operation):
        linking.answer(request, home=home, hold=hold, now=clock.now())


def give_key(transfer: SealedTransfer, *, home: Home) -> None:
    """Seal the key that is asked for for the receiver, or show why it gets none."""
    if older_keys.is_asked(transfer):
        with claims.held(transfer), _problems_told(transfer, None):
            older_keys.give(transfer, home=home)
        return
    operation = Operation.objects.filter(guid=transfer.guid).first()
    with claims.held(transfer), _problems_told(transfer, operation):
        update_key.give(transfer, home=home, now=clock.now())


def fetch_older_keys(zone: Zone, *, home: Home) -> None:
    """Ask for older keys and take them; what cannot be taken is asked for again."""
    try:
        older_keys.fetch(zone, receiver=Device.objects.here(), home=home)
    except claims.LeaseLost as error:
        logger.info("An older key is another worker's: %s", error)
    except (keys.KeyUnavailable, HomeError, OSError, ValueError) as error:
        logger.error("An older key could not be taken: %s", error)


@contextmanager
def _problems_told(
    row: LinkRequest | SealedTransfer, operation: Operation | None
) -> Iterator[None]:
    """Show on the operation why this server could not do its part, and let it be tried again."""
    try:
        yield
    except claims.LeaseLost as error:
        logger.info("%s is another worker's: %s", row, error)
    except (keys.KeyUnavailable, OSError, ValueError) as error:
        logger.exception("%s could not be answered", row)
        retry_at = clock.now() + RETRY_AFTER
        claims.mine(row).update(retry_at=retry_at, claim_id=None, lease_until=None)
        if operation is not None:
            told = Operation.objects.filter(pk=operation.pk, state=State.PREPARING)
            told.update(problem=str(error)[:600])


@contextmanager
def _problems_of(operation: Operation) -> Iterator[None]:
    """Show on the operation why its work could not be done now, and let it be tried again."""
    mine = claims.mine(operation)
    try:
        yield
    except (*operations.OVERTAKEN, claims.LeaseLost) as error:
        logger.info("%s was cancelled, or is another worker's: %s", operation, error)
        mine.update(claim_id=None, lease_until=None)
    except (keys.KeyUnavailable, OSError, ValueError) as error:
        logger.exception("%s could not go on", operation)
        mine.update(
            problem=str(error)[:600],
            retry_at=clock.now() + RETRY_AFTER,
            claim_id=None,
            lease_until=None,
        )
