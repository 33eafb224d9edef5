"""
A remint as an administrator sees it: one page, never loaded again by hand, from dialog to new CA.

The zone is real (see tests/journeys), and so is the trust: Chromium knows the old CA and nothing
else, so that after the activation it goes on by way of the link.
"""

import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from tests.journeys.certificates import authorities, fields, leaf
from tests.journeys.zone import PASSWORD, RunningZone

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
SERVERS = 4  # three Primary Servers and the Authentication Satellite; as many have the content
NEW_NAME = "Zone CA of the journey"


@pytest.fixture(scope="module")
def running():
    zone = RunningZone(cutoff=12)
    try:
        zone.set_up()
        zone.order("schedule", 10, 4)  # the replication list takes a moment to fill
        zone.start()
        zone.start_agents()
        zone.wait_for_agents()
        yield zone
        left = zone.stop()
    finally:
        zone.remove()
    assert left == {}


@pytest.fixture(scope="module")
def trusting_home(running, tmp_path_factory):
    """A home folder whose Chromium trusts the zone's first CA."""
    if shutil.which("certutil") is None:
        pytest.skip("certutil is not installed")
    home = tmp_path_factory.mktemp("home")
    store = home / ".pki" / "nssdb"
    store.mkdir(parents=True)
    (home / "ca.pem").write_text(authorities(running)[1])
    database = ["certutil", "-d", f"sql:{store}"]
    subprocess.run([*database, "-N", "--empty-password"], check=True)
    words = ["-A", "-n", "zone", "-t", "C,,", "-i", home / "ca.pem"]
    subprocess.run([*database, *words], check=True)
    return home


@pytest.fixture(scope="module")
def complaints():
    """What the page complained of: a broken script, a refused resource, a broken policy."""
    return []


@pytest.fixture(scope="module")
def loads():
    """The addresses that the page was at, one for each time it was loaded."""
    return []


@pytest.fixture(scope="module")
def page(running, trusting_home, launch_browser, complaints, loads):
    """The page Certificates, looked at by the administrator."""
    environment = {**os.environ, "HOME": str(trusting_home)}
    browser = launch_browser(args=ARGUMENTS, env=environment)
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: line.type == "error" and complaints.append(line.text))
    page.on("framenavigated", lambda frame: loads.append(frame.url))
    console = f"https://{running.address('ps1')}:7443"
    page.goto(f"{console}/login/?next=/certificates/")
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{console}/certificates/")
    yield page
    browser.close()


@pytest.fixture
def picture(page, tmp_path, request):
    """Keep a picture of how the page looked when the test ended."""
    yield
    page.screenshot(path=tmp_path / f"{request.node.name}.png", full_page=True)


def shown(page):
    """Return what the open dialog says, by label, without what is only for copying."""
    return page.get_by_role("dialog").evaluate(
        """dialog => Object.fromEntries([...dialog.querySelectorAll("dt")].map(label => {
            const value = label.nextElementSibling;
            const copied = value.querySelector("[data-copy]");
            return [label.innerText, copied ? copied.dataset.copy : value.innerText];
        }))"""
    )


def as_openssl_says(certificate):
    """Return the same fields, read by OpenSSL."""
    name = ("-nameopt", "sep_comma_plus_space,utf8,lname")
    dates = dict(line.split("=", 1) for line in fields(certificate, "-dates").splitlines())
    seen = {
        f"{label} Fingerprint": fields(certificate, "-fingerprint", f"-{digest}").split("=")[1]
        for label, digest in (("MD5", "md5"), ("SHA1", "sha1"), ("SHA-256", "sha256"))
    }
    seen["Serial number"] = fields(certificate, "-serial").split("=")[1]
    for label, option in (("Valid from", "notBefore"), ("Expires", "notAfter")):
        at = datetime.strptime(dates[option], "%b %d %H:%M:%S %Y GMT")
        seen[label] = f"{at:%a} {at.day} {at:%b %Y, %H:%M} UTC"
    text = fields(certificate, "-text", *name)
    seen["bits"] = text.split("Public-Key: (")[1].split(" bit")[0]
    seen["common name"] = text.split("Subject: ")[1].split("\n")[0].split("commonName=")[1]
    return seen


