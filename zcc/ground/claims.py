"""
Claims: at most one worker does a piece of work, whatever dies, freezes or is sent twice.

    row = claims.claim(Step.objects.filter(pk=step_id, state=State.DUE), now=now, seconds=60)
    if row is not None:
        with claims.held(row, seconds=60) as hold:
            ...                                 # long work, away from the database
            hold.check()                        # right before an effect outside the database
        claims.mine(row).update(state=State.DONE, ...)   # 0 rows: somebody else has it by now

A claim is a random id and a lease in the row. A worker that dies stops renewing, and the row is
free again when the lease is over. One that freezes and wakes finds that its id is gone.
"""

import logging
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Self, TypeVar

from django.db import Error, connection, models
from django.db.models import Q, QuerySet

from zcc.ground import clock

logger = logging.getLogger(__name__)

LEASE = 60  # seconds


class LeaseLost(Exception):
    """Another worker has this row now, or may take it at any moment."""


class Claimable(models.Model):
    """A row that is worked on by one worker at a time."""

    claim_id = models.UUIDField(null=True, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)

    class Meta:
        abstract = True


Row = TypeVar("Row", bound=Claimable)


class Hold:
    """Tells the worker inside `held` whether the row is still its own."""

    def __init__(self, row: Claimable, *, seconds: float) -> None:
        self.row, self.seconds = row, seconds
        self._done = threading.Event()

    def check(self) -> None:
        """Renew the lease, or raise LeaseLost."""
        if not renew(self.row, now=clock.now(), seconds=self.seconds):
            raise LeaseLost(f"{self.row._meta.label} {self.row.pk} belongs to another worker.")

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._renew_until_done, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _renew_until_done(self) -> None:
        try:
            while not self._done.wait(self.seconds / 3):
                self._renew_once()
        finally:
            connection.close()  # this thread's own

    def _renew_once(self) -> None:
        try:
            renew(self.row, now=clock.now(), seconds=self.seconds)
        except Error as error:
            connection.close()  # the next attempt connects anew
            logger.warning("The lease of %s was not renewed: %s", self.row._meta.label, error)


def claim(rows: QuerySet[Row], *, now: datetime, seconds: float = LEASE) -> Row | None:
    """
    Claim the row that `rows` names, or return None: not there, not due, or another worker's.

    One UPDATE both checks and claims. `rows` names at most one row (`filter(pk=..., state=...)`)
    by columns of its own table: a join would be looked at before the row is locked.
    """
    claim_id = uuid.uuid4()
    free = Q(claim_id=None) | Q(lease_until__lte=now)
    until = now + timedelta(seconds=seconds)
    if not rows.filter(free).update(claim_id=claim_id, lease_until=until):
        return None
    return rows.model._base_manager.get(claim_id=claim_id)


def mine(row: Row) -> QuerySet[Row]:
    """Return the row as a query that finds nothing once the claim is lost: guard updates by it."""
    if row.claim_id is None:
        raise ValueError("The row was not claimed.")
    return type(row)._base_manager.filter(pk=row.pk, claim_id=row.claim_id)


def renew(row: Claimable, *, now: datetime, seconds: float = LEASE) -> bool:
    """Make the lease end `seconds` after `now`; False if the claim is lost."""
    return bool(mine(row).update(lease_until=now + timedelta(seconds=seconds)))


def release(row: Claimable) -> bool:
    """Give the row back; False if the claim was lost before."""
    return bool(mine(row).update(claim_id=None, lease_until=None))


@contextmanager
def held(row: Claimable, *, seconds: float = LEASE) -> Iterator[Hold]:
    """Renew the lease of a claimed row from a thread while the work inside goes on."""
    with Hold(row, seconds=seconds) as hold:
        yield hold
