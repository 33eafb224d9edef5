"""A zone for each module: its tests are chapters of one story, in the order of the file."""

import pytest

from tests.journeys.zone import RunningZone


@pytest.fixture(scope="module")
def settings_of_zone():
    """What this module's zone has of its own; a module may say something else."""
    return {}


@pytest.fixture(scope="module")
def zone(settings_of_zone):
    running = RunningZone(**settings_of_zone)
    try:
        running.set_up()
        running.start()
        running.start_agents()
        running.wait_for_agents()
        yield running
        left = running.stop()
    finally:
        running.remove()
    assert left == {}
