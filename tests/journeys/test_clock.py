"""
One server's clock is 10 s fast. It changes nothing, and it is shown.

On PostgreSQL only: with SQLite there is one host, and so one clock.
"""

import os
import ssl
import urllib.request
from datetime import timedelta
from itertools import groupby
from pathlib import Path

import pytest

from tests.journeys import clocks
from tests.journeys.database import instant
from tests.journeys.zone import SERVERS, RunningZone

FAST = "ps2"
EVERYONE = {*SERVERS, "auth1"}

pytestmark = [
    pytest.mark.skipif(
        not os.environ.get("DATABASE_URL", "").startswith("postgres"),
        reason="SQLite means one host, and one clock",
    ),
    clocks.needs_faketime,
]


@pytest.fixture(scope="module")
def zone():
    running = RunningZone(apart=True)
    try:
        running.set_up()
        for name in SERVERS:
            environment = clocks.shifted("+10s") if name == FAST else {}
            running.start_server(name, **environment)
        running.wait(running.is_up, 60, "the Primary Servers to answer")
        running.start_agents()
        running.wait_for_agents()
        yield running
        left = running.stop()
    finally:
        running.remove()
    assert left == {}


def test_fast_clock_is_measured_and_shown(zone):
    query = "SELECT skew FROM devices_heartbeat h JOIN devices_device d ON d.id = h.server_id"
    of_one = f"{query} WHERE d.name = ?"

    assert abs(zone.one(of_one, FAST) - timedelta(seconds=10)) < timedelta(seconds=5)
    assert abs(zone.one(of_one, "ps1")) < timedelta(seconds=5)
    context = ssl.create_default_context(cafile=str(trust_file(zone)))
    address = f"https://{zone.address('ps1')}:7443/health"
    assert urllib.request.urlopen(address, context=context, timeout=10).status == 200


def trust_file(zone):
    return Path(zone.device_home("osl-ws-01")) / "trust.pem"


def test_remint_goes_its_way_and_nobody_switches_early(zone):
    operation = zone.remint(50)
    zone.wait_for_state(operation, "overlap", timeout=80)
    zone.wait(
        lambda: zone.steps(operation, "activated_at") == EVERYONE,
        15,
        "all to switch",
        lambda: zone.situation(operation),
    )

    steps = zone.rows(
        "SELECT d.name, s.activated_at FROM certificates_serverprogress s"
        " JOIN devices_device d ON d.id = s.device_id WHERE s.operation_id = ?",
        operation,
    )
    for name, at in steps:
        assert instant(at) >= zone.activate_at(operation), name
    events = "SELECT state FROM certificates_operationevent WHERE operation_id = ? ORDER BY id"
    # A busy machine may hold it for a moment, which is an event of the same state.
    assert [state for (state,), _ in groupby(zone.rows(events, operation))] == [
        "preparing",
        "replicating",
        "assigned",
        "armed",
        "activating",
        "overlap",
    ]
