"""The dialog `Change CA` as an administrator goes through it: forwards, back, and out of it."""

import pytest
from playwright.sync_api import expect

from certificates.models import ChangeCADraft, Operation
from tests.browser.test_accessibility import screen, violations
from tests.certificates import building
from tests.certificates.external_ca import ExternalCA
from tests.people_and_devices import PASSWORD

__all__ = ["screen"]

CONFIRMED = "Yes, I want to change the certificate authority"


@pytest.fixture
def ca(zone, now):
    """An internal CA on ps1; ps2 and a Satellite are there as well."""
    server = building.make_device(zone, "ps1", now)
    building.make_device(zone, "ps2", now, additional_dns_names=["www.demo.zone"])
    building.make_device(zone, "auth1", now, kind="server", is_authentication_satellite=True)
    ca = building.make_authority(zone, server, now)
    building.make_certificate(server, ca, now)
    return ca


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    acme = ExternalCA(tmp_path_factory.mktemp("outside"), "Acme")
    return acme.write("acme-chain.p7b", acme.root, acme.intermediate)


def open_dialog(page, live_server):
    page.goto(f"{live_server.url}/certificates/")
    page.get_by_role("link", name="Change CA").click()
    page.get_by_label(CONFIRMED).check()
    return page.get_by_role("dialog")


def seen_steps(dialog):
    steps = dialog.get_by_role("list", name="Steps").get_by_role("listitem")
    return [step.strip() for step in steps.all_inner_texts()]


def choose_external(page, chain):
    page.get_by_label("Change to", exact=True).select_option("external")
    page.get_by_label("Trusted root certificate").set_input_files(chain)
    expect(page.get_by_text("Read from acme-chain.p7b")).to_be_visible()


def test_external_ca_from_the_file_to_finish(console, live_server, errors, ca, chain):
    dialog = open_dialog(console, live_server)
    expect(dialog.get_by_label("Trusted root certificate")).to_be_hidden()
    assert seen_steps(dialog) == ["1. Certificate authority", "2. Activation"]
    dialog.get_by_label("Change to", exact=True).select_option("external")
    assert len(seen_steps(dialog)) == 3  # before there is a root
    choose_external(console, chain)
    expect(dialog.get_by_text("they have been put in order")).to_be_visible()
    steps = ["1. Certificate authority", "2. Generate CSR", "3. Activation"]
    assert seen_steps(dialog) == steps
    expect(dialog.get_by_label("Certificate server")).to_be_hidden()
    dialog.get_by_role("button", name="Next").click()
    dialog.get_by_label("Organization", exact=True).fill("Acme AS")
    dialog.get_by_label("Organization", exact=True).press("Enter")  # onwards, not back
    expect(dialog.get_by_text("The active CA will vouch for the new one.")).to_be_visible()
    dialog.get_by_role("button", name="Back").click()
    expect(dialog.get_by_label("Organization", exact=True)).to_have_value("Acme AS")
    dialog.get_by_role("button", name="Next").click()
    dialog.get_by_label("Your password").fill(PASSWORD)
    dialog.get_by_role("button", name="Finish").click()

    said = console.get_by_text("The Change CA operation has been initiated.")
    expect(said).to_be_visible()
    assert Operation.objects.get().csr_subject == {"O": "Acme AS"}
    assert not ChangeCADraft.objects.exists()
    assert errors == []


def test_last_step_begins_with_the_date_and_the_chain_is_folded(console, live_server, ca, chain):
    console.set_viewport_size({"width": 1280, "height": 900})
    dialog = open_dialog(console, live_server)
    choose_external(console, chain)
    dialog.get_by_role("button", name="Next").click()
    expect(dialog.get_by_label("Country/region")).to_be_visible()
    dialog.get_by_role("button", name="Next").click()

    date = dialog.get_by_label("Date", exact=True)
    expect(date).to_be_focused()
    box = date.bounding_box()
    assert box["y"] + box["height"] < 600
    expect(dialog.get_by_text("Acme Issuing CA")).to_be_hidden()
    dialog.locator("summary").click()
    expect(dialog.get_by_text("Acme Issuing CA")).to_be_visible()


@pytest.mark.parametrize("way", ["Cancel", "Close", "Escape"])
def test_closing_forgets_what_was_typed(console, live_server, ca, chain, way):
    dialog = open_dialog(console, live_server)
    choose_external(console, chain)
    assert ChangeCADraft.objects.exists()

    with console.expect_response("**/change-ca/discard/"):
        if way == "Escape":
            console.keyboard.press("Escape")
        else:
            dialog.get_by_role("link", name=way).click()

    expect(dialog).to_have_count(0)
    assert not ChangeCADraft.objects.exists()


def test_every_step_is_clean_under_axe(screen, live_server, ca, chain):
    dialog = open_dialog(screen, live_server)
    assert violations(screen) == []
    choose_external(screen, chain)
    assert violations(screen) == []
    dialog.get_by_role("button", name="Next").click()
    dialog.get_by_label("Country/region").fill("Norway")
    dialog.get_by_role("button", name="Next").click()
    expect(dialog.get_by_role("alert").first).to_contain_text("Change CA was not begun.")
    assert violations(screen) == []
    dialog.get_by_label("I will generate a CSR for each server manually").check()
    assert violations(screen) == []
    dialog.get_by_role("button", name="Next").click()
    expect(dialog.get_by_role("button", name="Finish")).to_be_visible()
    assert violations(screen) == []
