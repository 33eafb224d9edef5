"""
Refreshes with nothing new, asked of three Primary Servers as processes, over TLS.

What ends a device's right to be answered, or changes what it is told, is only a row that somebody
else has written: the very next refresh shows it, on each server, also with an emptied broker.
"""

import base64
import json
import signal
from datetime import UTC, datetime

import pytest

from agent import client, pem
from tests.journeys.database import instant
from tests.journeys.zone import SERVERS, RunningZone
from zcc.ground import ports

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
SET = """
import os, sys; os.environ["DJANGO_SETTINGS_MODULE"] = "zcc.settings"
import django; django.setup()
from devices.models import Device
name, column, value = sys.argv[1:]
Device.objects.filter(name=name).update(**{column: value or None})
"""


class Workstation:
    """A device that has all that there is to be had, and refreshes when the test says so."""

    def __init__(self, zone, name):
        self.zone, self.name = zone, name
        self.context = client.trusting((zone.server_home("ps1") / "security/ca.cert").read_bytes())
        told = json.loads((zone.device_home("osl-ws-01") / "enrol.json").read_text())
        fields = {"key": told["key"], "kind": "workstation", "name": name, "version": "1.0.0"}
        joined = self.call("ps1", "/device/enrol", fields).body
        self.token = joined["token"]
        self.report = {"version": "1.0.0", "roles": [], "steps": [], "epoch": 0, "trust": []}
        envelope = self.refresh("ps1")["manifest"]
        payload = json.loads(base64.b64decode(json.loads(envelope)["payload"]))
        trusted = sorted(pem.fingerprint(anchor.encode()) for anchor in payload["anchors"])
        self.report |= {"epoch": payload["epoch"], "trust": trusted}
        assert self.refresh("ps1")["manifest"] is None

    def call(self, server, path, fields, token=""):
        url = ports.device_url(self.zone.address(server))
        context = self.context
        return client.call(url, path, context=context, body=lambda peer: fields, token=token)

    def refresh(self, server):
        return self.call(server, "/device/refresh", self.report, self.token).body

    def statuses(self):
        """Return how each server answers."""
        found = []
        for server in SERVERS:
            try:
                self.refresh(server)
                found.append(200)
            except client.Refused as error:
                found.append(error.status)
        return found

    def set(self, column, value):
        self.zone.python("-c", SET, self.name, column, value)

    def is_heard_of(self):
        query = "SELECT last_contact_at FROM devices_device WHERE name = ?"
        return instant(self.zone.one(query, self.name)) > LONG_AGO

    def was_away(self):
        self.set("last_contact_at", str(LONG_AGO))
        assert not self.is_heard_of()


@pytest.fixture(scope="module")
def zone():
    running = RunningZone(own_broker=True)
    try:
        running.set_up()
        running.start()
        yield running
        left = running.stop()
    finally:
        running.remove()
    assert left == {}


def test_what_revokes_a_device_holds_for_its_next_refresh_on_every_server(zone):
    device = Workstation(zone, "ws1")
    assert device.statuses() == [200, 200, 200]

    for column, value, status in [
        ("retired_at", str(LONG_AGO), 403),
        ("retired_at", "", 200),
        ("token_hash", "ab" * 32, 401),
    ]:
        zone.empty_broker()
        device.set(column, value)
        assert device.statuses() == [status] * 3


def test_what_everybody_is_told_is_new_at_the_next_refresh_on_every_server(zone):
    device = Workstation(zone, "ws2")
    zone.order("schedule", 4, 3)
    assert [device.refresh(server)["next_refresh"] for server in SERVERS] == [3, 3, 3]

    zone.order("schedule", 4, 5)

    assert [device.refresh(server)["next_refresh"] for server in SERVERS] == [5, 5, 5]


def test_last_contact_is_written_by_itself(zone):
    device = Workstation(zone, "ws3")
    device.was_away()

    device.refresh("ps2")

    zone.wait(device.is_heard_of, 20, "the last contact to be written")


def test_killed_process_loses_a_moment_of_last_contacts_and_nothing_else(zone):
    device = Workstation(zone, "ws4")
    device.was_away()
    device.refresh("ps1")

    zone.kill9("device_api", "ps1")

    zone.wait(zone.is_up, 30, "the servers to answer")
    device.refresh("ps1")
    zone.wait(device.is_heard_of, 20, "the last contact to be written")


def test_server_that_stops_writes_what_it_has_gathered(zone):
    device = Workstation(zone, "ws5")
    device.was_away()
    device.refresh("ps1")

    zone.stop(signal.SIGTERM)

    assert device.is_heard_of()
    zone.start()
