"""Enrol device: lines that are pasted as they are, and the page says when the device is there."""

import html
import re
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from devices import joining
from devices.actions import check_enrolment, enrol, revoke_registration_key
from devices.models import Device, RegistrationKey
from tests.devices.enrolment_links import server

__all__ = ["server"]

ENROL = "/devices/enrol/"
VALID = {"kind": "server", "name": "", "folder": "/Servers/Oslo"}


@pytest.fixture
def dialog(client, alice, server):
    client.force_login(alice)

    def post(**changes):
        return client.post(ENROL, VALID | changes)

    return post


def lines_of(response):
    text = re.search(r"<pre[^>]*><code>(.*?)</code>", response.text, re.DOTALL)[1]
    return html.unescape(text)


def join(text, **facts):
    key = re.search(r"--key (\S+)", text)[1]
    kind = re.search(r"--kind (\S+)", text)[1]
    return lambda now: enrol(key, check_enrolment({"name": "w", "kind": kind, **facts}), now=now)[0]


def test_lines_let_one_device_join_and_the_dialog_says_so(client, dialog, now):
    response = dialog()
    key = RegistrationKey.objects.get()
    before = client.get(f"{ENROL}{key.pk}/").text

    device = join(lines_of(response))(now)

    after = client.get(f"{ENROL}{key.pk}/").text
    assert (device.kind, device.folder) == ("server", "/Servers/Oslo")
    assert "Waiting for the device." in response.text
    assert "Waiting for the device." in before
    assert "w has joined the zone." in after
    assert f'href="/devices/{device.pk}/"' in after
    assert "hx-trigger" in before
    assert "hx-trigger" not in after  # nothing is waited for any more


def test_key_is_for_one_device_and_ends_the_next_day(dialog, now):
    dialog()

    key = RegistrationKey.objects.get()

    assert key.uses_left == 1
    assert (key.expires_at - key.created_at).days == 1


def test_pasted_lines_stop_at_the_first_that_does_not_work(dialog, tmp_path):
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, code in (("curl", 0), ("sha256sum", 1), ("python3", 0)):
        script = commands / name
        script.write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/ran\nexit {code}\n')
        script.chmod(0o755)

    lines = lines_of(dialog(name="karis-laptop"))
    subprocess.run(["sh", "-c", lines], env={"PATH": f"{commands}:/usr/bin:/bin"}, check=False)

    ran = (tmp_path / "ran").read_text().splitlines()
    assert [line.split()[0] for line in ran] == ["curl", "sha256sum"]


def test_name_goes_through_the_shell_unharmed(server):
    lines = joining.lines("a-key", name="Kari's $HOME laptop", kind="workstation")
    given = lines[lines.index("python3") : lines.index(" &&\npython3 agent.pyz run")]

    shown = subprocess.run(
        ["sh", "-c", f"python3() {{ printf '%s\\n' \"$@\"; }}\n{given}"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "Kari's $HOME laptop" in shown.stdout.splitlines()


def test_revoked_key_is_not_waited_for(client, dialog, alice, now):
    dialog()
    key = RegistrationKey.objects.get()
    address = f"{ENROL}{key.pk}/"
    revoke_registration_key(key, by=alice, now=now)

    assert "The key in these lines is no longer in force." in client.get(address).text


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("kind", "mobile", "Select a valid choice"),
        ("folder", "/Oslo", "A folder is one of Servers, Workstations and Mobile Devices"),
        ("folder", "/Workstations/Oslo", "is not for a device of the kind Server"),
        ("name", "Kari's laptop", "A device&#x27;s name is its DNS name."),
        ("name", "x\u202ey", "A device&#x27;s name is its DNS name."),
    ],
)
def test_what_does_not_fit_is_said_and_no_key_is_made(dialog, field, value, sentence):
    response = dialog(**{field: value})

    assert response.status_code == 422
    assert sentence in response.text
    assert not RegistrationKey.objects.exists()


def test_name_of_a_device_in_contact_is_refused_unless_it_is_replaced(dialog, make_device, now):
    device = make_device("w", last_full_refresh_at=now)

    refused = dialog(name="w")
    assert refused.status_code == 422
    assert "w is in contact. Choose another name; or" in refused.text
    assert not RegistrationKey.objects.exists()

    again = join(lines_of(dialog(name="w", replaces="on")))(now)
    assert again == device
    assert RegistrationKey.objects.get().replaces == device


def test_name_of_a_silent_device_needs_no_tick(dialog, make_device, now):
    device = make_device("w", last_full_refresh_at=now - timedelta(days=3))

    assert join(lines_of(dialog(name="w")))(now) == device


@pytest.mark.parametrize(
    ("name", "facts", "sentence"),
    [
        ("nobody", {}, "There is no device of this name to replace."),
        ("", {}, "There is no device of this name to replace."),
        ("w", {"kind": "primary"}, "w is a Primary Server."),
        ("w", {"retired_at": datetime(2026, 1, 1, tzinfo=UTC)}, "w is retired."),
    ],
)
def test_what_cannot_be_replaced_is_said(dialog, make_device, name, facts, sentence):
    make_device("w", **facts)

    response = dialog(name=name, replaces="on")

    assert response.status_code == 422
    assert sentence in response.text


def test_button_is_on_devices_and_in_the_empty_list(client, alice, zone):
    client.force_login(alice)

    text = client.get("/devices/").text

    assert not Device.objects.exists()
    assert text.count(f'hx-get="{ENROL}"') == 2


def test_who_may_only_look_cannot(client, bob, server):
    client.force_login(bob)

    assert client.post(ENROL, VALID).status_code == 403
    assert client.get(f"{ENROL}1/").status_code == 403
    assert f'href="{ENROL}"' not in client.get("/devices/").text


def test_keys_say_who_joined_with_them_last(client, dialog, now):
    join(lines_of(dialog()))(now)

    text = client.get("/devices/registration-keys/").text

    assert "last joined:" in text
    assert "Used up" in text
    assert ">Remove</button>" in text
