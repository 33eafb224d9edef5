"""`Rescue device`: the line on a silent device's page brings it back, with the tool of the zone."""

import html
import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from certificates.models import UpdaterTool
from devices.models import Device, Kind
from zcc.ground import clock, here


@pytest.fixture
def client(living):
    client = Client()
    client.force_login(living.alice)
    return client


def silent(name, **changes):
    Device.objects.filter(name=name).update(
        last_contact_at=clock.now() - timedelta(days=30), **changes
    )
    return Device.objects.get(name=name)


def dialog(device):
    return reverse("certificates:rescue_device", args=[device.pk])


def test_silent_device_is_offered_the_tool_in_lines_to_paste(client, living):
    living.reach("assigned")
    device = silent("ws1")

    page = client.get(reverse("devices:summary", args=[device.pk])).text
    shown = client.get(dialog(device)).text

    tool = UpdaterTool.objects.get()
    address = Device.objects.get(name="ps1").address
    lines = html.unescape(re.search(r"<pre[^>]*><code>(.*?)</code>", shown, re.DOTALL)[1])
    assert dialog(device) in page
    assert lines.splitlines() == [
        f"curl -fO http://{address}:7480/zenworks-setup/{tool.file_name} &&",
        f'echo "{tool.sha256}  {tool.file_name}" | sha256sum -c &&',
        f"python3 {tool.file_name} --home ~/zone-agent",
    ]
    assert (here.home("ps1").path / "zenworks-setup" / tool.file_name).exists()


def test_it_says_what_to_do_with_a_wrong_clock_and_without_the_zones_key(client, living):
    living.reach("assigned")

    shown = client.get(dialog(silent("ws1"))).text

    assert "run the last line again with <code>--set-clock</code>" in shown
    assert "enrols again: remove its folder" in shown
    assert "tick <b>It replaces the device of this name</b>" in shown


def test_server_that_does_not_report_is_not_the_one_to_fetch_it_from(client, living):
    living.reach("assigned")
    living.beat("ps1", ago=timedelta(hours=1))

    shown = client.get(dialog(silent("ws1"))).text

    assert f"http://{Device.objects.get(name='ps2').address}:7480" in shown


def test_without_a_tool_it_says_how_to_enrol_again(client, living):
    shown = client.get(dialog(silent("ws1"))).text

    assert "No Certificate Updater Tool is offered now." in shown
    assert "enter the name <b>ws1</b>" in shown


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"kind": Kind.MOBILE}, "it gets another identity by a Re-enrolment link"),
        ({"kind": Kind.PRIMARY_SERVER}, "its worker puts its trust in order by itself"),
        ({"retired_at": "2026-01-01T00:00Z"}, "ws1 is retired. Bring it back first."),
    ],
)
def test_what_cannot_be_rescued_so_says_why(client, living, changes, sentence):
    living.reach("assigned")

    shown = client.get(dialog(silent("ws1", **changes))).text

    assert sentence in shown
    assert "curl" not in shown


def test_device_in_contact_is_left_in_peace(client, living):
    Device.objects.filter(name="ws1").update(last_contact_at=clock.now())
    device = Device.objects.get(name="ws1")

    assert "rescue-device" not in client.get(reverse("devices:summary", args=[device.pk])).text
