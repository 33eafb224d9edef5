"""A device that has completed a newer update is not pending in an older one."""

import pytest

from systemupdates import actions, api
from systemupdates.models import DeviceUpdate, DeviceUpdateEvent, SystemUpdate
from systemupdates.models.device_update import State


@pytest.fixture
def device(make_device):
    return make_device("phone2")


@pytest.fixture
def older(device, make_update):
    return make_update(assigned=True)


@pytest.fixture
def newer(older, make_update):
    newer = make_update(assigned=True)
    SystemUpdate.objects.update(wave=2)
    SystemUpdate.objects.filter(pk=newer.pk).update(name="Change CA")
    return newer


def row_of(update, device):
    return DeviceUpdate.objects.get(update=update, device=device)


def report_completed(device, update, now):
    step = {"update": str(update.guid), "attempt": 1, "state": "completed"}
    api.record(device, {"steps": [step]}, now=now)


@pytest.mark.parametrize("state", ["assigned", "download", "update", "pending"])
def test_older_update_is_completed_with_the_newer_one(device, older, newer, now, state):
    DeviceUpdate.objects.filter(update=older, device=device).update(state=state)

    report_completed(device, newer, now)

    row = row_of(older, device)
    assert (row.state, row.reason) == (
        State.COMPLETED,
        "Overtaken by Change CA, which it has completed.",
    )
    assert not row.events.last().is_reported
    assert row_of(newer, device).events.last().is_reported
    assert api.update_for(device) is None


@pytest.mark.parametrize("state", ["ignored", "failed", "withdrawn"])
def test_what_is_not_pending_stays_as_it_is(device, older, newer, now, state):
    DeviceUpdate.objects.filter(update=older, device=device).update(state=state)

    report_completed(device, newer, now)

    assert row_of(older, device).state == state


def test_device_that_was_left_pending_is_set_right_once_at_its_next_refresh(
    device, older, newer, now, django_assert_num_queries
):
    DeviceUpdate.objects.filter(update=newer, device=device).update(state=State.COMPLETED)

    api.record(device, {}, now=now)
    events = DeviceUpdateEvent.objects.count()
    with django_assert_num_queries(1):
        api.record(device, {}, now=now)

    assert row_of(older, device).state == State.COMPLETED
    assert DeviceUpdateEvent.objects.count() == events


def test_others_and_a_newer_update_are_left_alone(device, older, newer, make_device, now):
    server = SystemUpdate.objects.get(pk=older.pk).initiating_server

    report_completed(device, older, now)
    report_completed(device, newer, now)

    assert row_of(older, device).reason == ""  # it said so itself
    assert row_of(older, server).state == State.ASSIGNED


def test_older_completed_update_completes_no_newer_one(device, older, newer, now):
    report_completed(device, older, now)

    assert row_of(newer, device).state == State.ASSIGNED


def test_update_that_was_taken_back_has_overtaken_nothing(device, older, newer, now):
    DeviceUpdate.objects.filter(update=newer, device=device).update(state=State.COMPLETED)
    actions.withdraw(SystemUpdate.objects.get(pk=newer.pk), by=None, now=now)

    api.record(device, {}, now=now)

    assert row_of(older, device).state == State.ASSIGNED


def test_baselined_update_is_completed_with_the_newer_one_too(device, older, newer, now):
    SystemUpdate.objects.filter(pk=older.pk).update(state="baselined")

    report_completed(device, newer, now)

    assert row_of(older, device).state == State.COMPLETED


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ("assigned", "Not taken"),
        ("download", "Download not completed"),
        ("update", "Update not completed"),
        ("pending", "Activation not reported"),
    ],
)
@pytest.mark.parametrize("over", ["baselined", "deleted"])
def test_update_that_is_over_is_not_said_to_go_on(client, bob, device, older, state, word, over):
    DeviceUpdate.objects.filter(update=older, device=device).update(state=state)
    SystemUpdate.objects.filter(pk=older.pk).update(state=over)
    client.force_login(bob)

    tab = client.get(f"/devices/{device.pk}/updates/").text
    rows = client.get(f"/system-updates/{older.pk}/devices/?status={state}").text

    assert f"<h3>{word}; the update was {over}</h3>" in tab
    assert State(state).label not in rows and rows.count(word) >= 2  # its chip, and its row


def test_status_that_is_final_stays_when_the_update_is_over(client, bob, device, older):
    DeviceUpdate.objects.filter(update=older, device=device).update(state=State.FAILED)
    SystemUpdate.objects.filter(pk=older.pk).update(state="baselined")
    client.force_login(bob)

    tab = client.get(f"/devices/{device.pk}/updates/").text

    assert "Update Failed" in tab and "the update was baselined" not in tab
