"""Every page and open dialog is clean under axe-core: light and dark, wide and narrow."""

from datetime import timedelta

import pytest
from playwright.sync_api import expect

from devices import mobiles
from devices.models import Device
from tests.certificates import building
from tests.devices.enrolment_links import server

__all__ = ["server"]

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")

THEMES = ["light", "dark"]
WIDTHS = [1280, 390]


@pytest.fixture
def update(make_device, make_update):
    make_device("a")
    return make_update(assigned=True)


@pytest.fixture(params=[(theme, width) for theme in THEMES for width in WIDTHS], ids=str)
def screen(console, request):
    """The console in one of the themes and widths."""
    theme, width = request.param
    console.emulate_media(color_scheme=theme)
    console.set_viewport_size({"width": width, "height": 900})
    return console


@pytest.fixture
def operation(zone, alice, now):
    """A Remint CA that is held, because one workstation would be lost."""
    server = building.make_device(zone, "ps1", now)
    building.make_device(zone, "ws-1", now, kind="workstation")
    ca = building.make_authority(zone, server, now)
    building.make_certificate(server, ca, now)
    begun = building.make_operation(ca, by=alice, now=now, activate_at=now + timedelta(minutes=9))
    building.assign(building.prepare(begun, now), now)
    Device.objects.filter(name="ws-1").update(trusted_fingerprints=["ab" * 32])
    begun.hold("1 device would be lost at the activation: ws-1.", at=now)
    return begun


def violations(page):
    found = axe.Axe().run(page).response["violations"]
    return [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found]


def test_pages(screen, live_server, update):
    device = update.device_updates.get(device__name="a").device_id
    paths = ["/", "/devices/", "/devices/?q=zzz", "/system-updates/", "/no-such-page/"]
    paths += [f"/devices/{device}/{tab}" for tab in ("", "settings/", "updates/")]
    paths += [f"/system-updates/{update.pk}/{tab}/" for tab in ("devices", "replication")]

    for path in paths:
        screen.goto(live_server.url + path)
        assert (path, violations(screen)) == (path, [])


def test_held_operation_and_its_dialogs(screen, live_server, operation):
    own = f"/certificates/operations/{operation.pk}"
    paths = ["/certificates/", "/certificates/?columns=all", "/certificates/remint-ca/", f"{own}/"]
    paths += [f"{own}/{dialog}/" for dialog in ("postpone", "sign-off", "cancel", "roll-back")]
    paths += [f"/certificates/who-can-talk/?state={state}" for state in ("now", "activation")]

    for path in paths:
        screen.goto(live_server.url + path)
        assert (path, violations(screen)) == (path, [])


def test_overlap_and_its_dialogs(screen, live_server, operation, now):
    Device.objects.filter(name="ws-1").update(trusted_fingerprints=[operation.old_ca.sha256])
    building.overlap(building.arm(operation, now), now)
    own = f"/certificates/operations/{operation.pk}"
    paths = ["/certificates/", "/certificates/authorities/", "/certificates/remint-ca/"]
    dialogs = ("retire-old-ca", "retire-by-itself", "evidence-pack")
    paths += [f"{own}/", *(f"{own}/{dialog}/" for dialog in dialogs)]

    for path in paths:
        screen.goto(live_server.url + path)
        assert (path, violations(screen)) == (path, [])


def test_a_device_joins_is_rescued_and_retired(screen, live_server, server, make_device, now):
    month = timedelta(days=30)
    given = {"is_content_satellite": True, "reported_roles": [], "role_problem": "No room."}
    silent = make_device("ws-1", last_contact_at=now - month, **given)
    retired = make_device("ws-2", retired_at=now)
    gone = make_device("ps9", kind="primary", retired_at=now)
    paths = [f"/devices/{silent.pk}/", f"/devices/{silent.pk}/rescue/", f"/devices/{retired.pk}/"]
    paths += [f"/devices/{gone.pk}/", "/devices/registration-keys/", "/devices/enrol/"]

    for path in paths:
        screen.goto(live_server.url + path)
        assert (path, violations(screen)) == (path, [])
    screen.get_by_role("button", name="Show the lines").click()
    expect(screen.get_by_text("Waiting for the device.")).to_be_visible()
    assert violations(screen) == []


