"""`Retire` on a device that takes part in an operation: the dialog says what becomes of that."""

import pytest
from django.urls import reverse

from certificates.models import Operation
from devices.models import Device
from systemupdates.models import DeviceUpdate
from tests.certificates import building

NOT_TOLD = "it is not waited for, and is told nothing more of the new CA"


@pytest.fixture
def ask(client, zone):
    """Open the dialog of a device as somebody who may retire it; return its text."""
    client.force_login(building.make_person("mona", "manage_devices"))

    def ask(name):
        device = Device.objects.get(name=name)
        return client.get(reverse("devices:retire_device", args=[device.pk])).text

    return ask


def test_without_an_operation_nothing_more_is_said(ask, ca):
    assert "It takes part in an operation" not in ask("auth1")


def test_device_is_told_nothing_more(ask, make_operation, zone, now):
    building.make_device(zone, "ws1", now, kind="workstation")
    make_operation("assigned")

    text = ask("ws1")

    assert f"Remint CA goes on without ws1: {NOT_TOLD}." in text
    assert "brought back before the old CA is retired it catches up" in text
    assert "certificate" not in text.partition("goes on without")[2].partition("catches up")[0]


@pytest.mark.parametrize(
    ("state", "column", "sentence"),
    [
        ("assigned", "staged_at", "Its future certificate is not put to use"),
        ("armed", "staged_at", "it switches to its future certificate by itself"),
        ("armed", "armed_at", "it switches to its future certificate by itself"),
        ("armed", "activated_at", "It goes on showing the certificate that it shows."),
    ],
)
def test_of_a_satellite_it_says_which_certificate_it_shows(
    ask, make_operation, now, state, column, sentence
):
    operation = make_operation(state)
    facts = {"staged_at": None, "armed_at": None, column: now}
    operation.servers.filter(device__name="auth1").update(**facts)

    assert sentence in ask("auth1")


def test_of_a_satellite_without_one_it_says_that_it_gets_none(ask, make_operation):
    operation = make_operation("assigned")
    operation.server_certificates.filter(device__name="auth1").delete()

    assert "It gets no future certificate" in ask("auth1")


def test_nobody_waits_for_the_copy_of_a_content_satellite(ask, make_operation, zone, now):
    building.make_device(zone, "cache1", now, kind="server", is_content_satellite=True)
    make_operation("replicating")

    assert "Nobody waits for its copy of the update" in ask("cache1")


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ("cancelling", "What it has left on auth1 stays there."),
        ("rolling_back", "auth1 is not told to go back."),
    ],
)
def test_what_is_taken_back_stays_on_it(ask, make_operation, state, sentence):
    Operation.objects.filter(pk=make_operation("assigned").pk).update(state=state)

    text = ask("auth1")

    assert sentence in text
    assert "If it is brought back it follows at its next refresh." in text


def test_in_strict_it_comes_back_with_the_tool_only(ask, make_operation):
    Operation.objects.filter(pk=make_operation("assigned").pk).update(policy="strict")

    assert "after that it needs the Certificate Updater Tool" in ask("auth1")


def test_of_who_has_done_all_nothing_is_said(ask, make_operation, now):
    operation = make_operation("overlap")
    operation.servers.filter(device__name="auth1").update(activated_at=now)
    DeviceUpdate.objects.filter(device__name="auth1").update(state="completed")

    assert "It takes part in an operation" not in ask("auth1")
