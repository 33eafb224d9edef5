"""
One remint, while its processes are killed and its broker is emptied, and cut off when it matters.

What is killed is started again by the supervisors. At the activation time nobody can write to the
database and the broker is frozen, so that each server must switch by the go-ahead in its home.
"""

import sqlite3
import time
from itertools import groupby

import pytest

from tests.journeys.certificates import authorities, issued
from tests.journeys.database import Sqlite
from tests.journeys.prober import Prober
from tests.journeys.zone import SERVERS

EVERYONE = {*SERVERS, "auth1"}
CUT_OFF_FROM, CUT_OFF_UNTIL = -3, 6  # seconds around the activation time


@pytest.fixture(scope="module")
def settings_of_zone():
    return {"cutoff": 20, "own_broker": True}


def ports(zone):
    return [f"{zone.address(n)}:{p}" for n in SERVERS for p in (7443, 7444)] + [
        f"{zone.address('auth1')}:8443"
    ]


@pytest.fixture(scope="module")
def operation(zone, tmp_path_factory):
    """An operation that came to its end through all that; `zone.seen` is what clients saw."""
    prober = Prober(tmp_path_factory.mktemp("prober"), ports(zone))
    (old,) = authorities(zone).values()
    prober.trusting("old", old)
    prober.start()
    try:
        number = zone.remint(56)
        _kill_until_assigned(zone, number)
        _kill_until_armed(zone, number)
        _cut_off_at_activation(zone, number)
        zone.kill9("worker", "ps1")
        zone.wait_for_state(number, "overlap", timeout=100)
    finally:
        prober.stop()
    zone.seen = [event for event in prober.events() if event["what"] == "new"]
    return number


def _kill_until_assigned(zone, number):
    zone.kill9("worker", "ps1")  # the CA server's, as it makes the key
    zone.kill9("beat", "ps1")
    zone.empty_broker()
    # What the killed worker had claimed is free again after its lease of 60 s.
    zone.wait_for_state(number, "replicating", "assigned", timeout=75)
    zone.kill9("valkey")
    zone.kill9("worker", "ps2")
    zone.kill9("beat", "ps3")


def _kill_until_armed(zone, number):
    zone.wait_for_state(number, "assigned", timeout=75)
    zone.kill9("console", "ps1")
    zone.kill9("device_api", "ps2")
    zone.kill9("listener", "ps1")
    zone.kill9("worker", "ps3")
    zone.empty_broker()
    zone.kill9("beat", "ps1")
    zone.wait_for_state(number, "armed", timeout=160)
    zone.kill9("worker", "ps1")
    zone.wait(
        lambda: zone.steps(number, "armed_at") == EVERYONE,
        19,
        "all to be armed",
        lambda: zone.situation(number),
    )


def _cut_off_at_activation(zone, number):
    at = zone.activate_at(number).timestamp()
    time.sleep(max(0, at + CUT_OFF_FROM - time.time()))
    with zone.frozen(("valkey", None)), zone.database.away():
        time.sleep(at + CUT_OFF_UNTIL - time.time())


def count_twice(zone, table, *columns):
    """Return what is there more than once."""
    named = ", ".join(columns)
    return zone.rows(f"SELECT {named} FROM {table} GROUP BY {named} HAVING count(*) > 1")


def test_every_device_completes(zone, operation):
    completed = dict.fromkeys((*SERVERS, *zone.devices), "completed")

    zone.wait(
        lambda: zone.device_updates(operation) == completed,
        60,
        "every device to complete the update",
        lambda: zone.situation(operation),
    )


def test_every_transition_happened_once(zone, operation):
    query = "SELECT state FROM certificates_operationevent WHERE note = '' ORDER BY id"
    states = ["preparing", "replicating", "assigned", "armed", "activating", "overlap"]

    assert [state for (state,) in zone.rows(query)] == states
    assert count_twice(zone, "systemupdates_updateevent", "update_id", "state") == []
    assert count_twice(zone, "systemupdates_deviceupdateevent", "device_update_id", "state") == []


def test_every_server_has_one_certificate_of_the_operation(zone, operation):
    query = (
        "SELECT d.name, s.state FROM certificates_servercertificate s"
        " JOIN devices_device d ON d.id = s.device_id WHERE s.operation_id = ?"
    )

    assert sorted(zone.rows(query, operation)) == [(name, "current") for name in sorted(EVERYONE)]
    assert len(issued(zone)) == 2 + 2 + 2 * len(EVERYONE)  # roots, links, two leaves a server


def test_issuer_of_each_port_changed_once_and_in_time(zone, operation):
    at = zone.activate_at(operation).timestamp()
    for place in ports(zone):
        seen = [event for event in zone.seen if event["place"] == place and "issuer" in event]
        runs = [list(run) for _, run in groupby(seen, key=lambda event: event["issuer"])]

        assert len(runs) == 2, place
        assert 0 <= runs[1][0]["at"] - at <= 5, place


def test_nobody_was_refused_who_reached_a_server(zone, operation):
    """A killed server refuses connections; a wrong certificate would be another error."""
    errors = {event["error"].split(":")[0] for event in zone.seen if "error" in event}

    assert "SSLCertVerificationError" not in errors


@pytest.mark.parametrize("name", SERVERS)
def test_cut_off_server_switched_by_itself(zone, operation, name):
    log = (zone.home / "logs" / f"{name}.supervisor.log").read_text()

    assert "switched without its worker" in log


def test_database_is_whole(zone, operation):
    if not isinstance(zone.database, Sqlite):
        pytest.skip("PostgreSQL was not harmed")
    with sqlite3.connect(zone.database.path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
