"""The drill as its command, with few devices: who is lost in Overlap, and in Strict."""

import os
import re
import subprocess
import sys

import pytest

from zcc.drill.zone import ROOT

DEVICES = 8
SLEEPERS, REFUSING = ("osl-ws-01", "osl-ws-02", "osl-ws-03"), ("osl-ws-04",)


@pytest.fixture(scope="module")
def drill(tmp_path_factory):
    """The command that has ended; it has a zone of its own and none of the test's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ZCC_")}
    kept.pop("DJANGO_SETTINGS_MODULE", None)
    home = tmp_path_factory.mktemp("home")
    words = [sys.executable, "manage.py", "drill", "--devices", str(DEVICES)]
    return subprocess.run(
        words, cwd=ROOT, env={**kept, "ZCC_HOME": str(home)}, text=True, capture_output=True
    )


def test_drill_finds_nothing_wrong(drill):
    assert (drill.returncode, drill.stderr) == (0, ""), drill.stdout


@pytest.mark.parametrize(
    "phase", ["before", "assigned", "armed", "overlap", "caught up", "strict", "all awake"]
)
def test_drill_counts_every_phase_on_the_wire(drill, phase):
    found = re.findall(
        rf"^  {phase} +(\d+) handshakes, (\d+) lost on the wire$", drill.stdout, re.M
    )

    everybody = (DEVICES + 2) * 7
    lost = len(SLEEPERS + REFUSING) if phase in ("strict", "all awake") else 0
    assert set(found) == {(str(everybody), str(lost))}


def test_drill_prints_whom_it_signs_off(drill):
    assert f"signed off    {', '.join(SLEEPERS + REFUSING)}\n" in drill.stdout


def test_page_and_wire_agree_at_every_comparison(drill):
    compared = re.findall(r"(\d+) on the page, (\d+) counted; they agree", drill.stdout)

    assert len(compared) == 21
    assert all(page == counted for page, counted in compared)
