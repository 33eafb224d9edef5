"""An update that failed because no server gave its content: who it was, and what mends it."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from agent.content import NOT_STORED
from agent.home import Home
from devices.models import Device, Kind
from systemupdates import api, replication
from systemupdates.models import DeviceUpdate, Replication, SystemUpdate
from tests.agent.server import ContentServer

REASON = "No content: 10.0.0.1 does not have it, 10.0.0.11 did not answer."
REMEDY = 'Open <a class="z-inline" href="/system-updates/content/">Content replication</a>'


@pytest.fixture
def update(make_device, make_update):
    make_device("ws1", kind=Kind.SERVER, is_content_satellite=True, addresses=["10.0.0.7"])
    make_device("ps2", kind=Kind.PRIMARY_SERVER, addresses=["10.0.0.1"])
    make_device("ps3", kind=Kind.PRIMARY_SERVER, addresses=["10.0.0.111"])
    return make_update(assigned=True)


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


def report(update, reason, now):
    step = {"update": str(update.guid), "attempt": 1, "state": "failed", "reason": reason}
    api.record(Device.objects.get(name="ws1"), {"steps": [step]}, now=now)
    return DeviceUpdate.objects.get(device__name="ws1")


def test_servers_that_are_known_are_named(update, now):
    row = report(update, REASON, now)

    assert row.reason == "No content: ps2 does not have it, 10.0.0.11 did not answer."
    assert row.lacks_content


def test_another_reason_is_kept_as_it_is(update, now):
    row = report(update, "With the new trust no server is reached. 10.0.0.1 is away.", now)

    assert "10.0.0.1 is away" in row.reason and not row.lacks_content


def test_satellite_that_cannot_fetch_names_the_server_too(update, now):
    item = {"sha256": "c" * 64, "size": 1, "state": "failed", "error": REASON}

    api.record(Device.objects.get(name="ws1"), {"content": [item]}, now=now)

    assert "ps2 does not have it" in Replication.objects.get(server__name="ws1").last_error


def test_pages_say_what_mends_it_as_long_as_it_can_be_mended(client, bob, update, now):
    row = report(update, REASON, now)
    client.force_login(bob)
    tab = f"/devices/{row.device_id}/updates/"
    status = f"/system-updates/{update.pk}/devices/"

    assert REMEDY in client.get(tab).text and REMEDY in client.get(status).text
    summary = client.get(f"/devices/{row.device_id}/").text
    assert "Open Content replication and Replicate now, then Redeploy." in summary

    update.device_updates.update(reason="Disk full.")
    assert REMEDY not in client.get(status).text
    update.device_updates.update(reason=REASON)
    update.baseline(by=None, at=now)
    assert REMEDY not in client.get(tab).text + client.get(status).text


class NotThere(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(404)

    def log_message(self, *args):
        """Say nothing."""


def test_server_says_it_as_devices_do(update, home, monkeypatch):
    with HTTPServer(("127.0.0.1", 0), NotThere) as there:
        threading.Thread(target=there.serve_forever, args=[0.02], daemon=True).start()
        ports = {"ps2": there.server_port, "ps3": 1}
        monkeypatch.setattr(
            replication, "content_url", lambda server, _: f"http://127.0.0.1:{ports[server.name]}/"
        )
        sources = [Device.objects.get(name=name) for name in ports]
        with pytest.raises(replication.NoSource) as failed:
            replication.bring(update, home=home, sources=sources)
        there.shutdown()

    assert str(failed.value) == "No content: ps2 does not have it, ps3 did not answer."
    with pytest.raises(replication.NoSource, match="no server has it yet"):
        replication.bring(update, home=home, sources=[])


@pytest.mark.parametrize(("state", "is_warned"), [("failed", True), ("available", False)])
def test_redeploy_warns_when_no_server_has_the_content(
    client, alice, update, now, state, is_warned
):
    row = report(update, REASON, now)
    Replication.objects.update(state=state)
    client.force_login(alice)

    page = client.post(
        f"/system-updates/{update.pk}/redeploy/", {"device": row.device_id}, follow=True
    ).text

    assert "ws1 starts the update again" in page
    assert ("No server holds the content now, so the update will fail again." in page) == is_warned


def test_redeploy_that_changed_nothing_warns_of_nothing(client, alice, update):
    Replication.objects.all().delete()
    client.force_login(alice)
    device = Device.objects.get(name="ps2")

    page = client.post(
        f"/system-updates/{update.pk}/redeploy/", {"device": device.pk}, follow=True
    ).text

    assert "is not redeployed" in page and "No server holds" not in page


def test_device_that_could_not_store_it_is_what_is_to_be_mended(client, bob, update, now):
    row = report(update, f"{NOT_STORED} No space left on device (/home/zone/content-repo).", now)
    client.force_login(bob)
    pages = [f"/devices/{row.device_id}/{tab}" for tab in ("", "updates/")]

    for page in [*pages, f"/system-updates/{update.pk}/devices/"]:
        said = client.get(page).text
        assert "On the device make space, or mend that folder, then" in said
        assert "Replicate now" not in said


def test_server_that_cannot_store_it_blames_no_other(update, home):
    content = b"content"
    SystemUpdate.objects.update(content_sha256=hashlib.sha256(content).hexdigest())
    update.refresh_from_db()
    (home.path / "content-repo").write_bytes(b"no folder")
    with (
        ContentServer(**{update.content_sha256: content}) as source,
        pytest.MonkeyPatch.context() as at,
    ):
        at.setattr(replication, "content_url", lambda _, sha256: f"{source.url}/content/{sha256}")
        with pytest.raises(replication.NoSource) as failed:
            replication.bring(update, home=home, sources=[Device.objects.get(name="ps2")])

    assert str(failed.value) == f"{NOT_STORED} Not a directory ({home.path / 'content-repo'})."
