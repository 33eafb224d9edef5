"""
How content gets to a Primary Server: plain HTTP from one that has it, named and checked by SHA-256.

A Content Satellite does the same in its agent; what it fetched it reports at its next refresh.
"""

import contextlib
import http.client
import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from urllib.error import HTTPError
from urllib.request import urlopen

from agent.client import content_reason
from agent.content import NO_CONTENT, ContentError, Source
from agent.faults import fault_point
from agent.home import Home, HomeError
from agent.throttle import Throttled
from devices.models import Device
from systemupdates import actions, rounds
from systemupdates.models import Replication, SystemUpdate
from systemupdates.models.replication import State
from zcc.ground import claims, clock, ports

logger = logging.getLogger(__name__)

TIMEOUT = 20  # seconds without a byte
NOTE_EVERY = 256 * 1024  # bytes


class NoSource(Exception):
    """The content is not here: what each server answered, or why it could not be stored."""


class _NotSent(Exception):
    """A server broke off, or sent nothing; its cause says how."""


def content_url(server: Device, sha256: str) -> str:
    return f"{ports.content_url(server.address)}/content/{sha256}"


def source_urls(update: SystemUpdate, *, device: Device) -> list[str]:
    """The addresses a device may fetch the content from, nearest first."""
    servers = actions.sources(update, device=device)
    return [ports.content_url(server.address) for server in servers]


def fetch(row: Replication, *, home: Home, now: datetime) -> None:
    """Bring the content of the claimed row into this server's content-repo."""
    update = row.update
    Replication.objects.filter(pk=row.pk, claim_id=row.claim_id).move(
        to=State.REPLICATING, at=now, last_error=""
    )
    try:
        with claims.held(row):
            sources = actions.sources(update, device=row.server)
            rate = rounds.throttle(update.zone)
            bring(update, home=home, sources=sources, rate=rate, note=partial(_note, row))
    except (NoSource, HomeError, OSError) as error:
        actions.replication_failed(row, error=str(error), now=clock.now())
        return
    if not actions.wanted_content(row.server).filter(pk=update.pk).exists():
        home.drop_content(update.content_sha256)  # withdrawn while it was on its way
        return
    fault_point("content-fetched")
    finished = Replication.objects.filter(pk=row.pk, claim_id=row.claim_id)
    finished.move(
        to=State.AVAILABLE,
        at=clock.now(),
        received=update.content_size,
        claim_id=None,
        lease_until=None,
    )
    fault_point("content-counted")


def _note(row: Replication, received: int) -> None:
    """Let the page show how much has come."""
    Replication.objects.filter(pk=row.pk, claim_id=row.claim_id).update(received=received)


class _Counted:
    """Reads from `source` and tells `note` now and then how many bytes have come."""

    def __init__(self, source: Source, note: Callable[[int], None]) -> None:
        self._source, self._note = source, note
        self._read = self._noted = 0

    def read(self, size: int, /) -> bytes:
        with _sending():
            block = self._source.read(size)
        self._read += len(block)
        if self._read - self._noted >= NOTE_EVERY:
            self._noted = self._read
            self._note(self._read)
        return block


def bring(
    update: SystemUpdate,
    *,
    home: Home,
    sources: Sequence[Device],
    rate: int | None = None,
    note: Callable[[int], None] = lambda received: None,
) -> None:
    """
    Fetch the content from the first of `sources` that gives it, or raise NoSource.

    It takes at most `rate` bytes a second (None: as many as come) and tells `note` how many did.
    """
    if home.has_content(update.content_sha256):
        return
    failures = []
    for server in sources:
        try:
            with _sending():
                answer = urlopen(content_url(server, update.content_sha256), timeout=TIMEOUT)
            with answer:
                home.add_content(update.content_sha256, _Counted(Throttled(answer, rate), note))
            return
        except (_NotSent, ContentError) as error:
            failures.append(f"{server.name} {_why_not(error)}")
        except OSError as error:
            raise NoSource(home.not_stored(error)) from error
    raise NoSource(f"{NO_CONTENT} {', '.join(failures) or 'no server has it yet'}.")


@contextlib.contextmanager
def _sending() -> Iterator[None]:
    try:
        yield
    except (http.client.HTTPException, OSError) as error:
        raise _NotSent from error


def _why_not(error: _NotSent | ContentError) -> str:
    """Return why a server gave no content, as the end of a sentence; agents say it so, too."""
    if isinstance(error.__cause__, HTTPError):
        return content_reason(error.__cause__.code)
    if isinstance(error, ContentError):
        return f"sent something else ({str(error).rstrip('.')})"
    return "did not answer"
