"""
Cancel, at three moments: nothing of the operation is left, and the next one goes its way.

Each test cancels an operation that the test itself began.
"""

import pytest

from tests.journeys.zone import SERVERS, Refused

TLS_SERVERS = {*SERVERS, "auth1"}
FAR = 600  # seconds: none of these is to be activated


@pytest.fixture(scope="module")
def settings_of_zone():
    return {"cutoff": 8}


def not_yet(zone, operation):
    """The update is not assigned; the new CA and its key exist."""
    return zone.state(operation) == "replicating"


def assigned(zone, operation):
    return zone.state(operation) == "assigned" and "ps1" in zone.steps(operation, "staged_at")


def staged(zone, operation):
    """Every server has staged and every device trusts the new CA."""
    everyone = zone.steps(operation, "staged_at") == TLS_SERVERS
    return everyone and set(zone.device_updates(operation).values()) == {"pending"}


def snapshot(zone):
    """Return every file of every server and device that an operation may touch, by content."""
    homes = [zone.server_home(name) for name in SERVERS]
    homes += [zone.device_home(name) for name in zone.devices]
    folders = ("security", "remint-repo", "previous", "content-repo", "ca", "trust.pem")
    found = {}
    for home in homes:
        for path in (file for folder in folders for file in sorted(home.glob(f"{folder}/**/*"))):
            if path.is_file():
                found[str(path.relative_to(zone.home))] = path.read_bytes()
        if (trust := home / "trust.pem").exists():
            found[str(trust.relative_to(zone.home))] = trust.read_bytes()
    return found


def epoch(zone):
    return zone.one("SELECT max(epoch) FROM certificates_publishedtrust")


def devices_at(zone, wanted):
    """Whether the last thing that every device reported was this epoch."""
    query = "SELECT count(*) FROM devices_device WHERE kind <> 'primary' AND trust_epoch = ?"
    return zone.one(query, wanted) == len(zone.devices)


@pytest.mark.parametrize("moment", [not_yet, assigned, staged])
def test_nothing_is_left_of_a_cancelled_operation(zone, moment):
    before = snapshot(zone)
    operation = zone.remint(FAR)
    zone.wait(lambda: moment(zone, operation), 40, moment.__name__)
    told = epoch(zone)

    zone.order("cancel", operation)

    zone.wait_for_state(operation, "cancelled", timeout=30)
    zone.wait(lambda: epoch(zone) > told, 10, "a higher epoch")
    zone.wait(lambda: devices_at(zone, epoch(zone)), 20, "every device to refresh")
    zone.wait(lambda: zone.steps(operation, "cleaned_at") == TLS_SERVERS, 15, "all to be clean")
    zone.wait(
        lambda: snapshot(zone) == before,
        10,
        "every file to be as before",
        lambda: {name for name, _ in snapshot(zone).items() ^ before.items()},
    )


def test_key_is_destroyed_and_links_are_revoked(zone):
    states = "SELECT state, key_destroyed_at IS NOT NULL FROM certificates_certificateauthority"
    links = "SELECT count(*) FROM certificates_linkcertificate WHERE revoked_at IS NULL"
    keys = list((zone.server_home("ps1") / "ca").glob("*.key"))

    assert sorted(map(tuple, zone.rows(states))) == [("active", 0), *[("cancelled", 1)] * 3]
    assert zone.one(links) == 0
    assert len([key for key in keys if not key.name.startswith("update-")]) == 1


def test_second_operation_begins_right_after(zone):
    """That such a one also comes to its end is seen in test_assign_now."""
    first = zone.remint(FAR)
    zone.wait(lambda: not_yet(zone, first), 15, "the first one to have its key")
    with pytest.raises(Refused, match="Remint CA is in progress"):
        zone.remint(FAR)
    zone.order("cancel", first)
    zone.wait_for_state(first, "cancelled", timeout=30)

    second = zone.remint(FAR, name="Zone CA of Ærøskøbing")

    zone.wait(
        lambda: staged(zone, second),
        30,
        "every server to stage and every device to trust the new CA",
        lambda: zone.situation(second),
    )


def test_cancel_wrote_one_event_for_each_transition(zone):
    query = (
        "SELECT operation_id, state, count(*) FROM certificates_operationevent"
        " GROUP BY operation_id, state HAVING count(*) > 1"
    )

    assert zone.rows(query) == []
    assert zone.tracebacks() == {}
