"""The pane of servers' certificates in a browser: select, ask, import; clean under axe-core."""

import pytest
from playwright.sync_api import expect

from certificates.models import CertificateAuthority, ServerCertificate, ServerProgress
from devices.models import Device
from systemupdates.models import DeviceUpdate
from tests.certificates import building
from tests.certificates.external_operation import External

LOOKS = [(theme, width) for theme in ("light", "dark") for width in (1280, 390)]


@pytest.fixture
def make_external(zone, alice, now):
    def make(**columns):
        servers = [building.make_device(zone, name, now) for name in ("ps1", "ps2")]
        made = building.make_authority(zone, servers[0], now)
        for server in servers:
            building.make_certificate(server, made, now)
        ca = CertificateAuthority.objects.select_related("zone", "server").get(pk=made.pk)
        return External(ca, alice, now, **columns)

    return make


@pytest.fixture(params=LOOKS, ids=str)
def screen(console, request):
    """The console in one of the themes and widths."""
    theme, width = request.param
    console.emulate_media(color_scheme=theme)
    console.set_viewport_size({"width": width, "height": 900})
    return console


def assert_clean(page):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is not installed"
    )
    found = axe.Axe().run(page).response["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def open_menu(page, *names):
    for name in names:
        page.get_by_label(f"Select {name}", exact=True).check()
    page.locator(".z-bulk summary").click()


def test_ticked_servers_are_those_of_the_dialog(console, live_server, make_external, errors):
    make_external()
    console.goto(f"{live_server.url}/certificates/")
    open_menu(console, "ps2")

    console.get_by_role("button", name="Generate CSR").click()
    dialog = console.get_by_role("dialog", name="Generate CSR")
    expect(dialog.get_by_text("ps2.demo.zone")).to_be_visible()
    expect(dialog.get_by_text("ps1.demo.zone")).to_have_count(0)
    dialog.get_by_label("Country/region").fill("no")
    dialog.get_by_role("button", name="Generate 1 CSR").click()

    expect(console.get_by_text("The requests are being made.")).to_be_visible()
    assert ServerProgress.objects.get(device__name="ps2").request_number == 1
    assert errors == []


def test_actions_are_found_without_a_tick_and_ask_for_whom(
    console, live_server, make_external, errors
):
    make_external()
    console.goto(f"{live_server.url}/certificates/")
    menu = console.locator("#server-actions")
    menu.locator("summary").click()
    expect(menu.get_by_role("button", name="Remint Server Certificate")).to_be_disabled()
    menu.get_by_role("link", name="Generate CSR").click()
    dialog = console.get_by_role("dialog", name="Generate CSR")
    dialog.get_by_role("button", name="Generate CSR").click()
    expect(dialog.get_by_text("No server is selected.")).to_be_visible()

    dialog.get_by_label("ps2").check()
    dialog.get_by_role("button", name="Generate CSR").click()

    expect(console.get_by_text("The requests are being made.")).to_be_visible()
    assert ServerProgress.objects.get(device__name="ps2").request_number == 1
    assert ServerProgress.objects.get(device__name="ps1").request_number == 0
    assert [line for line in errors if "422" not in line] == []


def test_file_is_imported_and_the_dialog_goes_on(console, live_server, make_external, errors):
    external = make_external()
    ps1 = Device.objects.get(name="ps1")
    console.goto(f"{live_server.url}/certificates/import-certificate/")
    console.goto(f"{live_server.url}/certificates/")
    console.get_by_role("link", name="Import Certificate", exact=True).click()
    file = {"name": "x.pem", "mimeType": "text/plain", "buffer": external.sign(ps1)}

    console.get_by_label("Certificates, chains or ZIPs").set_input_files(file)
    console.get_by_role("button", name="Import", exact=True).click()

    dialog = console.get_by_role("dialog", name="Import Certificate")
    expect(dialog.get_by_text("For ps1. Chain complete")).to_be_visible()
    expect(dialog.get_by_text("1 of 2 certificates are here.")).to_be_visible()
    dialog.get_by_role("link", name="Close").last.click()
    expect(dialog).to_have_count(0)
    assert ServerCertificate.objects.get(state="future").device == ps1
    assert errors == []


@pytest.mark.parametrize("mode", ["automatic", "manual"])
def test_page_of_an_external_change_is_clean(screen, live_server, make_external, mode):
    make_external(csr_mode=mode)
    screen.goto(f"{live_server.url}/certificates/")
    open_menu(screen, "ps1")
    expect(screen.get_by_role("button", name="Generate CSR")).to_be_visible()

    assert_clean(screen)


@pytest.mark.parametrize("width", [768, 1024, 1100, 1200, 1280])
def test_longest_words_of_a_server_stay_within_the_card(
    console, live_server, make_external, zone, now, width
):
    zone.name = "NORDHAVN-EU-WEST"  # a longer issuer may break
    operation = make_external().operation
    building.assign(operation, now)
    DeviceUpdate.objects.filter(update=operation.update).move(to="pending", by=None, at=now)
    console.set_viewport_size({"width": width, "height": 900})
    console.goto(f"{live_server.url}/certificates/")
    table = console.get_by_role("table", name="ZENworks Server SSL Certificates")
    expect(table.get_by_text("Pending Certificate Activation").first).to_be_visible()
    expect(table.get_by_text("Download CSR").first).to_be_visible()

    assert console.evaluate("document.documentElement.scrollWidth") <= width
    assert table.evaluate("t => t.offsetWidth - t.closest('.z-pane').clientWidth") <= 0


@pytest.mark.parametrize("name", ["generate-csr", "import-certificate"])
def test_dialogs_are_clean(screen, live_server, make_external, name):
    make_external()
    server = Device.objects.get(name="ps1")
    screen.goto(f"{live_server.url}/certificates/{name}/?server={server.pk}")
    expect(screen.get_by_role("dialog")).to_be_visible()

    assert_clean(screen)


def test_verdicts_are_clean(screen, live_server, make_external):
    external = make_external()
    screen.goto(f"{live_server.url}/certificates/import-certificate/")
    files = [
        {"name": "a.pem", "mimeType": "x", "buffer": external.sign(Device.objects.get(name="ps1"))},
        {"name": "b" * 90 + ".pem", "mimeType": "x", "buffer": b"-----BEGIN"},
    ]
    screen.get_by_label("Certificates, chains or ZIPs").set_input_files(files)
    screen.get_by_role("button", name="Import", exact=True).click()
    expect(screen.get_by_text("What became of each")).to_be_visible()

    assert_clean(screen)


def test_remint_dialog_is_clean(screen, live_server, zone, now):
    server = building.make_device(zone, "ps1", now)
    building.make_certificate(server, building.make_authority(zone, server, now), now)
    screen.goto(f"{live_server.url}/certificates/remint-server-certificate/?server={server.pk}")
    expect(screen.get_by_role("dialog")).to_be_visible()

    assert_clean(screen)


def test_menu_stays_open_when_an_answer_was_on_its_way(console, live_server, make_external, errors):
    made = make_external()
    console.goto(f"{live_server.url}/certificates/")
    console.evaluate(
        "document.querySelector('#ca-pane').addEventListener('htmx:beforeSend', ({target}) =>"
        " target.querySelector('.z-ca-actions details').open = true, { once: true })"
    )
    made.operation.start_cancel(by=made.operation.created_by, at=made.now)

    with console.expect_response(lambda answer: "/certificates/ca/" in answer.url) as heard:
        pass

    assert heard.value.status == 200  # it had news
    heard.value.finished()
    console.wait_for_timeout(300)  # to swap it in, which must not be
    expect(console.get_by_text("Verify backup")).to_be_visible()
    console.locator(".z-ca-actions summary").click()
    expect(console.get_by_text("is being canceled").first).to_be_visible()
    assert errors == []
