"""
A zone in which nothing is going on: it writes heartbeats and nothing else, and starts quickly.

Looked at for 20 s, not the 60 s of the promise, to save time; heartbeats come every 5 s and the
tick every second, so whatever is written again and again shows in less.
"""

import signal
import time

import pytest

from tests.journeys.database import plain
from tests.journeys.zone import REPLICATION

SECONDS = 20
# The heartbeat, and when a server or device was heard of last, which is its other face.
HEARTBEATS = {"devices_heartbeat"}
LAST_CONTACT = {"last_contact_at", "last_full_refresh_at", "clock_offset", "check_ins"}


def columns(zone, table):
    if zone.database.url:
        query = "SELECT column_name FROM information_schema.columns WHERE table_name = ?"
        return [name for (name,) in zone.rows(query, table)]
    return [name for (name,) in zone.rows("SELECT name FROM pragma_table_info(?)", table)]


def dump(zone):
    """Return all that is in the database, heartbeats left out."""
    found = {}
    for table in set(zone.database.tables()) - HEARTBEATS:
        skipped = LAST_CONTACT if table == "devices_device" else set()
        kept = ", ".join(f'"{name}"' for name in columns(zone, table) if name not in skipped)
        found[table] = sorted(map(plain, zone.rows(f'SELECT {kept} FROM "{table}"')))
    return found


def beats(zone):
    return zone.rows("SELECT at FROM devices_heartbeat ORDER BY server_id")


@pytest.fixture(scope="module")
def quiet(zone):
    """The zone with the schedule of a real one: its devices refresh every twelve hours."""
    zone.order("schedule", REPLICATION, 12 * 3600)
    zone.manage("clearsessions")
    time.sleep(6)  # each device learns it at a refresh that was due before
    return zone


def test_idle_zone_writes_nothing_but_heartbeats(quiet):
    before, beats_before = dump(quiet), beats(quiet)

    time.sleep(SECONDS)

    assert dump(quiet) == before
    assert all(new != old for new, old in zip(beats(quiet), beats_before, strict=True))


def test_ctrl_c_leaves_no_process_behind_and_a_second_start_is_quick(zone):
    assert zone.stop(signal.SIGINT) == {}
    began = time.monotonic()

    zone.start()

    assert time.monotonic() - began < 10
    assert zone.tracebacks() == {}
