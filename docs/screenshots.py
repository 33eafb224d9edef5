"""
Takes the pictures of README and docs: `make screenshots`.

A demo zone of its own is set up in a temporary folder. Its operations are begun through their
dialogs as a person would, and the pages are photographed while they run. The certificates of the
external CA are signed with `openssl`.
"""

import os
import re
import shutil
import signal
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.certificates.external_ca import ExternalCA

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "docs/screenshots"
NETWORK = "127.66.0"
CONSOLE = f"https://{NETWORK}.1:7443"
PASSWORD = "only-for-pictures"
CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
DIALOGS = ["backup-ca", "verify-backup", "move-ca-role", "restore-ca"]
LOOKS = [("light", 1280), ("dark", 1280), ("light", 390)]


def main() -> None:
    """Run the zone and take every picture."""
    OUT.mkdir(exist_ok=True)
    with running_zone() as home, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=CHROMIUM
        )
        for dialog in DIALOGS:
            photograph(signed_in(browser, "light", 1280), dialog)
        page = signed_in(browser, "light", 1280)
        photograph_immediate(page, home)
        photograph_of_servers(page, "Remint Server Certificate")
        photograph_external_ca(page, ExternalCA(home / "outside"))
        start_remint(signed_in(browser, "light", 1280))
        for scheme, width in LOOKS:
            page = signed_in(browser, scheme, width)
            page.goto(f"{CONSOLE}/certificates/")
            page.wait_for_load_state("networkidle")
            picture = OUT / f"certificates-remint.{scheme}.{width}.png"
            page.screenshot(path=picture, full_page=True)
        browser.close()


@contextmanager
def running_zone() -> Iterator[Path]:
    """Set up a demo zone and run it until the pictures are taken; yields its folder."""
    home = tempfile.mkdtemp(prefix="zcc-pictures-")
    environment = {**os.environ, "ZCC_HOME": home, "ZCC_ADMIN_PASSWORD": PASSWORD}
    manage = [sys.executable, str(ROOT / "manage.py")]
    subprocess.run([*manage, "migrate", "-v0"], env=environment, check=True)
    subprocess.run([*manage, "setup_demo", "--network", NETWORK], env=environment, check=True)
    zone = subprocess.Popen([*manage, "runzone", "--demo"], env=environment)
    try:
        wait_until_it_answers()
        time.sleep(20)  # the devices enrol, and the Satellite gets its certificate
        yield Path(home)
    finally:
        zone.send_signal(signal.SIGTERM)
        zone.wait(60)
        shutil.rmtree(home, ignore_errors=True)


def wait_until_it_answers() -> None:
    """Wait for the console, at most a minute."""
    anyone = ssl.create_default_context()
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"{CONSOLE}/health", context=anyone, timeout=2).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)


