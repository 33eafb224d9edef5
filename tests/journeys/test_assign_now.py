"""
Assign Now while servers are away: nobody waits for them, and they catch up.

First the Content Satellite is stopped and a device finds no source of content; then a whole Primary
Server is away from before the remint until after the activation. The second operation begins right
after the first one was cancelled.
"""

import pytest

from tests.journeys import clients
from tests.journeys.certificates import leaf
from tests.journeys.zone import SERVERS, Refused

LATE_AFTER = 16  # seconds; a heartbeat is sent every 5
WORKSTATION = "osl-ws-01"
PENDING, COMPLETED = {"pending"}, {"completed"}


@pytest.fixture(scope="module")
def settings_of_zone():
    return {"cutoff": 8, "apart": True, "ZCC_LATE_AFTER": LATE_AFTER}


@pytest.fixture(scope="module")
def operation(zone):
    """An operation that was assigned while the Content Satellite and a workstation were away."""
    zone.stop_agents("cache1", WORKSTATION)
    number = zone.remint(600)
    others = {"ps1", "ps2", "ps3"}
    zone.wait(
        lambda: {n for n, s in zone.replications(number).items() if s == "available"} == others,
        20,
        "the Primary Servers to have the content",
    )
    assert zone.state(number) == "replicating"
    zone.order("assign_now", number)
    return number


def updates_of(zone, operation, *names):
    """Return the states in which these devices are, or all but these with a leading None."""
    states = zone.device_updates(operation)
    if names[0] is None:
        return {state for name, state in states.items() if name not in names}
    return {states.get(name) for name in names}


def move_content(zone, old, new):
    """Rename the folder of the content on each Primary Server; an empty one may have come since."""
    for name in SERVERS:
        home = zone.server_home(name)
        (home / old).replace(home / new)


def test_nobody_waits_for_a_content_satellite(zone, operation):
    zone.wait(
        lambda: updates_of(zone, operation, None, "cache1", WORKSTATION) == PENDING,
        25,
        "all that are there to have applied the update",
        lambda: zone.situation(operation),
    )

    assert updates_of(zone, operation, "cache1", WORKSTATION) == {"assigned"}
    assert zone.replications(operation)["cache1"] != "available"


def test_device_without_a_source_fails_and_says_so(zone, operation):
    move_content(zone, "content-repo", "content-repo.away")
    try:
        zone.start_agents(WORKSTATION)
        zone.wait(
            lambda: updates_of(zone, operation, WORKSTATION) == {"failed"},
            30,
            "the update to fail",
            lambda: zone.situation(operation),
        )
    finally:
        move_content(zone, "content-repo.away", "content-repo")
    reason = zone.one("SELECT reason FROM systemupdates_deviceupdate WHERE state = 'failed'")

    assert reason.startswith("No content: ")
    # Servers that have noticed that theirs is gone are no sources any more.
    named = [name for name in SERVERS if name in reason]
    assert named or "no server has it yet" in reason


def test_failed_device_can_be_redeployed(zone, operation):
    assert zone.order("redeploy", operation, WORKSTATION) == 1

    zone.wait(lambda: updates_of(zone, operation, WORKSTATION) == PENDING, 20, "the second attempt")


def test_content_satellite_catches_up(zone, operation):
    zone.start_agents("cache1")

    zone.wait(
        lambda: set(zone.replications(operation).values()) == {"available"}, 20, "the content"
    )
    zone.wait(lambda: updates_of(zone, operation, "cache1") == PENDING, 20, "the update")
    zone.order("cancel", operation)
    zone.wait_for_state(operation, "cancelled", timeout=30)


@pytest.fixture(scope="module")
def without_ps3(zone, operation):
    """An operation from beginning to overlap while ps3 was off."""
    zone.stop_server("ps3")
    number = zone.remint(40)
    zone.wait(
        lambda: (
            zone.replications(number).get("ps2")
            == zone.replications(number).get("cache1")
            == "available"
        ),
        20,
        "the others to have the content",
    )
    zone.order("assign_now", number)
    zone.wait_for_state(number, "armed", timeout=60)
    with pytest.raises(Refused, match="can no longer be"):
        zone.order("cancel", number)
    zone.wait_for_state(number, "overlap", timeout=40)
    return number


def test_nobody_waits_for_a_primary_server(zone, without_ps3):
    everyone_else = {"ps1", "ps2", "auth1"}
    zone.wait(
        lambda: updates_of(zone, without_ps3, None, "ps3") == COMPLETED,
        25,
        "everyone else to complete the update",
        lambda: zone.situation(without_ps3),
    )

    assert zone.steps(without_ps3, "activated_at") == everyone_else
    assert updates_of(zone, without_ps3, "ps3") == {"assigned"}


def test_primary_server_catches_up(zone, without_ps3):
    zone.start_server("ps3")

    zone.wait(
        lambda: "ps3" in zone.steps(without_ps3, "activated_at"),
        45,
        "ps3 to activate",
        lambda: zone.situation(without_ps3),
    )
    shown = clients.shown_chain(f"{zone.address('ps3')}:7443")
    assert shown[0] == leaf(zone, "ps3", without_ps3)
    assert updates_of(zone, without_ps3, "ps3") == COMPLETED
    assert zone.tracebacks() == {}
