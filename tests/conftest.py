"""What all tests share: the database (pytest-django) and a real broker."""

import subprocess
import time
from collections.abc import Iterator

import pytest
from django.conf import settings

from zcc.processes import broker as embedded


@pytest.hookimpl(trylast=True)  # after pytest-django has put them into its order
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Put the journeys first, and the files whose tests look at pages last.

    Playwright's event loop, once begun, runs in the tests' thread until the session ends. No other
    test could call `asyncio.run` after it, nor go on in a forked child. Journeys are the longest
    files and mostly wait: at the end the other processes would have nothing left to do meanwhile.
    """
    looking = {item.path for item in items if "page" in getattr(item, "fixturenames", ())}
    items.sort(key=lambda item: (item.path in looking, "journeys" not in item.path.parts))


@pytest.fixture(scope="session")
def broker() -> Iterator[str]:
    """A real broker: that of REDIS_URL, or the embedded one in this test process's ZCC_HOME."""
    if not settings.BROKER_IS_EMBEDDED:
        yield settings.REDIS_URL
        return
    process = subprocess.Popen(embedded.command(), stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while not embedded.answers():
            assert time.monotonic() < deadline, "the embedded broker did not start"
            time.sleep(0.02)
        yield settings.REDIS_URL
    finally:
        process.terminate()
        process.wait(10)
