"""
Proof and rollback in a zone of real processes: nobody is lost, and no session breaks.

Strict, and devices that sleep or refuse the new CA, are in the drill: see test_drill.
"""

import pytest

from tests.journeys import clients
from tests.journeys.certificates import authorities, leaf
from tests.journeys.prober import Prober
from tests.journeys.test_remint import TLS_SERVERS, of, places


@pytest.fixture(scope="module")
def settings_of_zone():
    return {"cutoff": 12}


def proofs(zone, operation):
    """Return the leaf that each device saw at a canary, by the device's name."""
    found = zone.rows(
        "SELECT d.name, u.proof_leaf FROM systemupdates_deviceupdate u"
        " JOIN devices_device d ON d.id = u.device_id"
        " JOIN certificates_operation o ON o.update_id = u.update_id"
        " WHERE o.id = ? AND u.proof_leaf <> ''",
        operation,
    )
    return dict(found)


def future_leaves(zone, operation):
    query = "SELECT sha256 FROM certificates_servercertificate WHERE operation_id = ?"
    return {sha256 for (sha256,) in zone.rows(query, operation)}


def shown(zone):
    """Return the leaf that each TLS port shows, by server."""
    return {
        name: {clients.shown_chain(f"{zone.address(name)}:{port}")[0] for port in ports}
        for name, ports in TLS_SERVERS.items()
    }


def test_every_device_proves_before_it_is_armed(zone):
    operation = zone.remint(45)
    zone.wait(
        lambda: proofs(zone, operation).keys() == set(zone.devices),
        32,
        "every device to prove the new CA",
        lambda: (proofs(zone, operation), zone.situation(operation)),
    )

    assert zone.state(operation) == "assigned"
    assert set(proofs(zone, operation).values()) <= future_leaves(zone, operation)
    assert set(zone.device_updates(operation).values()) == {"pending"}


def test_rollback_in_overlap_loses_no_session(zone, tmp_path_factory):
    operation = zone.one("SELECT max(id) FROM certificates_operation")
    roots = authorities(zone)
    prober = Prober(tmp_path_factory.mktemp("prober"), places(zone))
    prober.trusting("old", roots[1])
    prober.trusting("both", roots[1] + roots[2])
    prober.start()
    try:
        zone.wait_for_state(operation, "armed", timeout=40)
        everyone = set(TLS_SERVERS)
        zone.wait(lambda: zone.steps(operation, "armed_at") == everyone, 12, "all to be armed")
        prober.trusting("new", roots[2])
        zone.wait_for_state(operation, "overlap", timeout=30)
        zone.wait(lambda: zone.steps(operation, "activated_at") == everyone, 15, "all to switch")
        zone.order("roll_back", operation)
        zone.wait_for_state(operation, "rolled_back", timeout=20)
        zone.wait(
            lambda: zone.steps(operation, "rolled_back_at") == everyone,
            20,
            "the Satellite to go back",
            lambda: zone.situation(operation),
        )
    finally:
        prober.stop()

    tried = of(prober.events(), what="new")
    assert {event["trust"] for event in tried} == {"old", "both", "new"}
    assert [event for event in tried if "error" in event] == []
    assert [event for event in of(prober.events(), what="kept") if "error" in event] == []
    assert shown(zone) == {name: {leaf(zone, name, None)} for name in TLS_SERVERS}


def test_nothing_was_complained_of(zone):
    assert zone.tracebacks() == {}
