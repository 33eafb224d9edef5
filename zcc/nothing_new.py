"""
Refreshes with nothing new, which nearly all are: answered many at a time, in front of all else.

Those that come while one lot is being looked at are the next lot. For a lot there is one query of
each kind, however many devices are in it; nothing is remembered between two of them. Whatever is
new, unusual or wrong about a request is left to `device_api.refresh`, as is all that writes rows:
but when a device was heard of (`last_contacts`), and that it has refreshed as it was asked to.
"""

import asyncio
import json
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import close_old_connections, connection

import certificates.nothing_new
import systemupdates.nothing_new
from certificates import trust
from devices import actions as devices
from devices import contacts
from devices.contacts import Contact
from devices.models import Device, Folder
from zcc.ground import clock, here
from zcc.ground.ports import device_url
from zcc.ground.wire import instant
from zcc.last_contacts import LastContacts

logger = logging.getLogger(__name__)

AT_ONCE = 200  # refreshes in a lot
LONGEST = 4096  # bytes of a report; one with nothing new has a few hundred
BEARER = b"Bearer "

Scope = dict[str, Any]


class Call(NamedTuple):
    """A refresh: the hash of the token that came with it, and the report."""

    token_hash: str
    report: dict[str, Any]


class Lot(NamedTuple):
    """What came of the calls: for each its answer, None: not here; and contacts to be written."""

    answers: list[bytes | None]
    contacts: list[Contact]


class Quiet:
    """Answers refreshes with nothing new."""

    def __init__(self, last_contacts: LastContacts) -> None:
        self._last_contacts = last_contacts
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="nothing-new")
        self._waiting: list[tuple[Call, asyncio.Future[bytes | None]]] = []
        self._looking: asyncio.Task[None] | None = None

    async def ask(self, scope: Scope, body: bytes) -> bytes | None:
        """Return the answer to this refresh if nothing is new, None if it is not so plain."""
        call = read(scope, body)
        if call is None:
            return None
        answered: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, answered))
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        return await answered

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            taken, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
            calls = [call for call, _ in taken]
            lot = await loop.run_in_executor(self._executor, look, calls)
            self._last_contacts.note(lot.contacts)
            for (_, answered), found in zip(taken, lot.answers, strict=True):
                if not answered.done():  # whoever hung up waits no more
                    answered.set_result(found)


def read(scope: Scope, body: bytes) -> Call | None:
    """Return the refresh of an agent if it looks like most do, None if it does not."""
    shown = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(shown) != 1 or not shown[0].startswith(BEARER) or len(body) > LONGEST:
        return None
    try:
        report = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(report, dict) or "rehearsal" in report:
        return None
    return Call(devices.hash_secret(shown[0][len(BEARER) :].decode("latin-1")), report)


def look(calls: Sequence[Call]) -> Lot:
    """Look at these refreshes, in a thread, with a database connection that works."""
    close_old_connections()
    try:
        return answered(calls)
    except Exception as error:  # whatever it is, each call is answered, if with that it fails
        logger.warning("Refreshes are answered one by one: %s", error)
        connection.close()
        return Lot([None] * len(calls), [])
    finally:
        close_old_connections()


def answered(calls: Sequence[Call]) -> Lot:
    """
    Answer those of the calls by which nothing is new.

    The devices are read first: what came with the wish that one refreshes is seen afterwards.
    """
    rows = Device.objects.filter(token_hash__in=[call.token_hash for call in calls])
    found = {str(row.token_hash): row for row in rows.select_related("zone")}
    now, wanted = clock.now(), certificates.nothing_new.wanted()
    plain: dict[int, Device] = {}  # by the number of the call
    reports: dict[int, dict[str, Any]] = {}  # by the device; its second one in a lot is not plain
    for number, (token_hash, report) in enumerate(calls):
        device = found.get(token_hash)
        if device is None or device.pk in reports or wanted is None or not _is_plain(device):
            continue
        reports[device.pk] = report
        if wanted.is_met_by(device) and not contacts.news(device, report, now=now):
            plain[number] = device
    if plain:
        busy = systemupdates.nothing_new.busy(reports, certificates.nothing_new.TELLING)
        plain = {number: device for number, device in plain.items() if device.pk not in busy}
    return _answers(calls, plain, now)


def _is_plain(device: Device) -> bool:
    """Whether the device is told of nothing but its zone's trust and updates."""
    return not (device.is_retired or device.is_satellite or device.is_test or device.is_mobile)


def _answers(calls: Sequence[Call], plain: dict[int, Device], now: datetime) -> Lot:
    """Answer the calls that are plain, by their number, as there is nothing to tell."""
    answers: list[bytes | None] = [None] * len(calls)
    if not plain:
        return Lot(answers, [])
    contacts.take_back_asking(row for row in plain.values() if row.refresh_asked_at is not None)
    intervals = Folder.objects.intervals()
    reached = {zone: servers(zone) for zone in {device.zone_id for device in plain.values()}}
    noted = []
    for number, device in plain.items():
        interval = device.effective_refresh_interval(intervals)
        told = answer(interval=interval, servers=reached[device.zone_id], now=now)
        answers[number] = json.dumps(told).encode()
        if not contacts.is_recent(device, now=now):
            sent_at = instant(calls[number].report, "clock")
            noted.append(Contact(device.pk, now, sent_at - now if sent_at else None))
    return Lot(answers, noted)


def answer(*, interval: timedelta, servers: list[str], now: datetime) -> dict[str, Any]:
    """What a device is told if there is nothing to be told."""
    return {
        "time": trust.instant(now),
        "next_refresh": interval.total_seconds(),
        "servers": servers,
        "roles": [],
        "manifest": None,
        "update": None,
        "prove": None,
    }


def servers(zone: int) -> list[str]:
    """The addresses of the device API, this server's first."""
    me = here.identity().address
    primaries = Device.objects.filter(zone=zone).active().primary_servers().order_by("name")
    addresses = sorted((server.address for server in primaries), key=lambda found: found != me)
    return [device_url(address) for address in addresses]
