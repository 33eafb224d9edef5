"""Chromium, a console to look at, and somebody who is signed in. See also people_and_devices."""

import os
import shutil

import pytest
from playwright.sync_api import expect

from tests.people_and_devices import PASSWORD, alice, bob, make_device, make_update, now, zone

__all__ = ["alice", "bob", "make_device", "make_update", "now", "zone"]

# Playwright's own event loop runs in the thread of the test; Django would refuse to work in it.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"

BUSY = 20_000  # milliseconds: what a machine may take that has other tests to run
expect.set_options(timeout=BUSY)

CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    return {**browser_type_launch_args, "executable_path": CHROMIUM, "args": ["--no-sandbox"]}


@pytest.fixture
def errors(page):
    """What the page complained of: a broken script, a refused resource, a broken policy."""
    found = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("console", lambda line: line.type == "error" and found.append(line.text))
    return found


@pytest.fixture
def console(live_server, page, errors, alice, zone):
    """A page of the console, signed in as Alice; `console.goto("/devices/")` and so on."""
    page.context.set_default_timeout(BUSY)
    page.goto(f"{live_server.url}/login/")
    page.get_by_label("User name").fill("alice")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{live_server.url}/")
    return page