def signed_in(browser: Browser, scheme: str, width: int) -> Page:
    """Return a page of a signed-in administrator."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, ignore_https_errors=True, color_scheme=scheme
    )
    page = context.new_page()
    page.goto(f"{CONSOLE}/login/")
    page.fill("[name=username]", "admin")
    page.fill("[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{CONSOLE}/")
    return page


def photograph(page: Page, dialog: str) -> None:
    """Take the picture of a dialog as it opens over its page."""
    page.goto(f"{CONSOLE}/certificates/")
    if dialog == "verify-backup":
        page.click(".z-ca-actions summary")
    page.click(f"#{dialog}")
    page.wait_for_selector(f"dialog[open] form[action$='{dialog}/']")
    page.screenshot(path=OUT / f"{dialog}.light.1280.png")


def keep(page: Page, name: str) -> None:
    """Take the picture of the open dialog alone."""
    page.evaluate("document.activeElement.blur()")
    page.locator("dialog[open]").screenshot(path=OUT / f"{name}.light.1280.png")


def press(page: Page, button: str) -> None:
    page.locator("dialog[open]").get_by_role("button", name=button).click()


def photograph_of_servers(page: Page, action: str) -> None:
    """Take the picture of a dialog about the servers that are ticked."""
    page.goto(f"{CONSOLE}/certificates/")
    for name in ("ps2", "ps3"):
        page.get_by_label(f"Select {name}", exact=True).check()
    page.locator(".z-bulk summary").click()
    page.locator(".z-bulk").get_by_role("button", name=action).click()
    page.wait_for_selector("dialog[open]")
    keep(page, action.lower().replace(" ", "-"))


def photograph_immediate(page: Page, home: Path) -> None:
    """Take the picture of `Remint CA` as it is when the CA has expired."""
    with sqlite3.connect(home / "zone.sqlite3", timeout=20) as database:
        row = "FROM certificates_certificateauthority WHERE state = 'active'"
        (ends,) = database.execute(f"SELECT expires_at {row}").fetchone()
        change = (
            "UPDATE certificates_certificateauthority SET expires_at = ? WHERE state = 'active'"
        )
        database.execute(change, ["2026-01-01 00:00:00"])
        database.commit()
        page.goto(f"{CONSOLE}/certificates/")
        page.click("#remint-ca")
        page.check("dialog[open] [name=confirmed]")
        keep(page, "immediate")
        database.execute(change, [ends])


def photograph_external_ca(page: Page, outside: ExternalCA) -> None:
    """Change to an external CA as far as `Import Certificate`, and cancel."""
    chain = outside.write("chain.pem", outside.intermediate, outside.root)
    page.goto(f"{CONSOLE}/certificates/")
    page.get_by_role("link", name="Change CA", exact=True).click()
    page.check("dialog[open] [name=confirmed]")
    page.get_by_label("Change to", exact=True).select_option("external")
    page.get_by_label("Trusted root certificate").set_input_files(chain)
    page.get_by_text("Read from chain.pem").wait_for()
    keep(page, "change-ca")
    press(page, "Next")
    page.get_by_label("Organization", exact=True).fill("Acme AS")
    page.get_by_label("Country/region").fill("NO")
    keep(page, "change-ca-csr")
    press(page, "Next")
    page.fill("dialog[open] [name=password]", PASSWORD)
    keep(page, "change-ca-activation")
    press(page, "Finish")
    import_what_is_signed(page, outside)
    photograph_of_servers(page, "Generate CSR")
    cancel(page)


def import_what_is_signed(page: Page, outside: ExternalCA) -> None:
    """Have all CSRs signed and import them, all but one."""
    page.goto(f"{CONSOLE}/certificates/")
    expect(page.get_by_role("cell", name="CSR generated")).to_have_count(4, timeout=90_000)
    page.locator("section", has=page.locator("#ssl")).screenshot(
        path=OUT / "csr-generated.light.1280.png"
    )
    with page.expect_download() as download:
        page.get_by_role("link", name="Download all CSRs").click()
    page.get_by_role("link", name="Import Certificate", exact=True).click()
    page.get_by_label("Certificates, chains or ZIPs").set_input_files(
        [*signed(Path(download.value.path()), outside), outside.folder / "chain.pem"]
    )
    press(page, "Import")
    page.get_by_text("What became of each").wait_for()
    keep(page, "import-certificate")


def signed(archive: Path, outside: ExternalCA) -> list[Path]:
    """Return the files in which the external CA sends back what is in the archive, but for one."""
    found = []
    with zipfile.ZipFile(archive) as requests:
        for name in sorted(one for one in requests.namelist() if one.endswith(".csr"))[:-1]:
            request = x509.load_pem_x509_csr(requests.read(name))
            leaf = outside.sign_server(request.public_bytes(Encoding.DER))
            found.append(outside.write(f"{Path(name).stem}.pem", leaf))
    return found


def cancel(page: Page) -> None:
    """Cancel the operation, and wait until it is over."""
    page.goto(f"{CONSOLE}/certificates/")
    page.locator("a[href*='/cancel']").first.click()
    press(page, "Cancel the operation")
    page.locator("#remint-ca[hx-get]").wait_for(timeout=120_000)


def start_remint(page: Page) -> None:
    """Start a remint through its dialog, and wait until every device is ready for it."""
    page.goto(f"{CONSOLE}/certificates/")
    page.click("#remint-ca")
    page.wait_for_selector("dialog[open]")
    page.check("dialog[open] [name=confirmed]")
    page.fill("dialog[open] [name=password]", PASSWORD)
    page.screenshot(path=OUT / "remint-dialog.light.1280.png")
    page.get_by_role("button", name="OK").click()
    # Mobiles that stay away are waited for by nobody.
    page.get_by_text(re.compile(r"1[345] of 15 ready")).first.wait_for(timeout=120_000)


if __name__ == "__main__":
    main()
