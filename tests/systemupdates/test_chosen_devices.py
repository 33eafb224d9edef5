"""Redeploy, Ignore Device and Refresh Device: who is named in the log, and why none was moved."""

import re

import pytest
from django.urls import reverse

from devices.models import Device
from systemupdates import actions, chosen
from systemupdates.models.device_update import State
from zcc.ground import audit
from zcc.ground.models import AuditEvent


@pytest.fixture
def update(client, alice, make_device, make_update):
    for name in ("ws1", "ws2", "ws3"):
        make_device(name)
    client.force_login(alice)
    return make_update(assigned=True)


@pytest.fixture
def press(client, update):
    """Press a button for the devices of these names; return what the next page says."""

    def press(button, *names):
        pks = [Device.objects.get(name=name).pk for name in names]
        address = f"/system-updates/{update.pk}/{button}/"
        return client.post(address, {"device": pks}, follow=True).text

    return press


def logged(subject):
    return [(event.what, event.note) for event in audit.of(subject).order_by("pk")]


def test_one_device_is_named_and_has_it_in_its_history(client, press, update, alice):
    press("ignore", "ws1")
    press("redeploy", "ws1")
    press("refresh", "ws1")

    ws1 = Device.objects.get(name="ws1")
    done = ["Ignore Device", "Stop ignoring", "Refresh Device"]
    assert logged(ws1) == [(what, update.name) for what in done]
    assert logged(update)[-3:] == [(what, "ws1") for what in done]
    history = client.get(f"/devices/{ws1.pk}/history/").text
    assert all(what in history for what in done)
    assert AuditEvent.objects.filter(what__in=done, by=alice).count() == 6


def test_only_those_that_moved_are_named(press, update, now):
    failed = update.device_updates.filter(device__name="ws1")
    failed.move(to=State.FAILED, by=None, at=now, reason="Disk full.")
    press("ignore", "ws2")

    press("redeploy", "ws1", "ws2", "ws3")

    assert logged(update)[-2:] == [("Redeploy", "ws1"), ("Stop ignoring", "ws2")]
    assert logged(Device.objects.get(name="ws3")) == []


@pytest.mark.parametrize("action", [chosen.ignore, chosen.refresh_devices])
def test_more_than_a_page_of_them_are_one_event(update, alice, now, monkeypatch, action):
    monkeypatch.setattr(chosen, "MOST_NAMED", 2)

    action(update, Device.objects.filter(name__startswith="ws"), by=alice, now=now)

    assert AuditEvent.objects.get(by=alice, at=now, kind="systemupdate", note="3 devices")
    assert not AuditEvent.objects.filter(by=alice, kind="device").exists()


def test_redeploy_of_what_is_on_its_way_says_what_it_is_for(press):
    text = press("redeploy", "ws1")

    assert "ws1 is not redeployed: its status is Update Assigned." in text
    assert "Redeploy is for Update Failed and Update Ignored." in text
    assert "Refresh Device makes it do so at once." in text


def test_redeploy_of_several_says_how_many_are_where(press, update, now):
    done = update.device_updates.filter(device__name="ws1")
    done.move(to=State.COMPLETED, by=None, at=now)

    text = press("redeploy", "ws1", "ws2", "ws3")

    assert (
        "None of the 3 chosen devices is redeployed: "
        "2 in Update Assigned and 1 in Update Completed."
    ) in text


def test_redeploy_of_what_is_done_does_not_speak_of_what_is_on_its_way(press, update, now):
    update.device_updates.all().move(to=State.COMPLETED, by=None, at=now)

    assert "goes on by itself" not in press("redeploy", "ws1")


def undo(client, page):
    """Press the button of the toast."""
    form = re.search(r'<form method="post" action="([^"]+)">((?:(?!</form>).)*)id="undo"', page)
    fields = re.findall(r'name="(next|device)" value="([^"]*)"', form[2])
    data = {"next": dict(fields)["next"]}
    data["device"] = [value for name, value in fields if name == "device"]
    return client.post(form[1], data, follow=True)


def states(update):
    rows = update.device_updates.filter(device__name__startswith="ws")
    return {row.device.name: row.state for row in rows.select_related("device")}


