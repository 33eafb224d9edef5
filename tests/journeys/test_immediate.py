"""
`Immediate`, in a running zone: its CA expired a year ago, and every certificate with it.

The zone was set up eleven years ago, by its own clock, and lived then for as long as its devices
needed to enrol. Today its servers and devices start again.
"""

from datetime import timedelta

import pytest

from tests.journeys import clients, clocks
from tests.journeys.certificates import authorities
from tests.journeys.database import instant
from tests.journeys.zone import SERVERS, RunningZone

pytestmark = clocks.needs_faketime
AGO = "-4018d"  # the CA of the demo zone is good for ten years
PORTS = {**dict.fromkeys(SERVERS, (7443, 7444)), "auth1": (8443,)}


@pytest.fixture(scope="module")
def zone():
    then = clocks.shifted(AGO)
    running = RunningZone(**then)
    try:
        running.set_up()
        running.start()
        running.start_agents()
        running.wait_for_agents()
        left = running.stop()
        assert left == {}
        for name in then:
            del running.environment[name]
        running.start()
        running.start_agents()
        yield running
        left = running.stop()
    finally:
        running.remove()
    assert left == {}


@pytest.fixture(scope="module")
def operation(zone, tmp_path_factory):
    """The remint, from its start until every device is back."""
    old = tmp_path_factory.mktemp("old") / "old.pem"
    old.write_text(authorities(zone)[1])
    assert len(clients.refusals([old], places(zone))) >= len(places(zone))

    number = zone.remint(0)

    zone.wait_for_state(number, "overlap", timeout=60)
    everyone = dict.fromkeys((*SERVERS, *zone.devices), "completed")
    zone.wait(
        lambda: zone.device_updates(number) == everyone,
        60,
        "every device to be back",
        lambda: zone.situation(number),
    )
    return number


def places(zone):
    return [f"{zone.address(name)}:{port}" for name, ports in PORTS.items() for port in ports]


def test_servers_switch_first_and_the_content_follows(zone, operation):
    query = "SELECT state FROM certificates_operationevent WHERE operation_id = ? ORDER BY id"

    assert [state for (state,) in zone.rows(query, operation)] == [
        "preparing",
        "activating",
        "replicating",
        "assigned",
        "overlap",
    ]


def test_tool_runs_on_the_initiating_server_and_then_on_the_others(zone, operation):
    rows = zone.rows(
        "SELECT d.name, s.updater_ran_at, s.staged_at, s.activated_at,"
        " (SELECT said FROM certificates_updaterrun"
        " WHERE progress_id = s.id ORDER BY id DESC LIMIT 1)"
        " FROM certificates_serverprogress s JOIN devices_device d ON d.id = s.device_id"
        " WHERE s.operation_id = ? AND d.kind = 'primary' ORDER BY s.updater_ran_at",
        operation,
    )

    assert rows[0][0] == "ps1"
    assert {name for name, *_ in rows} == set(SERVERS)
    first = instant(rows[0][1])
    for name, ran_at, staged_at, activated_at, said in rows:
        assert instant(ran_at) < instant(activated_at), name
        assert "Its new server certificate is in use now." in said
        assert name == "ps1" or first < instant(staged_at)


def test_clients_of_others_trust_every_port_by_the_new_ca_alone(zone, operation, tmp_path):
    new = tmp_path / "new.pem"
    new.write_text(authorities(zone)[2])

    assert clients.refusals([new], places(zone)) == []


def test_devices_came_back_by_the_rescue_port(zone, operation):
    logs = {name: (zone.home / "logs" / f"{name}.agent.log").read_text() for name in zone.devices}

    assert {name for name, log in logs.items() if "Rescued: " in log} == set(zone.devices)


def test_devices_were_heard_of_again(zone, operation):
    begun = zone.activate_at(operation)
    rows = zone.rows("SELECT name, last_contact_at FROM devices_device WHERE kind <> 'primary'")

    assert {name for name, at in rows if instant(at) >= begun - timedelta(seconds=1)} == set(
        zone.devices
    )
    assert zone.tracebacks() == {}
