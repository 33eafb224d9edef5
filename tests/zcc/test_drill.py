"""What a drill takes for a difference, and who is who in it."""

import socket
import subprocess
import sys

import pytest
from django.core.management import CommandError, call_command

from zcc.drill import fleet as fleets
from zcc.drill.fleet import Conditions
from zcc.drill.report import Report
from zcc.drill.wire import Count, Handshake

HERE, THERE = ("127.0.0.1", 7443), ("127.0.0.2", 7443)


def count(*refused, places=(HERE, THERE)):
    """A count of two devices at two places; `refused` are (device, place)."""
    return Count(
        [
            Handshake(device, place, "refused" if (device, place) in refused else "", "")
            for device in ("ws1", "ws2")
            for place in places
        ]
    )


@pytest.fixture
def report():
    return Report(lambda line: None)


def test_device_that_is_refused_everywhere_is_lost():
    assert count(("ws1", HERE), ("ws1", THERE)).lost == {"ws1"}


def test_device_that_is_refused_at_one_place_is_not_lost_but_told():
    found = count(("ws1", HERE), ("ws2", THERE))

    assert (found.lost, found.partly) == (set(), {"ws1", "ws2"})


@pytest.mark.parametrize(
    ("refused", "expected", "differs"),
    [
        ([], [], False),
        ([("ws1", HERE), ("ws1", THERE)], ["ws1"], False),
        ([("ws1", HERE), ("ws1", THERE)], [], True),
        ([("ws1", HERE), ("ws1", THERE)], ["ws2"], True),
        ([], ["ws1"], True),
        ([("ws1", HERE)], [], True),
    ],
)
def test_exactly_those_named_may_be_lost(report, refused, expected, differs):
    report.count("overlap", count(*refused), lost=expected)

    assert bool(report.differences) is differs


def test_while_servers_switch_those_named_may_be_refused_and_nobody_else(report):
    report.passage("activating", [count(("ws1", HERE))], lost=["ws1"])
    assert report.differences == []

    report.passage("activating", [count(("ws2", HERE))], lost=["ws1"])
    assert report.differences == ["activating: refused: ws2, and not nobody."]


@pytest.mark.parametrize(("page", "differs"), [(4, False), (5, True), (None, True)])
def test_number_on_the_page_must_be_the_one_counted(report, page, differs):
    report.compare("would be lost", page, 4)

    assert bool(report.differences) is differs


def test_thirty_devices_are_ten_asleep_five_unproven_and_two_with_a_wrong_clock():
    fleet = fleets.of(30)

    shares = fleet.asleep, fleet.unproven, fleet.wrong_clock, fleet.well
    assert [len(names) for names in shares] == [10, 5, 2, 13]
    assert len(set(fleet.all)) == 30


@pytest.mark.parametrize("number", range(fleets.FEWEST, 41))
def test_every_drill_has_somebody_of_each_kind(number):
    fleet = fleets.of(number)

    assert all([fleet.asleep, fleet.unproven, fleet.wrong_clock, fleet.well])
    assert len(fleet.all) == number


@pytest.mark.parametrize("number", [fleets.FEWEST - 1, 201])
def test_drill_with_too_few_or_too_many_devices_is_refused(number):
    with pytest.raises(CommandError, match="A drill has 4 to 200 devices"):
        call_command("drill", devices=number)


def test_firewall_closes_one_port_and_no_other(tmp_path):
    program = tmp_path / "connects.py"
    program.write_text(
        "import socket, sys\n"
        "for port in sys.argv[1:]:\n"
        "    try: socket.create_connection(('127.0.0.1', int(port)), 5).close(); print('open')\n"
        "    except ConnectionRefusedError: print('closed')\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("", 0)) as other:
        closed, left = one.getsockname()[1], other.getsockname()[1]
        words = Conditions(closed_port=closed).command(str(program), str(closed), str(left))
        done = subprocess.run(words, text=True, capture_output=True, check=True)

    assert words[0] == sys.executable
    assert done.stdout.split() == ["closed", "open"]
