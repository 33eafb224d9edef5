"""Devices that wait for `Refresh Device`: nobody costs a thread, and everybody is rung for."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import InterfaceError, OperationalError, connection

from devices import actions
from devices.models import Device
from tests.zcc.test_device_api import Api
from zcc import device_api, parked
from zcc.ground import clock, here
from zcc.parked import Parked, TooMany


class Asked:
    """Which devices are asked to refresh, and how often that was looked up."""

    def __init__(self, *devices):
        self.devices, self.looks = set(devices), 0

    def __call__(self):
        self.looks += 1
        return self.devices


@pytest.fixture
def executor():
    with ThreadPoolExecutor(1) as executor:
        yield executor


def wait_all(waiting, devices, seconds):
    async def wait_all():
        gone = asyncio.Event()
        calls = [waiting.wait(device, gone=gone, seconds=seconds) for device in devices]
        return await asyncio.gather(*calls)

    return asyncio.run(wait_all())


def test_only_those_that_are_asked_are_rung_for(executor):
    asked = Asked(2, 3)

    assert wait_all(Parked(asked, executor), [1, 2, 3], 0.5) == [False, True, True]


def test_many_that_wait_cost_one_query_a_look(executor, monkeypatch):
    monkeypatch.setattr(parked, "LOOK_EVERY", 60)
    asked = Asked(999)
    rung = wait_all(Parked(asked, executor), range(2000), 2)

    assert (sum(rung), asked.looks) == (1, 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_database_that_is_away_rings_for_nobody(error):
    def away(*_):
        raise error("The connection is closed.")

    with connection.execute_wrapper(away):
        assert device_api._asked_to_refresh() == set()


def test_nobody_waits_nobody_looks(executor):
    asked = Asked()
    waiting = Parked(asked, executor)
    wait_all(waiting, [1], 0.05)

    assert (len(waiting), asked.looks) == (0, 1)


def test_device_that_hangs_up_is_forgotten(executor):
    waiting = Parked(Asked(), executor)

    async def hang_up():
        gone = asyncio.Event()
        call = asyncio.create_task(waiting.wait(1, gone=gone, seconds=60))
        await asyncio.sleep(0)
        gone.set()
        return await call

    assert asyncio.run(hang_up()) is False
    assert len(waiting) == 0


def test_one_device_may_wait_twice(executor):
    assert wait_all(Parked(Asked(7), executor), [7, 7], 5) == [True, True]


def test_server_that_is_full_says_so(executor):
    with pytest.raises(TooMany):
        wait_all(Parked(Asked(), executor, most=1), [1, 2], 0.1)


# Through the device API


@pytest.fixture
def api(transactional_db, settings, tmp_path, monkeypatch):
    settings.ZCC_HOME = tmp_path
    settings.SECRET_KEY_FILE = tmp_path / "secrets/secret_key"
    monkeypatch.setenv(here.VARIABLE, "ps1")
    return Api()


def waits(api, token):
    """Wait as a device does; return status and answer."""
    sent, headers = [], [(b"authorization", b"Bearer " + token.encode())]

    async def call():
        asked = [{"type": "http.request", "body": b"{}", "more_body": False}]

        async def receive():
            return asked.pop() if asked else await asyncio.Event().wait()

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/device/wait", "headers": headers}
        await device_api.app(scope, receive, send)

    asyncio.run(call())
    return sent[0]["status"], json.loads(sent[1]["body"])


def test_device_that_is_asked_hears_of_it_and_its_refresh_takes_that_back(api):
    device = api.join()
    actions.ask_refresh(Device.objects.all(), now=clock.now())

    assert waits(api, api.token) == (200, {"refresh": True})
    api.refresh(version="1.0.0")
    device.refresh_from_db()
    assert device.refresh_asked_at is None


def test_stranger_does_not_wait(api):
    api.join()

    assert waits(api, "unknown")[0] == 401


def test_primary_server_and_retired_device_are_not_asked(api):
    device = api.join()
    Device.objects.filter(pk=device.pk).update(retired_at=clock.now())

    assert actions.ask_refresh(Device.objects.all(), now=clock.now()) == 0
    assert waits(api, api.token)[0] == 403