def test_menu_of_rare_buttons(screen, live_server, ca):
    screen.goto(f"{live_server.url}/certificates/")
    screen.get_by_text("More", exact=True).click()
    expect(screen.get_by_text("Verify backup")).to_be_visible()

    assert violations(screen) == []


def test_a_mobiles_pages_and_dialogs(screen, live_server, make_device, ca, now):
    phone = make_device("phone1", kind="mobile")
    known = {"csr": b"", "key_hash": "ab" * 32, "requested_at": now, "expires_at": ca.expires_at}
    phone.identities.create(authority=ca, state="current", **known)
    dialogs = ("", "enrol-again/", "end-user-page/", "certificates/")
    paths = ["/devices/enrol-mobile/", *(f"/devices/{phone.pk}/{dialog}" for dialog in dialogs)]
    paths += [f"/me/{mobiles.make_page(phone, by=None, now=now)}/"]

    for path in paths:
        screen.goto(live_server.url + path, wait_until="networkidle")
        assert (path, violations(screen)) == (path, [])


def test_mobiles_to_enrol_and_their_links(screen, live_server, make_device, server):
    make_device("phone1", kind="mobile")
    for path in ("", "enrol-again/"):
        screen.goto(f"{live_server.url}/certificates/mobiles/{path}")
        assert (path, violations(screen)) == (path, [])

    screen.get_by_role("button", name="Make links").click()
    screen.get_by_text("1 link made.").wait_for()

    assert violations(screen) == []


@pytest.fixture
def ca(zone, now):
    """A CA without a backup, on a server that runs, beside one that does not."""
    server = building.make_device(zone, "ps1", now)
    building.make_device(zone, "ps2", now)
    building.make_device(zone, "ps3", now).heartbeat.delete()
    authority = building.make_authority(zone, server, now)
    building.make_certificate(server, authority, now)
    return authority


def test_dialogs_about_keys(screen, live_server, ca):
    paths = ["", "backup-ca/", "verify-backup/", "restore-ca/", "move-ca-role/", "remint-ca/"]

    for path in paths:
        screen.goto(f"{live_server.url}/certificates/{path}")
        assert (path, violations(screen)) == (path, [])


def test_certificate_server_that_is_gone(screen, live_server, ca):
    ca.server.heartbeat.delete()

    for path in ["", "backup-ca/", "move-ca-role/"]:
        screen.goto(f"{live_server.url}/certificates/{path}")
        assert (path, violations(screen)) == (path, [])


def test_what_became_of_a_request_about_keys(screen, live_server, ca, alice, now):
    for kind in ("backup", "verify", "restore", "move"):
        for state in ("asked", "done", "refused"):
            request = building.make_key_request(ca, kind, state, by=alice, now=now)
            screen.goto(f"{live_server.url}/certificates/key-requests/{request.guid}/")
            assert (kind, state, violations(screen)) == (kind, state, [])
            request.delete()  # only one change of the role may be open


def test_backup_form_with_errors(screen, live_server, ca):
    screen.goto(f"{live_server.url}/certificates/backup-ca/")
    screen.get_by_label("Passphrase").fill("short")
    screen.get_by_role("button", name="OK").click()
    expect(screen.get_by_role("alert").first).to_contain_text("No backup was made.")

    assert violations(screen) == []


def test_sign_in(page, live_server, zone):
    page.goto(f"{live_server.url}/login/")
    assert violations(page) == []


def test_dialog_over_its_page(screen, live_server, make_update):
    make_update()
    screen.goto(f"{live_server.url}/system-updates/")
    screen.get_by_role("link", name="current replication status").click()
    expect(screen.get_by_role("dialog")).to_be_visible()

    assert violations(screen) == []


def test_form_with_errors(screen, live_server, make_device):
    screen.goto(f"{live_server.url}/devices/{make_device('a').pk}/settings/")
    screen.get_by_label("Names, one a line").fill("*.zone")
    screen.get_by_role("button", name="Save names").click()
    expect(screen.get_by_role("alert").first).to_contain_text("The names were not saved.")

    assert violations(screen) == []