def test_ignore_is_undone_with_one_click_where_it_was_done(client, press, update):
    page = press("ignore", "ws1")
    assert states(update)["ws1"] == State.IGNORED

    after = undo(client, page)

    assert states(update)["ws1"] == State.ASSIGNED
    assert "ws1 starts the update again at its next refresh." in after.text
    assert after.redirect_chain[-1][0] == f"/system-updates/{update.pk}/devices/"
    assert 'id="undo"' not in after.text


def test_undo_of_several_takes_back_only_what_it_did(client, press, update):
    press("ignore", "ws1")
    page = press("ignore", "ws1", "ws2", "ws3")
    assert "2 of 3 chosen devices are left out" in page

    undo(client, page)

    assert states(update) == {"ws1": "ignored", "ws2": "assigned", "ws3": "assigned"}


@pytest.mark.parametrize("button", ["redeploy", "refresh"])
def test_only_ignore_is_undone(press, update, now, button):
    update.device_updates.filter(device__name="ws1").move(to=State.FAILED, by=None, at=now)

    assert 'id="undo"' not in press(button, "ws1")


def test_nothing_ignored_is_nothing_to_undo(press, update, now):
    update.device_updates.all().move(to=State.COMPLETED, by=None, at=now)

    assert 'id="undo"' not in press("ignore", "ws1")


def test_ignore_of_what_is_done_says_what_it_is_for(press, update, now):
    update.device_updates.all().move(to=State.COMPLETED, by=None, at=now)

    text = press("ignore", "ws1")

    assert "ws1 is not left out: its status is Update Completed." in text
    assert "What has completed it has the new trust already." in text


def test_refresh_of_a_primary_server_says_why_not(press):
    text = press("refresh", "ps1")

    assert "ps1 is not asked to refresh. A Primary Server sees what is new by itself" in text


def test_device_that_is_not_in_the_update_is_said_so(press, update, make_device):
    make_device("late")

    text = press("redeploy", "late")

    assert "late is not redeployed: this update is not its own." in text


def test_baseline_names_all_servers_that_have_not_completed_it(update, make_device, now):
    for name in ("ps2", "ps3"):
        actions.add_late_comer(update, make_device(name, kind="primary"), now=now)

    assert actions.why_not_baselined(update).endswith("completed it: ps1, ps2 and ps3 have not.")


def test_those_that_were_left_as_they_are_are_told_of_with_the_reason(press, update, now):
    rows = update.device_updates
    rows.filter(device__name="ws1").move(to=State.FAILED, by=None, at=now, reason="Disk full.")
    rows.filter(device__name="ws2").move(to=State.COMPLETED, by=None, at=now)

    text = press("redeploy", "ws1", "ws2")
    assert "1 of 2 chosen devices start the update again" in text
    assert "ws2 is left as it is: its status is Update Completed." in text

    text = press("ignore", "ws1", "ws2", "ws3")
    assert "2 of 3 chosen devices are left out" in text
    assert "ws2 is left as it is" in text

    text = press("refresh", "ws1", "ps1")
    assert "ps1 is not. A Primary Server sees what is new by itself" in text


@pytest.mark.parametrize("button", ["ignore", "redeploy"])
def test_retired_device_is_left_as_it_is(client, press, update, now, button):
    if button == "redeploy":
        update.device_updates.move(to=State.FAILED, by=None, at=now)
    before = states(update)
    ws1 = Device.objects.get(name="ws1")
    Device.objects.filter(pk=ws1.pk).update(retired_at=now)

    assert "it is retired. Bring it back first." in press(button, "ws1")

    assert states(update) == before
    assert f"/{button}/" not in client.get(reverse("systemupdates:of_device", args=[ws1.pk])).text


def test_primary_server_has_the_button_with_the_reason(client, update):
    ps1 = Device.objects.get(name="ps1")

    page = client.get(reverse("systemupdates:of_device", args=[ps1.pk]))

    assert "Every Primary Server must switch." in page.text
    assert 'aria-disabled="true"' in page.text and "/ignore/" not in page.text