@pytest.mark.parametrize(
    ("link", "certificate"),
    [
        ("View Certificate", lambda zone: authorities(zone)[1]),
        ("View certificate of ps2", lambda zone: leaf(zone, "ps2", None)),
        ("View certificate of auth1", lambda zone: leaf(zone, "auth1", None)),
    ],
)
def test_view_certificate_agrees_with_openssl(page, running, picture, link, certificate):
    page.get_by_role("link", name=link, exact=True).click()
    expect(page.get_by_role("dialog", name="View Certificate")).to_be_visible()
    dialog = shown(page)
    page.get_by_role("link", name="Close").last.click()
    wanted = as_openssl_says(certificate(running))

    assert dialog["Key length"].split()[-1] == wanted.pop("bits")
    assert f"CN={wanted.pop('common name').split(', ')[0]}" in dialog["Subject"]
    dialog["Serial number"] = dialog["Serial number"].replace(":", "")
    assert {label: dialog[label] for label in wanted} == wanted
    assert dialog["Certificate Status"].startswith("Active")


def test_remint_begins_in_the_dialog(page, loads, picture):
    at = datetime.now(UTC) + timedelta(seconds=50)
    page.get_by_role("link", name="Remint CA").click()
    dialog = page.get_by_role("dialog", name="Remint CA")
    expect(dialog.get_by_role("button", name="OK")).to_be_disabled()
    dialog.get_by_label("Yes, I want to remint the certificate authority").check()
    dialog.get_by_label("Common name").fill(NEW_NAME)
    dialog.get_by_label("Key length").select_option("EC P-256")
    dialog.get_by_label("Date").fill(f"{at:%Y-%m-%d}")
    dialog.get_by_label("Time (UTC)").fill(f"{at:%H:%M:%S}")
    dialog.get_by_label("Your password").fill(PASSWORD)

    dialog.get_by_role("button", name="OK").click()

    expect(page.get_by_text("The Remint CA operation has been initiated.")).to_be_visible()
    loads.clear()  # from now on nothing loads the page


def test_replication_list_fills_by_itself(page, picture):
    page.get_by_role("link", name="current replication status").click()
    dialog = page.get_by_role("dialog", name="Current replication status")

    expect(dialog.get_by_role("row").filter(has_text="Available")).to_have_count(
        SERVERS, timeout=25_000
    )

    dialog.get_by_role("link", name="Close").last.click()


def test_future_certificate_of_each_server_appears(page, picture):
    future = page.locator("tr.z-future").filter(has_text="New certificate created")

    expect(future).to_have_count(SERVERS, timeout=15_000)


def test_update_is_assigned_by_itself(page, picture):
    steps = page.get_by_role("list", name="Timeline").get_by_role("listitem")

    expect(steps.filter(has_text="by itself, when all had it")).to_be_visible(timeout=15_000)


def test_armed_operation_can_no_longer_be_cancelled(page, picture):
    expect(page.get_by_text("The new CA becomes active in")).to_be_visible(timeout=60_000)

    cancel = page.get_by_role("button", name="Cancel", exact=True)
    expect(cancel).to_have_attribute("aria-disabled", "true")


def test_new_ca_is_on_the_page_after_the_activation(page, running, picture):
    overlap = page.get_by_text("The new CA is active. The old one stays trusted beside it.")
    expect(overlap).to_be_visible(timeout=45_000)

    pane = page.get_by_role("region", name="Zone Certificate Authority")
    expect(pane.get_by_text(f"CN={NEW_NAME}").first).to_be_visible()
    expect(page.locator("tr.z-future")).to_have_count(0)
    servers = page.get_by_role("region", name="ZENworks Server SSL Certificates")
    expect(servers.get_by_role("row").filter(has_text=NEW_NAME)).to_have_count(SERVERS)


def test_page_was_never_loaded_again_and_complained_of_nothing(page, loads, complaints):
    assert (loads, complaints) == ([], [])


def test_browser_that_knows_only_the_old_ca_connects_anew(page, running):
    page.goto(f"https://{running.address('ps2')}:7443/login/")

    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
