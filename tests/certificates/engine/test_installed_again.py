"""A device that is installed again in the middle of a remint, with the agent's own code."""

import shutil

import pytest

from devices.models import Device, RegistrationKey
from tests.certificates.engine.wire import on_the_wire


@pytest.fixture
def wired(db, settings, tmp_path):
    yield from on_the_wire(settings, tmp_path)


def test_it_goes_through_the_update_anew(wired):
    home = wired.agent("ws9")
    operation = wired.reach("assigned")
    wired.wake(home)
    row = operation.update.device_updates.get(device__name="ws9")
    before = row.events.count()
    assert (row.state, row.attempt) == ("pending", 1)

    shutil.rmtree(home.path)
    RegistrationKey.objects.update(replaces=Device.objects.get(name="ws9"))
    wired.agent("ws9")

    row.refresh_from_db()
    assert (row.state, row.attempt) == ("pending", 2)
    again = list(row.events.values_list("state", flat=True))[before:]
    assert again == ["assigned", "download", "update", "pending"]
