"""
The CA role goes from server to server, while processes are killed: move, loss, restore, return.

Each Primary Server is under a supervisor of its own, so that one can be lost as a host is.
"""

import signal
import socket
from contextlib import closing

import pytest

from pki import backup
from tests.journeys import secrets
from tests.journeys.broker import Listener
from tests.journeys.zone import Refused

PASSPHRASE = "correct horse battery"


@pytest.fixture(scope="module")
def settings_of_zone():
    # A dead server is away after seconds, so that the journey is short.
    return {"apart": True, "devices": (), "own_broker": True, "ZCC_LATE_AFTER": 12}


def key_files(zone, name):
    return sorted(path.name for path in (zone.server_home(name) / "ca").glob("*.key"))


def holders(zone):
    return {name for name in ("ps1", "ps2", "ps3") if key_files(zone, name)}


def role(zone):
    query = (
        "SELECT d.name FROM certificates_certificateauthority c"
        " JOIN devices_device d ON d.id = c.server_id WHERE c.state <> 'cancelled'"
    )
    return {name for (name,) in zone.rows(query)}


def ended(zone, request, timeout=30):
    """Wait until the request is over; return how, and why."""
    query = "SELECT state, problem FROM certificates_keyrequest WHERE id = ?"
    zone.wait(
        lambda: zone.rows(query, request)[0][0] in ("done", "refused"),
        timeout,
        f"request {request} to end",
        lambda: zone.rows(query, request),
    )
    return zone.rows(query, request)[0]


def only_holder(zone, *names, away=()):
    """Wait until the role and the keys are on exactly this server, those away left out."""
    zone.wait(
        lambda: (role(zone), holders(zone) - set(away)) == ({*names}, {*names}),
        30,
        f"{names} to have the role and the keys",
        lambda: (role(zone), holders(zone)),
    )


@pytest.fixture(scope="module")
def known(zone):
    """The secrets of the zone by name, more with each chapter, and what its broker was told."""
    listener = Listener(zone)
    listener.start()
    found = {"listener": listener, "secrets": {"passphrase": [PASSPHRASE.encode()]}}
    found["secrets"] |= secrets.private_keys(zone)
    yield found
    listener.stop()


@pytest.fixture(scope="module")
def file(zone, known, tmp_path_factory):
    path = tmp_path_factory.mktemp("backup") / "backup.zip"
    request = zone.order("back_up", "ps3", PASSPHRASE)
    assert ended(zone, request) == ("done", "")
    zone.order("fetch", request, path)
    return path


def test_backup_is_made_by_the_ca_server_for_another_servers_console(zone, file):
    found = backup.read(file.read_bytes(), PASSPHRASE)

    assert (found.made_on, found.newest.number) == ("ps1", 1)


def test_move_ends_although_the_holders_worker_is_killed_as_it_lets_go(zone, file):
    zone.stop_server("ps1")
    zone.start_server("ps1", ZCC_FAULTS="role-moved:kill:1")
    zone.wait(zone.is_up, 40, "ps1 to be back")

    request = zone.order("move_role", "ps3", "ps2")

    assert ended(zone, request) == ("done", "")
    only_holder(zone, "ps2")


def test_role_stays_when_the_new_servers_worker_dies_each_time_it_stores(zone):
    zone.stop_server("ps1")
    zone.start_server("ps1", ZCC_FAULTS="move-stored:kill:1")
    zone.wait(zone.is_up, 40, "ps1 to be back")

    request = zone.order("move_role", "ps1", "ps1")

    state, problem = ended(zone, request, timeout=75)
    assert (state, "Nothing has changed. Try again." in problem) == ("refused", True)
    only_holder(zone, "ps2")


def test_role_moves_back(zone):
    zone.stop_server("ps1")
    zone.start_server("ps1")
    zone.wait(zone.is_up, 40, "ps1 to be back")

    assert ended(zone, zone.order("move_role", "ps1", "ps1")) == ("done", "")
    only_holder(zone, "ps1")


def test_new_holder_signs(zone, known):
    operation = zone.remint(3600)
    zone.wait_for_state(operation, "replicating", "assigned", timeout=40)
    known["secrets"] |= secrets.private_keys(zone)
    assert key_files(zone, "ps2") == key_files(zone, "ps3") == []
    zone.order("cancel", operation)
    zone.wait_for_state(operation, "cancelled", timeout=60)


def test_lost_server_is_replaced_from_its_backup(zone, file):
    ended(zone, zone.order("move_role", "ps1", "ps2"))  # ps1 is the host of the broker
    only_holder(zone, "ps2")
    zone.stop_server("ps2", signal.SIGKILL)
    zone.wait(lambda: _refuses_backup(zone), 40, "ps2 to be missed")
    assert key_files(zone, "ps2") != []  # nobody could ask it

    request = zone.order("restore", "ps1", "ps3", file, PASSPHRASE)

    assert ended(zone, request) == ("done", "")
    only_holder(zone, "ps3", away=["ps2"])


def _refuses_backup(zone):
    try:
        zone.order("back_up", "ps1", PASSPHRASE)
    except Refused as refusal:
        return "restore the CA on another Primary Server" in str(refusal)
    return False


def test_returning_server_destroys_its_copy_before_it_answers(zone):
    zone.start_server("ps2")
    address = (zone.address("ps2"), 7443)

    zone.wait(lambda: _answers(address), 40, "ps2 to answer")

    assert key_files(zone, "ps2") == []
    only_holder(zone, "ps3")


def _answers(address):
    try:
        with closing(socket.create_connection(address, 1)):
            return True
    except OSError:
        return False


def test_no_key_and_no_passphrase_is_seen_outside_the_homes(zone, known):
    zone.wait(zone.is_up, 40, "ps2 to be back")
    messages = known["listener"].stop()
    ca_keys = [name for name in known["secrets"] if name.endswith(".key")]

    assert len(ca_keys) == 2  # one of them of the remint that was cancelled
    assert messages.count(b'"LPUSH"') > 10
    assert secrets.seen(zone, known["secrets"], messages=messages) == []


def test_no_passphrase_is_anywhere(zone):
    """Not in the database, the broker's files, a log or a home."""
    zone.wait(zone.is_up, 40, "ps2 to be back")
    found = [
        path
        for path in zone.home.rglob("*")
        if path.is_file() and PASSPHRASE.encode() in path.read_bytes()
    ]

    assert found == []
    assert zone.tracebacks() == {}
