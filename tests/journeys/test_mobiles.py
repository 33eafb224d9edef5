"""Three simulated mobiles through a remint in Overlap, two of them away at its activation."""

import json

import pytest

from tests.journeys.zone import RunningZone

AWAY = 70  # seconds, from the stage on at which a mobile goes away
PHONES = ("phone1", "phone2", "phone3")


@pytest.fixture(scope="module")
def zone():
    running = RunningZone(cutoff=12, devices=PHONES)
    try:
        running.set_up()
        for name in PHONES:
            come_back_soon(running.device_home(name) / "mobile.json")
        running.start()
        running.start_agents()
        running.wait_for_agents()
        yield running
        left = running.stop()
    finally:
        running.remove()
    assert left == {}


def come_back_soon(path):
    """The demo's mobiles are away for a quarter of an hour."""
    facts = json.loads(path.read_text())
    if "away" in facts:
        facts["away"]["seconds"] = AWAY
    path.write_text(json.dumps(facts))


def issuers(zone):
    """Return the generation of the CA of the identity that each mobile calls with."""
    found = zone.rows(
        "SELECT d.name, a.generation FROM certificates_mobileidentity i"
        " JOIN devices_device d ON d.id = i.device_id"
        " JOIN certificates_certificateauthority a ON a.id = i.authority_id"
        " WHERE i.state = 'current'"
    )
    return dict(found)


def updates_of_phones(zone, operation):
    return {name: zone.device_updates(operation).get(name) for name in PHONES}


def test_mobiles_follow_a_remint_also_those_that_were_away(zone):
    zone.wait(lambda: issuers(zone) == dict.fromkeys(PHONES, 1), 30, "every mobile to call")
    operation = zone.remint(45)
    zone.wait_for_state(operation, "overlap", timeout=90)

    at_activation = updates_of_phones(zone, operation)
    assert at_activation["phone2"] == "assigned"
    assert at_activation["phone3"] == "pending"

    zone.wait(
        lambda: set(updates_of_phones(zone, operation).values()) == {"completed"},
        AWAY + 60,
        "every mobile to complete the update",
        lambda: (updates_of_phones(zone, operation), issuers(zone)),
    )
    assert issuers(zone) == dict.fromkeys(PHONES, 2)
