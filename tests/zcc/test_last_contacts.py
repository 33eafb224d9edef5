"""When devices were heard of that had nothing new: written many at a time, and none too many."""

import asyncio
from datetime import timedelta

import pytest
from django.db import InterfaceError, OperationalError, connection
from django.test.utils import CaptureQueriesContext

from devices import check_ins, contacts
from devices.contacts import Contact
from devices.models import Device
from tests.zcc.test_device_api import api
from tests.zcc.test_nothing_new import Quiet
from zcc import device_api
from zcc.ground import clock, here
from zcc.last_contacts import LastContacts

__all__ = ["api"]

pytestmark = pytest.mark.django_db(transaction=True)

AGO = timedelta(hours=3)


def stop(contacts):
    """What a server does that is started and stopped at once."""
    said, sent = iter(["lifespan.startup", "lifespan.shutdown"]), []

    async def receive():
        return {"type": next(said)}

    async def send(message):
        sent.append(message["type"])

    asyncio.run(contacts.live(receive, send))
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def noted(gathered, *found):
    async def note():
        gathered.note(found)

    asyncio.run(note())


def test_quiet_refresh_is_seen_once_the_server_has_written_it(api):
    quiet, before = Quiet(api), clock.now()
    quiet.rows.update(last_contact_at=before - AGO, check_ins=b"", clock_offset=None)

    assert api.refresh(token=quiet.token, **quiet.report)[0] == 200
    stop(device_api.LAST_CONTACTS)

    device = quiet.rows.get()
    assert device.last_contact_at == device.last_full_refresh_at >= before
    assert check_ins.read(device.check_ins).last == check_ins.hour_of(device.last_contact_at)
    assert timedelta(minutes=-5) < device.clock_offset <= timedelta()


def test_refresh_soon_after_another_is_not_written(api):
    quiet = Quiet(api)
    before = quiet.rows.get().last_contact_at

    api.refresh(token=quiet.token, **quiet.report)
    stop(device_api.LAST_CONTACTS)

    assert quiet.rows.get().last_contact_at == before


def test_later_contact_is_not_put_back(api):
    device, now = api.join(), clock.now()
    Device.objects.filter(pk=device.pk).update(last_contact_at=now)

    contacts.write([Contact(device.pk, now - AGO, None)])

    assert Device.objects.get(pk=device.pk).last_contact_at == now


def test_device_that_is_deleted_meanwhile_disturbs_nobody(api):
    device, later = api.join(), clock.now() + AGO

    contacts.write([Contact(device.pk + 1, later, None), Contact(device.pk, later, None)])

    assert Device.objects.get(pk=device.pk).last_contact_at == later


def test_many_cost_the_queries_of_one(api):
    made = [api.join(name=f"ws{number}") for number in range(20)]
    later = clock.now() + AGO

    def queries(chosen):
        with CaptureQueriesContext(connection) as captured:
            contacts.write([Contact(device.pk, later, None) for device in chosen])
        return len(captured)

    assert queries(made[:1]) == queries(made[1:])
    assert Device.objects.filter(last_contact_at=later).count() == 20


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_what_could_not_be_written_is_written_with_the_next(error):
    written = []

    def write(found):
        if not written:
            written.append("failed")
            raise error("The database is away.")
        written.extend(found)

    first, second = (Contact(number, clock.now(), None) for number in (1, 2))
    gathered = LastContacts(write)
    noted(gathered, first)
    stop(gathered)
    noted(gathered, second)
    stop(gathered)

    assert written == ["failed", first, second]


def test_it_is_written_without_being_asked():
    written = asyncio.Queue()
    now = clock.now()

    async def wait():
        loop = asyncio.get_running_loop()
        gathered = LastContacts(
            lambda found: loop.call_soon_threadsafe(written.put_nowait, list(found)), every=0.01
        )
        gathered.note([Contact(1, now, None), Contact(2, now, None)])
        gathered.note([Contact(1, now + AGO, None)])
        return await asyncio.wait_for(written.get(), 10)

    assert asyncio.run(wait()) == [Contact(1, now + AGO, None), Contact(2, now, None)]


def test_server_that_answered_is_noted_also_when_there_was_nothing_new(api, monkeypatch):
    device, later = api.join(), clock.now() + AGO
    monkeypatch.setenv(here.VARIABLE, "ps7")

    contacts.write([Contact(device.pk, later, None)])

    assert Device.objects.get(pk=device.pk).heard_by == "ps7"
