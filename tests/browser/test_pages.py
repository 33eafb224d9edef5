"""What only a browser shows: dialogs, focus, selections, live parts, widths, themes."""

import re

import pytest
from playwright.sync_api import expect

from devices.models import Device
from systemupdates.models import DeviceUpdate
from systemupdates.models.device_update import State
from tests.devices.enrolment_links import server

__all__ = ["server"]


@pytest.fixture
def update(make_device, make_update):
    for name in ("a", "b"):
        make_device(name)
    return make_update(assigned=True)


def test_dialog_opens_over_its_page_and_gives_the_focus_back(
    console, live_server, make_update, errors
):
    update = make_update()
    console.goto(f"{live_server.url}/system-updates/{update.pk}/devices/")
    link = console.get_by_role("link", name="current replication status")
    link.click()
    dialog = console.get_by_role("dialog", name="Current replication status")
    expect(dialog).to_be_visible()
    assert console.evaluate("document.querySelector('dialog').matches(':modal')")

    console.keyboard.press("Escape")

    expect(dialog).to_have_count(0)
    expect(link).to_be_focused()
    assert errors == []


def test_dialog_is_a_page_too(console, live_server, make_update):
    update = make_update()
    console.goto(f"{live_server.url}/system-updates/{update.pk}/replication/")

    expect(console.get_by_role("dialog")).to_be_visible()
    expect(console.locator(".z-page h1")).to_have_text("System Updates")
    expect(console.get_by_role("link", name="Close").last).to_be_focused()
    console.keyboard.press("Escape")
    console.wait_for_url(f"{live_server.url}/system-updates/")


def test_selection_is_counted_and_acted_on(console, live_server, update, errors):
    console.goto(f"{live_server.url}/system-updates/{update.pk}/devices/")
    console.get_by_label("Select a", exact=True).check()
    console.get_by_label("Select b", exact=True).check()
    expect(console.get_by_text("2 devices selected")).to_be_visible()

    console.get_by_role("button", name="Ignore Device").click()

    expect(console.get_by_text("2 of 2 chosen devices are left out")).to_be_visible()
    assert DeviceUpdate.objects.filter(state=State.IGNORED).count() == 2
    assert errors == []


def test_status_changes_on_the_page_by_itself(console, live_server, update, now, errors):
    console.goto(f"{live_server.url}/system-updates/{update.pk}/devices/")
    update.device_updates.filter(device__name="a").move(to=State.DOWNLOADING, by=None, at=now)

    row = console.get_by_role("row").filter(has_text="Download in Progress")

    expect(row).to_have_count(1)
    assert errors == []


def test_menu_closes_by_escape_and_by_a_click_elsewhere(console):
    menu = console.get_by_text("Sign out")
    account = console.locator(".z-user > summary")
    account.click()
    expect(menu).to_be_visible()
    console.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    expect(account).to_be_focused()
    account.click()

    console.get_by_role("heading", level=1).click()

    expect(menu).to_be_hidden()


def test_appearance_system_follows_the_operating_system(console):
    console.emulate_media(color_scheme="dark")
    expect(console.locator("html")).to_have_attribute("data-bs-theme", "dark")
    console.emulate_media(color_scheme="light")

    expect(console.locator("html")).to_have_attribute("data-bs-theme", "light")


@pytest.mark.parametrize("width", [1280, 1024, 768, 390])
def test_no_page_is_wider_than_the_window(console, live_server, update, width):
    device = update.device_updates.first().device_id
    Device.objects.update(trusted_fingerprints=["ab" * 32, "cd" * 32])
    console.set_viewport_size({"width": width, "height": 900})
    paths = ["/", "/devices/", f"/devices/{device}/", f"/devices/{device}/settings/"]
    paths += [f"/devices/{device}/updates/", "/system-updates/"]
    paths += [f"/system-updates/{update.pk}/{tab}/" for tab in ("devices", "replication")]

    for path in paths:
        console.goto(live_server.url + path)
        over = console.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert (path, over) == (path, 0)


def test_click_that_is_not_answered_is_said(console, live_server, make_update):
    update = make_update()
    console.goto(f"{live_server.url}/system-updates/{update.pk}/devices/")
    console.route("**/replication/", lambda route: route.abort())

    console.get_by_role("link", name="current replication status").click()

    expect(console.get_by_text("The console did not answer.")).to_be_visible()


def test_frozen_page_says_since_when(console, live_server, update):
    console.goto(f"{live_server.url}/system-updates/{update.pk}/devices/")
    console.route("**/devices/", lambda route: route.abort())

    expect(console.get_by_text(re.compile("no answer from .+ since"))).to_be_visible()


def test_settings_error_leads_to_its_field(console, live_server, make_device):
    console.goto(f"{live_server.url}/devices/{make_device('a').pk}/settings/")
    names = console.get_by_label("Names, one a line")
    names.fill("*.zone")
    console.get_by_role("button", name="Save names").click()
    console.get_by_role("alert").get_by_role("link").click()

    expect(names).to_have_value("*.zone")
    assert console.evaluate("location.hash") == "#id_names"


def test_menu_closes_for_its_dialog_and_gets_the_focus_back(console, live_server, errors):
    console.goto(f"{live_server.url}/devices/folders/")
    menu = console.locator("main details.z-menu > summary").first
    menu.click()
    console.get_by_role("link", name="Create folder").first.click()
    expect(console.get_by_role("dialog")).to_be_visible()
    expect(console.get_by_role("link", name="Create folder").first).to_be_hidden()

    console.keyboard.press("Escape")

    expect(menu).to_be_focused()
    assert errors == []


def test_lines_to_paste_are_copied_as_lines(console, live_server, server, errors):
    console.context.grant_permissions(["clipboard-read", "clipboard-write"])
    console.goto(f"{live_server.url}/devices/")
    console.get_by_role("link", name="Enrol device").first.click()
    console.get_by_role("button", name="Show the lines").click()

    console.get_by_role("button", name="Copy").click()

    expect(console.get_by_role("button", name="Copied")).to_be_visible()
    lines = console.evaluate("navigator.clipboard.readText()").splitlines()
    assert lines[0].startswith("curl ")
    assert lines[-1].startswith("python3 agent.pyz run")
    assert errors == []


def test_undo_of_ignore_device_stays_until_it_is_used(console, live_server, update, errors):
    name = update.device_updates.exclude(device__kind="primary").first().device.name
    console.clock.install()
    console.goto(f"{live_server.url}/system-updates/{update.pk}/devices/")
    console.get_by_label(f"Select {name}", exact=True).check()
    console.get_by_role("button", name="Ignore Device").click()
    undo = console.get_by_role("button", name="Undo")
    expect(undo).to_be_visible()

    console.clock.fast_forward(60_000)
    undo.click()

    expect(console.get_by_text(f"{name} starts the update again")).to_be_visible()
    expect(undo).to_have_count(0)
    assert errors == []
