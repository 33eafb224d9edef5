"""An Authentication Satellite loses its disk while it has staged for a remint, and enrols again."""

import shutil

import pytest

from agent import pem
from tests.journeys import clients

SWITCHES_IN = 75  # seconds: time enough to be installed again on a busy machine
SATELLITE = "auth1"


@pytest.fixture(scope="module")
def settings_of_zone():
    return {"devices": (SATELLITE,)}


@pytest.fixture(scope="module")
def operation(zone):
    operation = zone.remint(SWITCHES_IN)
    zone.wait(lambda: SATELLITE in zone.steps(operation, "staged_at"), 40, "auth1 to stage")
    return operation


@pytest.fixture(scope="module")
def lost(zone, operation):
    """Both certificates of the Satellite, whose keys are gone; it has enrolled again."""
    lost = leaves(zone, "'current', 'future'")
    zone.stop_agents(SATELLITE)
    shutil.rmtree(zone.device_home(SATELLITE))
    zone.order("enrol_again", zone.network, SATELLITE)
    zone.start_agents(SATELLITE)
    return lost


def leaves(zone, states):
    """The certificates in the database, by their SHA-256."""
    found = zone.rows(
        "SELECT c.sha256 FROM certificates_servercertificate c"
        " JOIN devices_device d ON d.id = c.device_id"
        f" WHERE d.name = ? AND c.state IN ({states}) AND c.sha256 <> ''",
        SATELLITE,
    )
    return {sha256 for (sha256,) in found}


def test_it_stages_again_with_keys_that_it_has(zone, operation, lost):
    assert len(lost) == 2

    zone.wait(
        lambda: len(leaves(zone, "'current', 'future'") - lost) == 2,
        40,
        "auth1 to have both certificates again",
        lambda: zone.situation(operation),
    )
    zone.wait(lambda: SATELLITE in zone.steps(operation, "staged_at"), 20, "auth1 to stage again")

    assert not leaves(zone, "'current', 'future'") & lost


def test_it_switches_with_the_others_to_a_certificate_that_it_has_the_key_of(zone, operation, lost):
    zone.wait_for_state(operation, "overlap", timeout=90)
    zone.wait(lambda: SATELLITE in zone.steps(operation, "activated_at"), 20, "auth1 to switch")

    shown = clients.shown_chain(f"{zone.address(SATELLITE)}:8443")[0]
    sha256 = pem.fingerprint(shown.encode())

    assert leaves(zone, "'current'") == {sha256}
    assert sha256 not in lost
